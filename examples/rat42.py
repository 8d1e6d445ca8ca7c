"""A neural network trained to its certified weights.

Rat42 is a regression of NIST's Statistical Reference Datasets (Ratkowsky 1983: pasture yield over growing time), whose
model y = b1 / (1 + exp(b2 − b3·x)) is a network of one sigmoid unit: y = v · sigmoid(w·x + c) with v = b1, w = b3 and
c = −b2.  NIST certifies its weights to eleven digits.
"""

import numpy as np

import clearprop as cl

time = np.array([9.0, 14.0, 21.0, 28.0, 42.0, 57.0, 63.0, 70.0, 79.0])
yield_ = np.array([8.93, 10.80, 18.59, 22.33, 39.35, 56.11, 61.73, 64.62, 67.08])
certified = {"c": -2.6180768402e0, "v": 7.2462237576e1, "w": 6.7359200066e-2}
certified_sum = 8.0565229338


def network(p, x):
    """The 1-1-1 network with a sigmoid unit."""
    return p["v"] * cl.sigmoid(p["w"] * x + p["c"])


def residuals(p):
    """What the network misses, point by point."""
    return network(p, time) - yield_


start = {"c": -1.0, "v": 100.0, "w": 0.1}  # NIST's first
found = cl.optim.least_squares(residuals, start)
by_gradients = cl.optim.minimize(lambda p: cl.sum(residuals(p) ** 2), start, cl.optim.quasi_newton("lbfgs"))
by_adam = cl.optim.minimize(lambda p: cl.sum(residuals(p) ** 2), start, cl.optim.adam(0.1), steps=5000)

print("weight    found           certified")
for name, value in certified.items():
    print(f"{name}   {found.x[name].item():16.10f} {value:16.10f}")
print(f"Σr² {found.value:16.10f} {certified_sum:16.10f}")
for name, result in {"least_squares": found, "lbfgs": by_gradients, "adam": by_adam}.items():
    rest, count = abs(result.value - certified_sum), result.evaluations.cost
    print(f"{name:13}  |Σr² − certified| = {rest:.1e}  evaluations {count}")
