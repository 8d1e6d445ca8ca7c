"""NaN and infinities through every fused pattern: they stand exactly where NumPy's do.

One special value at a time is put into each input, at the first, a middle and the last place, so that every way
through a kernel is met: the vector body and the remainder of a loop, the first and the last row, each operand.
What is contracted into one rounding (a·b + c) may differ only where a·b alone overflows; no draw here comes near.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn, optim
from clearprop.autodiff.trees import flatten, unflatten
from clearprop.program.values import raw
from tests.compiler.plain import plain

RNG = np.random.default_rng(0)


def normal(*shape: int, dtype: str = "float32") -> Any:
    return np.asarray(RNG.normal(size=shape), dtype)


def chain(x, y):
    """Elementwise operations in one loop, selections and extrema among them."""
    z = cl.exp(cl.minimum(x, 3.0)) * y + cl.tanh(x)
    gate = cl.where(z > 0.5, z, 0.1 * y)
    return gate / (1.0 + cl.abs(y)), cl.maximum(z, y), cl.minimum(z, -y), cl.sqrt(cl.abs(z)), cl.sign(x) + cl.relu(y)


def rows(x, y):
    """Reductions over the last axis in several passes over a row."""
    centred = x - cl.mean(x, axis=-1, keepdims=True)
    scaled = centred / cl.sqrt(cl.mean(centred * centred, axis=-1, keepdims=True) + 1e-5)
    return (
        scaled,
        cl.max(x * y, axis=-1),
        cl.min(x + y, axis=-1),
        cl.sum(cl.isnan(x), axis=-1),
        cl.logsumexp(x, axis=-1),
    )


def columns(x, y):
    """Reductions over the first axis and over both, beside what is computed in the same pass."""
    z = x * y
    return z, cl.sum(z, axis=0), cl.max(z, axis=0), cl.min(x, axis=0), cl.sum(z), cl.max(x), cl.any(z > 2.0, axis=0)


def classifier(x, w, b, labels):
    """Softmax, cross-entropy and its gradient, with the bias's column sums."""
    return cl.value_and_grad(lambda w, b: nn.cross_entropy(x @ w + b, labels), argnums=(0, 1))(w, b)


def gated(x, w):
    """Gates and products: relu and its derivative, clipping, a closed gate before an infinite cotangent."""
    return cl.value_and_grad(lambda w: cl.sum(cl.relu(x @ w) ** 2) + cl.sum(cl.clip(x @ w, -1.0, 1.0)))(w)


def optimizer_step(optimizer):
    def step(params, grads, state):
        updates, state = optimizer.update(grads, state, params)
        return optim.apply_updates(params, updates), state

    return step


X, Y = normal(13, 21), normal(13, 21)
NARROW_X, NARROW_Y = normal(37, 3), normal(37, 3)
LANES_X, LANES_Y = normal(70, 6), normal(70, 6)
PARAMS = {"w": normal(9, 5), "b": normal(5)}
GRADS = {"w": normal(9, 5), "b": normal(5)}


def optimized(optimizer):
    return optimizer_step(optimizer), (PARAMS, GRADS, optimizer.init(PARAMS))


PATTERNS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "chain": (chain, (X, Y)),
    "rows": (rows, (X, Y)),
    "rows written out": (rows, (NARROW_X, NARROW_Y)),
    "rows in lanes": (rows, (LANES_X, LANES_Y)),
    "columns": (columns, (X, Y)),
    "columns written out": (columns, (NARROW_X, NARROW_Y)),
    "columns in lanes": (columns, (LANES_X, LANES_Y)),
    "classifier": (classifier, (normal(20, 4), normal(4, 11), normal(11), RNG.integers(0, 11, 20))),
    "classifier written out": (classifier, (normal(20, 4), normal(4, 3), normal(3), RNG.integers(0, 3, 20))),
    "classifier in lanes": (classifier, (normal(70, 4), normal(4, 6), normal(6), RNG.integers(0, 6, 70))),
    "gated": (gated, (normal(12, 5), normal(5, 9))),
    "adam": optimized(optim.adam(1e-2)),
    "clipped adamw": optimized(optim.chain(optim.clip_by_norm(1.0), optim.adamw(1e-2, weight_decay=0.1))),
    "momentum": optimized(optim.sgd(0.1, 0.9, nesterov=True)),
}
VALUES = (np.nan, np.inf, -np.inf)


