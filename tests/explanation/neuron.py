"""The worked neuron, in the two forms in which people write it."""

import clearprop as cl

INPUTS = {"x": [1.0, -2.0, 3.0], "w": [-3.0, -1.0, 2.0], "b": 1.0}


def leaves():
    return {name: cl.tensor(value, name=name, requires_grad=True) for name, value in INPUTS.items()}


def product_form():
    v = leaves()
    x, w, b = v["x"], v["w"], v["b"]
    y = cl.relu(x @ w + b)
    return y, v


def sum_form():
    v = leaves()
    x, w, b = v["x"], v["w"], v["b"]
    y = cl.relu(cl.sum(x * w) + b)
    return y, v
