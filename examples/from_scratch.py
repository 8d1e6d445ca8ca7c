"""A network from `cl.grad` and a loop alone: no layers, no optimizer, no trainer.  It learns XOR."""

import numpy as np

import clearprop as cl

x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
y = np.array([[0.0], [1.0], [1.0], [0.0]])

rng = np.random.default_rng(0)
params = {
    "w1": rng.normal(size=(2, 8)),
    "b1": np.zeros(8),
    "w2": rng.normal(size=(8, 1)),
    "b2": np.zeros(1),
}


def predict(p, x):
    """Two layers: tanh inside, sigmoid at the end."""
    hidden = cl.tanh(x @ p["w1"] + p["b1"])
    return cl.sigmoid(hidden @ p["w2"] + p["b2"])


def loss(p):
    """Mean squared error over the four rows."""
    return cl.mean((predict(p, x) - y) ** 2)


for step in range(501):
    gradient = cl.grad(loss)(params)
    if step % 100 == 0:
        print(f"step {step:3}  loss {loss(params).item():.5f}")
    params = {name: p - 2.0 * gradient[name] for name, p in params.items()}

print(np.column_stack([x, np.asarray(predict(params, x)).round(2)]))
