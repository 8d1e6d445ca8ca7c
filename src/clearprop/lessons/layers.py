"""The experiments of the lessons about layers.  Each returns its numbers by name, as those in `experiments` do."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.arrays.functions import FUNCTIONS
from clearprop.arrays.tensor import tensor
from clearprop.control import scan
from clearprop.explanation import explain
from clearprop.program.values import raw

_conv, _sum, _softmax, _tanh, _sigmoid = (FUNCTIONS[n] for n in ("conv", "sum", "softmax", "tanh", "sigmoid"))


def convolution() -> dict[str, Any]:
    """An image of 3×3 and a kernel of 2×2, the worked example of "Dive into Deep Learning" (Zhang et al. 2023)."""
    image, kernel = np.arange(9.0).reshape(3, 3), np.arange(4.0).reshape(2, 2)
    x = tensor(image[None, :, :, None], name="x", requires_grad=True)
    w = tensor(kernel[:, :, None, None], name="w", requires_grad=True)
    y = _conv(x, w)
    loss, out = _sum(y), raw(y)[0, :, :, 0]
    opened = explain(loss, wrt=w, index=(0, 1, 0, 0))
    middle, corner = (explain(loss, wrt=x, index=(0, *place, 0)).value for place in ((1, 1), (0, 2)))
    return {
        "row0": image[0], "row1": image[1], "row2": image[2], "k0": kernel[0], "k1": kernel[1],
        "y00": out[0, 0], "y01": out[0, 1], "y10": out[1, 0], "y11": out[1, 1], "out0": out[0], "out1": out[1],
        "dw": opened.value, "middle": middle, "corner": corner, "opened": opened,
    }  # fmt: skip


def attention() -> dict[str, Any]:
    """One query, two keys: the scores of Alammar's "The Illustrated Transformer" (2018), 112 and 96 before division."""
    size = 64
    query = tensor(np.full(size, 4.0), name="q", requires_grad=True)
    keys = tensor(np.array([np.full(size, 0.4375), np.full(size, 0.375)]), name="K")
    values = tensor([1.0, 5.0], name="v", requires_grad=True)
    scores = _sum(query * keys, axis=-1)
    scaled = tensor(raw(scores) / np.sqrt(size), name="s", requires_grad=True)
    weights = _softmax(scaled)
    out = _sum(weights * values)
    opened, opened_v = explain(out, wrt=scaled, index=(0,)), explain(out, wrt=values, index=(1,))
    p0, p1 = raw(weights).tolist()
    return {
        "size": size, "score0": raw(scores)[0], "score1": raw(scores)[1], "root": np.sqrt(size),
        "s0": raw(scaled)[0], "s1": raw(scaled)[1], "p0": p0, "p1": p1, "v0": raw(values)[0], "v1": raw(values)[1],
        "out": out, "dv": opened_v.value, "away": raw(values)[0] - raw(out), "ds": opened.value,
        "unscaled": raw(_softmax(raw(scores)))[1], "slope": p0 * p1, "opened": opened,
    }  # fmt: skip


def memory() -> dict[str, Any]:
    """The first number of ten steps as it is remembered by a plain cell, and by one with a gate for what it keeps."""
    steps, weight, gate_input = 10, 0.9, 4.0
    x = np.zeros(steps)
    x[0] = 1.0

    def plain(h: Any, x: Any) -> tuple[Any, None]:
        return _tanh(weight * h + x), None

    def gated(c: Any, x: Any) -> tuple[Any, None]:
        return _sigmoid(gate_input) * c + x, None

    given = tensor(x, name="x", requires_grad=True)
    last, kept = scan(plain, 0.0, given)[0], scan(gated, 0.0, given)[0]
    by_plain, by_gate = explain(last, wrt=given, index=(0,)), explain(kept, wrt=given, index=(0,))
    h1 = float(np.tanh(1.0))
    h2 = float(np.tanh(weight * h1))
    forget = float(raw(_sigmoid(gate_input)))
    return {
        "steps": steps, "behind": steps - 1, "w": weight, "h1": h1, "h2": h2, "slope2": 1 - h2**2,
        "back2": weight * (1 - h2**2), "plain": by_plain.value, "z": gate_input, "f": forget,
        "gated": by_gate.value, "f100": forget**100, "w100": weight**100,
    }  # fmt: skip
