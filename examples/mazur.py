"""The step-by-step example of M. Mazur (2015): a 2-2-2 sigmoid network whose every number is published.

Inputs, weights, targets and learning rate are his; the biases are not updated, as in his text.
"""

import numpy as np

import clearprop as cl

x, target = np.array([0.05, 0.10]), np.array([0.01, 0.99])
b1, b2 = 0.35, 0.60
weights = {
    "hidden": np.array([[0.15, 0.25], [0.20, 0.30]]),  # w1 w3, w2 w4: one row per input, one column per unit
    "output": np.array([[0.40, 0.50], [0.45, 0.55]]),  # w5 w7, w6 w8
}


def forward(w):
    """Activations of both layers."""
    h = cl.sigmoid(x @ w["hidden"] + b1)
    return h, cl.sigmoid(h @ w["output"] + b2)


def error(w):
    """Half the squared distance to the target."""
    return 0.5 * cl.sum((target - forward(w)[1]) ** 2)


@cl.compile
def step(w):
    """One step of gradient descent with learning rate 0.5, as one native call."""
    return cl.tree_map(lambda p, g: p - 0.5 * g, w, cl.grad(error)(w))


h, o = forward(weights)
gradient = cl.grad(error)(weights)
stepped = step(weights)

trained = stepped
for _ in range(9_998):
    trained = step(trained)
errors = [error(w).item() for w in (weights, stepped, trained)]

print("h     ", h.tolist())
print("o     ", o.tolist())
print("E     ", errors[0])
print("∂E/∂w5", gradient["output"][0, 0].item())
print("after one step")
print("w1…w4 ", np.asarray(stepped["hidden"]).T.ravel())
print("w5…w8 ", np.asarray(stepped["output"]).T.ravel())
print("E     ", errors[1])
print("after 9,999 steps")
print("E     ", errors[2])
