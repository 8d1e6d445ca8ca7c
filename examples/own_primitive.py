"""A primitive of your own: declare value and derivative once, and every transform knows it."""

import numpy as np

import clearprop as cl


@cl.primitive(
    "elementwise",
    numpy="{x} / np.sqrt(1.0 + np.square({x}))",
    tex=r"\frac{{{x}}}{{\sqrt{{1 + {x}^2}}}}",
    d_x=lambda g, x: g / (1.0 + cl.square(x)) ** 1.5,
)
def isru(x, /):
    """Inverse square root unit, x / √(1 + x²) (Carlile et al. 2017)."""


points = np.array([-2.0, 0.0, 0.5])
print("value        ", isru(points))
print("slope        ", cl.vmap(cl.grad(isru))(points))
print("third        ", cl.grad(cl.grad(cl.grad(isru)))(1.0))
cl.check_grads(isru, (points,), order=2)
print("checked against differences in both modes, to second order")

model = cl.nn.mlp([2, 8, 1], activation=isru, seed=0)
print("in a network ", model(np.array([[1.0, -1.0]], dtype=np.float32)))
