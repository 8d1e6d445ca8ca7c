"""The experiments of the lessons: small networks whose numbers the texts show.  Each returns its numbers by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop import nn
from clearprop.arrays.functions import FUNCTIONS
from clearprop.arrays.tensor import tensor
from clearprop.autodiff.transforms import grad
from clearprop.explanation import explain
from clearprop.program.values import raw

_relu, _sum, _sigmoid, _softmax, _mean = (FUNCTIONS[n] for n in ("relu", "sum", "sigmoid", "softmax", "mean"))


def neuron() -> dict[str, Any]:
    """One ReLU neuron with three inputs, the worked example of the tutorial."""
    x = tensor([1.0, -2.0, 3.0], name="x", requires_grad=True)
    w = tensor([-3.0, -1.0, 2.0], name="w", requires_grad=True)
    b = tensor(1.0, name="b", requires_grad=True)
    y = _relu(_sum(x * w) + b)
    opened = {f"opened_{n}": explain(y, wrt=t, index=(0,)) for n, t in (("w0", w), ("x0", x))}
    y.backward()
    rate = 0.001
    new_w, new_b = w.updated(-rate * w.grad), b.updated(-rate * b.grad)
    products = raw(x) * raw(w)
    return {
        "x": x, "w": w, "b": b, "products": products, "p0": products[0], "p1": products[1], "p2": products[2],
        "z": products.sum() + raw(b), "y": y, "gate": grad(_relu)(float(products.sum() + raw(b))),
        "dw": w.grad, "dx": x.grad, "db": b.grad, "dw0": w.grad[0], "dw1": w.grad[1], "dx0": x.grad[0],
        "rate": rate, "new_w": new_w, "new_b": new_b, "new_y": _relu(_sum(x * new_w) + new_b), **opened,
    }  # fmt: skip


def mazur() -> dict[str, Any]:
    """Mazur's 2-2-2 sigmoid network (2015), one step of gradient descent; its biases stay as they are."""
    x, target, rate = np.array([0.05, 0.10]), np.array([0.01, 0.99]), 0.5
    first = np.array([[0.15, 0.25], [0.20, 0.30]])
    second = np.array([[0.40, 0.50], [0.45, 0.55]])

    def run(first: Any, second: Any) -> tuple[Any, Any, Any]:
        h = _sigmoid(x @ first + 0.35)
        o = _sigmoid(h @ second + 0.60)
        return h, o, 0.5 * _sum((target - o) ** 2)

    h, o, error = run(tensor(first), tensor(second))
    d_first, d_second = grad(lambda a, b: run(a, b)[2], argnums=(0, 1))(first, second)
    new_first, new_second = first - rate * raw(d_first), second - rate * raw(d_second)
    return {
        "x": x, "target": target, "rate": rate, "h": h, "o": o, "error": error, "h1": h[0], "o1": o[0],
        "pull": raw(o)[0] - target[0], "slope": raw(o)[0] * (1 - raw(o)[0]),
        "delta": (raw(o)[0] - target[0]) * raw(o)[0] * (1 - raw(o)[0]), "dw5": d_second[0, 0], "dw1": d_first[0, 0],
        "w5": second[0, 0], "new_w5": new_second[0, 0], "new_error": run(tensor(new_first), tensor(new_second))[2],
    }  # fmt: skip


def classifier() -> dict[str, Any]:
    """Softmax and cross-entropy on three logits."""
    logits, label = np.array([2.0, 1.0, 0.1]), 0
    p = _softmax(tensor(logits))

    def loss(z: Any) -> Any:
        return nn.cross_entropy(z[None, :], np.array([label]))

    slope = grad(loss)(logits)
    shifted = _softmax(tensor(logits + 100))
    return {
        "z": logits, "exps": np.exp(logits), "total": np.exp(logits).sum(), "p": p, "p0": p[0], "p1": p[1],
        "loss": loss(tensor(logits)), "g": slope, "g0": slope[0], "g1": slope[1], "gsum": _sum(slope),
        "shifted": shifted, "naive": -1 / raw(p)[0], "opened": explain(loss, 0, args=(logits,), index=(0,)),
    }  # fmt: skip


def deep() -> dict[str, Any]:
    """A chain of ten sigmoid layers, and the same with ReLU and He initialisation: gradients at the first layer."""
    rows = np.random.default_rng(0).standard_normal((64, 16))

    def ratio(activation: str) -> tuple[float, float, float]:
        model = nn.mlp([16] * 12, activation=activation, seed=0, dtype=np.float64)
        g = grad(lambda m: _mean(m(rows) ** 2))(model).parameters()
        sizes = [float(np.abs(raw(v)).mean()) for n, v in g.items() if n.endswith("weight")]
        return sizes[0], sizes[-1], sizes[0] / sizes[-1]

    first, last, shrink = ratio("sigmoid")
    relu_first, relu_last, relu_shrink = ratio("relu")
    top = grad(_sigmoid)(0.0)
    return {
        "top": top, "ten": float(top) ** 10, "first": first, "last": last, "shrink": shrink,
        "relu_first": relu_first, "relu_last": relu_last, "relu_shrink": relu_shrink, "slope5": grad(_sigmoid)(5.0),
    }  # fmt: skip


def dead() -> dict[str, Any]:
    """A ReLU neuron that one large step has killed, and a leaky one that lives."""
    leaky_relu = FUNCTIONS["leaky_relu"]
    x, target, w, b, rate = np.array([1.0, 2.0]), 0.0, np.array([1.0, 1.0]), 0.0, 0.5

    def loss(w: Any, b: Any, gate: Any = _relu) -> Any:
        return (gate(_sum(x * w) + b) - target) ** 2

    dw, db = grad(loss, argnums=(0, 1))(w, b)
    new_w, new_b = w - rate * raw(dw), b - rate * float(raw(db))
    after = grad(loss, argnums=(0, 1))(new_w, new_b)
    leaky = grad(lambda w: loss(w, new_b, leaky_relu))(new_w)
    kept = tensor(new_w, name="w", requires_grad=True)
    after_loss = (_relu(_sum(x * kept) + new_b) - target) ** 2
    z = float((x * new_w).sum() + new_b)
    return {
        "x": x, "w": w, "z": float((x * w).sum() + b), "loss": loss(tensor(w), b), "dw": dw, "dw0": dw[0],
        "rate": rate, "new_w": new_w, "new_b": new_b, "new_z": z, "after": after[0], "after0": after[0][0],
        "leaky": leaky, "leaky0": leaky[0], "opened": explain(after_loss, wrt=kept, index=(0,)),
    }  # fmt: skip