def infected(arguments: Any) -> Any:
    """The arguments with one special value in one floating leaf, for each of some places."""
    leaves, structure = flatten(arguments)
    leaves = [np.array(raw(v)) for v in leaves]
    for k, leaf in enumerate(leaves):
        if leaf.dtype.kind != "f" or not leaf.size:
            continue
        for at in sorted({0, leaf.size // 2, leaf.size - 1}):
            for value in VALUES:
                new = leaf.copy()
                new.flat[at] = value
                yield f"{value} in leaf {k} at {at}", unflatten(structure, [*leaves[:k], new, *leaves[k + 1 :]])


def flat(out: Any) -> list[np.ndarray]:
    return [np.asarray(raw(v)) for v in flatten(out)[0]]


def assert_same_places(got: Any, want: Any, what: str) -> None:
    for k, (a, b) in enumerate(zip(flat(got), flat(want), strict=True)):
        assert a.dtype == b.dtype and a.shape == b.shape, f"{what}, output {k}"
        if b.dtype.kind != "f":
            assert np.array_equal(a, b), f"{what}, output {k}: {a} instead of {b}"
            continue
        for name, found in (("NaN", np.isnan), ("inf", np.isposinf), ("-inf", np.isneginf)):
            assert np.array_equal(found(a), found(b)), f"{what}, output {k}: {name} at {found(a) != found(b)}"
        fine = np.isfinite(b)
        np.testing.assert_allclose(a[fine], b[fine], rtol=3e-5, atol=3e-6, err_msg=f"{what}, output {k}")


@pytest.mark.parametrize("name", PATTERNS)
def test_on_numba(name):
    f, arguments = PATTERNS[name]
    numpy, native = cl.compile(f, executor="numpy"), cl.compile(f, executor="numba")
    assert_same_places(native(*arguments), numpy(*arguments), name)
    for what, given in infected(arguments):
        assert_same_places(native(*given), numpy(*given), f"{name}: {what}")


@pytest.mark.parametrize("name", [n for n in PATTERNS if " " not in n or n == "clipped adamw"])
def test_interpreted_in_every_form(name):
    """Where a form is chosen by sizes, the others are forced; two threads, and either one first."""
    f, arguments = PATTERNS[name]
    numpy = cl.compile(f, executor="numpy")
    for k, form in enumerate(({"form": "lanes"}, {"threads": 2, "form": "unrolled"}, {"threads": 2, "first": 1})):
        with plain(**form):
            native = cl.compile(f)
            for what, given in list(infected(arguments))[k::9]:
                assert_same_places(native(*given), numpy(*given), f"{name}, {form}: {what}")


def test_a_nan_in_one_row_stays_in_that_row():
    """Softmax with cross-entropy: the row's gradient is NaN, the others are untouched bit for bit."""
    z, labels = normal(30, 7), RNG.integers(0, 7, 30)
    f = cl.compile(cl.grad(lambda z: nn.cross_entropy(z, labels, reduction="sum")), executor="numba")
    clean = np.asarray(f(z))
    z[11, 3] = np.nan
    got = np.asarray(f(z))
    assert np.all(np.isnan(got[11]))
    assert np.array_equal(np.delete(got, 11, axis=0), np.delete(clean, 11, axis=0))


def test_an_element_equals_the_maximum_it_is():
    """x·w + c is computed twice, for the maximum and to find it: contracted alike, or no gradient would flow."""
    x, w, c = normal(50, 17), normal(50, 17), normal(50, 17)

    def slopes(x, w, c):
        p = x * w
        return cl.grad(lambda p: cl.sum(cl.max(p + c, axis=-1) ** 2))(p), p

    got, want = (cl.compile(slopes, executor=e)(x, w, c)[0] for e in ("numba", "numpy"))
    np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=1e-5)
    assert np.count_nonzero(np.asarray(got)) == 50


def test_division_by_zero_and_its_like_are_ieee():
    x = np.array([0.0, -1.0, 1.0, np.inf, 1e-45, -0.0], np.float32)
    f = lambda x: (1.0 / x, x / 0.0, cl.log(x), cl.sqrt(x), x - x, x * 0.0, cl.pow(x, 0.0), cl.pow(x, -1.0), 0.0 / x)
    assert_same_places(cl.compile(f, executor="numba")(x), cl.compile(f, executor="numpy")(x), "quotients")
