"""What was not chosen contributes nothing, whatever stands before the gate; what was computed as 0 still meets ∞."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.primitives import REGISTRY
from tests.tiers import diagonal, together

BAD = np.array([0.0, 1.0, 4.0])  # 0 is where √x, log x, 1/x have no derivative
KEEP = np.array([False, True, True])
ROWS = np.array([[1.0, 2.0], [np.nan, np.inf], [3.0, 4.0]])
W = np.array([[1.0, -1.0], [0.5, 2.0]])

# a function of BAD, and its derivative
GATES = {
    "where": (lambda x: cl.sum(cl.where(x > 0, cl.sqrt(x), 3 * x)), [3.0, 0.5, 0.25]),
    "where, the other branch": (lambda x: cl.sum(cl.where(x <= 0, 3 * x, cl.log(x))), [3.0, 1.0, 0.25]),
    "where of numbers": (lambda x: cl.sum(cl.where(KEEP * 2, 1 / x, x)), [1.0, -1.0, -0.0625]),
    "maximum": (lambda x: cl.sum(cl.maximum(cl.log(x), -1.0)), [0.0, 1.0, 0.25]),
    "minimum": (lambda x: cl.sum(cl.minimum(1 / x, 2.0)), [0.0, -1.0, -0.0625]),
    "clip": (lambda x: cl.sum(cl.clip(1 / x, -2.0, 2.0)), [0.0, -1.0, -0.0625]),
    "relu": (lambda x: cl.sum(cl.relu(cl.log(x) + 1)), [0.0, 1.0, 0.25]),
    "relu6": (lambda x: cl.sum(cl.relu6(1 / x)), [0.0, -1.0, -0.0625]),
    "max": (lambda x: cl.max(cl.log(x)), [0.0, 0.0, 0.25]),
    "min": (lambda x: cl.min(1 / x), [0.0, 0.0, -0.0625]),
    "max over an axis": (lambda x: cl.sum(cl.max(cl.stack([cl.log(x), x - 9.0]), axis=0)), [1.0, 1.0, 0.25]),
    "slice": (lambda x: cl.sum(cl.sqrt(x)[1:]), [0.0, 0.5, 0.25]),
    "integer": (lambda x: cl.sqrt(x)[1], [0.0, 0.5, 0.0]),
    "take": (lambda x: cl.sum(cl.take(cl.sqrt(x), [2, 1, 2])), [0.0, 0.5, 0.5]),
    "take_along_axis": (lambda x: cl.sum(cl.take_along_axis(cl.sqrt(x), np.array([1, 2]))), [0.0, 0.5, 0.25]),
    "several steps before": (lambda x: cl.sum(cl.where(x > 0, cl.exp(cl.sqrt(x)) * 2.0, 0.0)), None),
    "through moves": (
        lambda x: cl.sum(cl.where(KEEP[::-1, None], cl.reshape(cl.flip(cl.sqrt(x)), (3, 1)), 0.0)),
        [0.0, 0.5, 0.25],
    ),
    "through a mean": (lambda x: cl.where(True, cl.mean(cl.sqrt(x)[1:]), 0.0), [0.0, 0.25, 0.125]),
    "through a sum that was left": (lambda x: cl.where(False, cl.sum(cl.sqrt(x)), cl.sum(x)), [1.0, 1.0, 1.0]),
    "a repeated operand": (lambda x: cl.sum(cl.where(np.eye(2, dtype=bool), cl.sqrt(x)[1:], 0.0)), [0.0, 0.5, 0.25]),
}
GATES["several steps before"] = (
    GATES["several steps before"][0],
    [0.0, float(np.exp(1.0)), float(np.exp(2.0) / 2)],
)


def reverse(f, x):
    return np.asarray(cl.grad(f)(x))


def forward(f, x):
    return np.array([cl.jvp(f, (x,), (unit,))[1].item() for unit in np.eye(len(x))])


MODES = {
    "reverse": reverse,
    "forward": forward,
    "compiled": lambda f, x: np.asarray(cl.compile(cl.grad(f))(x)),
    "backward": lambda f, x: backward(f, x),
    "jacobian": lambda f, x: np.asarray(cl.jacobian(f)(x)),
}


def backward(f, x):
    leaf = cl.tensor(x, requires_grad=True)
    f(leaf).backward()
    return np.asarray(leaf.grad)


@together("gate", GATES)
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "compiled"])
def test_what_was_left_contributes_nothing(mode, gate):
    f, wanted = GATES[gate]
    np.testing.assert_allclose(MODES[mode](f, BAD), wanted, rtol=1e-15)


@pytest.mark.parametrize(("mode", "gate"), diagonal(["compiled"], GATES, every=2))
def test_what_was_left_contributes_nothing_natively(mode, gate):
    f, wanted = GATES[gate]
    np.testing.assert_allclose(MODES[mode](f, BAD), wanted, rtol=1e-15)


@pytest.mark.parametrize("gate", ["where", "relu", "clip", "slice", "take", "max"])
def test_second_derivatives_are_left_alone_too(gate):
    f, _ = GATES[gate]
    for second in (cl.hvp(f, BAD, np.ones(3)), np.asarray(cl.hessian(f)(BAD)) @ np.ones(3)):
        assert np.isfinite(np.asarray(second)).all()
        assert np.asarray(second)[0] == 0


@pytest.mark.parametrize("mode", ["reverse", "compiled"])
def test_a_computed_zero_still_meets_infinity(mode):
    f = lambda x: cl.sum(cl.sqrt(x) ** 2)
    assert np.isnan(MODES[mode](f, BAD)[0])


FLAT = {
    "a product": lambda x: cl.sqrt(x) ** 3,
    "a power": lambda x: x**1.5,
    "a quotient": lambda x: cl.sqrt(x) ** 3 / (1 + x),
}
"""First derivatives that are 0 where the second is none: no NaN shows before it."""


@pytest.mark.parametrize("way", ["eager", "compiled"])
@pytest.mark.parametrize("name", FLAT)
def test_what_was_left_is_left_in_every_derivative(name, way):
    f = lambda x: cl.sum(cl.where(x > 0, FLAT[name](x), 3 * x))
    twice = lambda x: cl.hvp(f, x, cl.ones_like(x))
    found = np.asarray((cl.compile(twice, executor="numpy") if way == "compiled" else twice)(BAD))
    assert found[0] == 0 and np.allclose(found[1:], np.asarray(twice(BAD[1:])), rtol=1e-14)


def test_what_one_way_chose_another_may_leave():
    f = lambda x: cl.sum(cl.where(KEEP, (root := cl.sqrt(x)), 0.0) + root)
    assert np.isinf(reverse(f, BAD)[0])


PADDED = {
    "a masked loss": lambda w: cl.sum(cl.where(KEEP3[:, None], (ROWS @ w - 1) ** 2, 0.0)),
    "a masked loss per row": lambda w: cl.sum(
        cl.where(KEEP3, cl.softmax_cross_entropy(cl.asarray(ROWS) @ w, np.array([0, 1, 1])), 0.0)
    ),
    "a softmax within rows": lambda w: cl.sum(cl.where(KEEP3[:, None], cl.softmax(ROWS @ w) ** 2, 0.0)),
    "rows cut off": lambda w: cl.sum((ROWS @ w)[np.array([0, 2])] ** 2),
    "two layers": lambda w: cl.sum(cl.where(KEEP3[:, None], cl.tanh(cl.tanh(ROWS @ w) @ w), 0.0)),
}
PADDED |= {
    "a gate behind the mask": lambda w: cl.sum(cl.relu(cl.where(KEEP3[:, None], ROWS @ w, 0.0)) ** 2),
    "a gate before the mask": lambda w: cl.sum(cl.where(KEEP3[:, None], cl.relu(ROWS @ w), 0.0) ** 2),
    "single entries behind the mask": lambda w: cl.sum(cl.where(KEEP3[:, None], cl.tanh(ROWS @ w), 0.0)[1:, 1:]),
    "largest of each column": lambda w: cl.sum(cl.max(cl.where(KEEP3[:, None], ROWS @ w, -9.0), axis=0)),
    "turned": lambda w: cl.sum(cl.clip(cl.where(KEEP3, cl.matrix_transpose(ROWS @ w), 0.0), -5.0, 5.0)),
    "another order": lambda w: cl.sum(cl.sin(cl.relu(cl.where(KEEP3[::-1, None], cl.flip(ROWS @ w, axis=0), 0.0)))),
    "beside others": lambda w: cl.sum(cl.sin(cl.concat([cl.tanh(ROWS @ w), W])[np.array([0, 2, 3])])),
    "side by side": lambda w: cl.sum(cl.relu(cl.where(KEEP3[:, None], cl.concat([ROWS @ w, ROWS], axis=1), 0.0))),
    "with an axis named": lambda w: cl.sum(
        cl.relu(cl.where(KEEP3[:, None], cl.take((ROWS @ w)[None], np.array([0]), axis=0)[0], 0.0))
    ),
    "with an axis and a slice": lambda w: cl.sum(
        cl.relu(cl.where(KEEP3[:, None], (ROWS @ w)[..., None][:, :, -1], 0.0))
    ),
    "with an axis more": lambda w: cl.sum(
        cl.relu(cl.where(KEEP3[:, None], (ROWS @ w)[None, :, :, None][0, ..., 0], 0.0))
    ),
    "filled": lambda w: cl.sum(cl.masked_fill(cl.softmax(ROWS @ w), ~KEEP3[:, None], 0.0) ** 2),
    "two ways": lambda w: cl.sum(
        cl.relu(cl.where(KEEP3[:, None], (p := ROWS @ w), 0.0)) + cl.tanh(cl.where(KEEP3[:, None], p, 1.0))
    ),
}
KEEP3 = np.array([True, False, True])


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("loss", PADDED)
def test_padded_rows_that_hold_nan_are_selected_away(loss, compiled, monkeypatch):
    run = cl.compile(cl.grad(PADDED[loss])) if compiled else cl.grad(PADDED[loss])
    got = np.asarray(run(W))
    clean = ROWS.copy()
    clean[1] = 0.5
    monkeypatch.setitem(globals(), "ROWS", clean)
    np.testing.assert_allclose(got, np.asarray(cl.grad(PADDED[loss])(W)), rtol=1e-13)


@pytest.mark.parametrize("compiled", [False, True])
def test_an_example_that_was_left_whole_is_selected_away(compiled):
    """The matrix that all examples share has one product as its cotangent, in which NaN times 0 would stay."""
    x = np.stack([ROWS[:1], ROWS[1:2], ROWS[2:]])
    chosen = lambda w, x: cl.sum(cl.where(KEEP3[:, None, None], cl.tanh(x @ w) / 0.5, 0.0))
    run = cl.compile(cl.grad(chosen)) if compiled else cl.grad(chosen)
    np.testing.assert_allclose(run(W, x), cl.grad(chosen)(W, x[KEEP3][[0, 0, 1]]), rtol=1e-13)


def test_columns_that_were_left_are_selected_away():
    weights = np.array([[1.0, np.nan], [2.0, np.inf]])
    got = cl.grad(lambda x: cl.sum((x @ weights)[:, 0]))(np.ones((3, 2)))
    assert got.tolist() == [[1.0, 2.0]] * 3


def test_elsewhere_a_product_mixes():
    mask = np.array([[True, False], [False, True], [True, True]])
    got = cl.grad(lambda w: cl.sum(cl.where(mask, ROWS @ w, 0.0)))(W)
    assert np.isnan(np.asarray(got)).any()


def test_a_linear_operation_of_the_users_own_may_subtract():
    """What it takes from two entries was chosen with it, though ones that it takes from each other are 0."""
    sides = cl.primitive(
        "structural", numpy="{x}[1:] - {x}[:-1]", shape=lambda x: (x.shape[0] - 1,),
        vjp_x=lambda g: cl.concat([-g[:1], g[:-1] - g[1:], g[-1:]]),
    )  # fmt: skip

    @sides
    def steps_of(x, /):
        """x₂ − x₁, x₃ − x₂ …"""

    try:
        x = np.array([0.0, 1.0, 4.0, 9.0])
        f = lambda x: cl.sum(cl.where(np.array([False, True, True]), steps_of(cl.sqrt(x)) ** 2, 0.0))
        np.testing.assert_allclose(cl.grad(f)(x), [0.0, -1.0, 0.0, 1 / 3], rtol=1e-15, atol=1e-15)
    finally:
        del REGISTRY["steps_of"]


@pytest.mark.parametrize("repeat", [False, True], ids=["same", "repeated"])
def test_a_way_through_thousands_of_gates_is_no_recursion(repeat):
    row = cl.tensor([[0.0, 0.0, 0.0]])

    def f(x):
        h = cl.sqrt(x)
        for _ in range(2000):
            h = cl.relu(h) + row if repeat else cl.relu(h)
        return cl.sum(h)

    x = cl.tensor([0.0, 1.0, 4.0], requires_grad=True)
    f(x).backward()
    np.testing.assert_array_equal(x.grad, [0.0, 0.5, 0.25])


def test_ways_that_part_and_meet_again_are_looked_at_once():
    x = cl.tensor([0.0, 1.0, 4.0], requires_grad=True)
    h = cl.sqrt(x)
    for _ in range(200):
        h = cl.relu(h) + cl.relu(h * 0.5)
        h = h / 1.5
    cl.sum(h).backward()
    assert x.grad[0] == 0 and np.allclose(x.grad[1:], [0.5, 0.25])


# ------------------------------------------------------------------------------ matrices that several products share
@pytest.mark.parametrize(
    "mask", [(2, 3, 1, 1), (3, 1, 1), (2, 1, 1, 1), (1, 3, 4, 1), (3, 1, 2), (4, 1), (1, 1, 1, 1)], ids=str
)
@pytest.mark.parametrize("shared", [(5, 2), (1, 5, 2), (3, 5, 2), (2, 1, 5, 2)], ids=str)
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_matrix_that_several_products_share_counts_once(mask, shared, side):
    """A gate behind the product is a factor 0 or 1; before the matrix stand steps that look at the choice."""
    rng = np.random.default_rng(3)
    x, w, s = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=shared), rng.normal(size=2)
    kept = rng.random(mask) < 0.6
    product = {"right": lambda x, w: x @ w, "left": lambda x, w: cl.matrix_transpose(w.mT @ cl.matrix_transpose(x))}[
        side
    ]

    def loss(gate):
        return lambda x, w, s: cl.sum(cl.square(gate(product(cl.exp(x), w * cl.sqrt(s * s)) / 0.5)))

    gated = loss(lambda y: cl.where(kept, y, 0.0))
    wanted = cl.grad(loss(lambda y: y * kept), argnums=(0, 1, 2))(x, w, s)
    for way in (cl.grad(gated, argnums=(0, 1, 2)), cl.compile(cl.grad(gated, argnums=(0, 1, 2)), executor="numpy")):
        for found, value in zip(way(x, w, s), wanted, strict=True):
            np.testing.assert_allclose(np.asarray(found), np.asarray(value), rtol=1e-12)


SPLITS = {
    "halves": lambda z: [z[:, :2], z[:, 2:]],
    "three, the last first": lambda z: [z[:, 3:], z[:, 1:3], z[:, :1]],
    "entries": lambda z: [z[:, 0], z[:, 3], z[:, 2], z[:, 1]],
    "split": lambda z: cl.split(z, 2, axis=1),
}


@pytest.mark.parametrize("parts", SPLITS.values(), ids=SPLITS)
def test_parts_that_are_all_of_an_array_leave_nothing(parts):
    """No mask goes along then: none is computed for the product before, and the gradient is the one of the whole."""

    def loss(w):
        return sum(cl.sum(cl.sin(part) * (k + 1)) for k, part in enumerate(parts(ROWS[::2] @ w)))

    w = np.arange(8.0).reshape(2, 4) / 8
    compiled = cl.compile(cl.grad(loss))
    assert np.asarray(compiled(w)) == pytest.approx(np.asarray(cl.grad(loss)(w)), rel=1e-14)
    assert not [eq for eq in compiled.lower(w).lowered.equations if eq.primitive.facts.chooses]


@pytest.mark.parametrize("parts", [lambda z: [z[:, :1], z[:, 2:]], lambda z: [z[:, :2], z[1:, 2:]], lambda z: [z[::2]]])
def test_parts_that_are_not_all_of_it_leave_the_rest(parts):
    def loss(x):
        return sum(cl.sum(part) for part in parts(cl.sqrt(x)))

    used = np.asarray(cl.grad(lambda x: sum(cl.sum(part) for part in parts(x)))(np.ones((3, 3)))) != 0
    x = np.where(used, 4.0, 0.0)  # √x has no derivative at 0, where nothing was chosen
    for gradient in (cl.grad(loss), cl.compile(cl.grad(loss))):
        assert np.array_equal(np.asarray(gradient(x)), np.where(used, 0.25, 0.0))
