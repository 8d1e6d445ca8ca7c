"""What eager mode runs in place of a spelling has the spelling's values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from clearprop.primitives import REGISTRY
from clearprop.program.values import complex_step
from clearprop.rules import eager

FLOATS = st.sampled_from([np.float32, np.float64])
SPECIAL = st.sampled_from([0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan, 1e-40, 3e38])
REPLACED = {"sum", "mean", "max", "min", "where", "broadcast_to", "softmax", "one_hot", "relu", "permute_dims",
            "softmax_cross_entropy",
            "require_range", "require_probabilities", "cholesky", "eigenvectors", "eigvalsh", "inv", "left_vectors",
            "pinv", "right_vectors", "solve", "solve_triangular", "svdvals",
            "eigvals", "general_eigenvectors", "matmul", "conv", "conv_input"}  # fmt: skip


def test_these_primitives_have_an_eager_form():
    different = {
        name for name, p in REGISTRY.items() if p._compute is not p.reference and p.__module__.startswith("clearprop.")
    }
    assert different == REPLACED


@st.composite
def matrices(draw):
    shape = draw(st.tuples(st.integers(1, 60), st.integers(1, 60)))
    x = np.random.default_rng(draw(st.integers(0, 9))).standard_normal(shape).astype(draw(FLOATS))
    for value in draw(st.lists(SPECIAL, max_size=3)):
        x[draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))] = value
    return np.asfortranarray(x) if draw(st.booleans()) else x


@given(x=matrices())
def test_relu_has_the_bits_of_its_body(x):
    p = REGISTRY["relu"]
    got, wanted = p._compute(x), p.reference(x)
    assert got.dtype == wanted.dtype
    assert got.tobytes() == wanted.tobytes()


@given(x=matrices(), axis=st.sampled_from([(-1,), (-2,), (-2, -1)]), keepdims=st.booleans())
def test_extremes_equal_the_spelling_everywhere(x, axis, keepdims):
    for name in ("max", "min"):
        p = REGISTRY[name]
        got, wanted = (f(x, axis=axis, keepdims=keepdims) for f in (p._compute, p.reference))
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)


@given(x=matrices(), columns=st.integers(1, 40))
def test_products_are_the_spelling_unless_a_prediction_asks_for_an_order_of_sums(x, columns):
    w = np.random.default_rng(1).standard_normal((x.shape[1], columns)).astype(x.dtype)
    image, kernel = x[None, :, :, None], w[:1, :1].reshape(1, 1, 1, 1)
    for name, operands, params in (
        ("matmul", (x, w), {}),
        ("conv", (image, kernel), {"stride": (1, 1), "dilation": (1, 1), "groups": 1}),
    ):
        p = REGISTRY[name]
        with np.errstate(all="ignore"):
            got, wanted = (f(*operands, **params) for f in (p._compute, p.reference))
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)


@given(x=matrices(), axis=st.sampled_from([(-1,), (-2,), (-2, -1)]), keepdims=st.booleans())
def test_sums_differ_by_rounding_alone(x, axis, keepdims):
    p = REGISTRY["sum"]
    with np.errstate(all="ignore"):
        got, wanted = (f(x, axis=axis, keepdims=keepdims) for f in (p._compute, p.reference))
        size = np.sum(np.abs(x.astype(np.float64)), axis=axis, keepdims=keepdims)
    assert got.dtype == wanted.dtype
    assert got.shape == wanted.shape
    safe = size < 0.5 * np.finfo(x.dtype).max  # above, the order decides whether the sum overflows on its way
    np.testing.assert_array_equal(
        np.asarray(np.isnan(got))[~np.isfinite(size)], np.asarray(np.isnan(wanted))[~np.isfinite(size)]
    )
    bound = x.size * np.finfo(x.dtype).eps * size
    gap = np.abs(np.asarray(got, np.float64)[safe] - np.asarray(wanted)[safe])
    assert (gap <= np.asarray(bound)[safe]).all()


@given(
    x=arrays(np.float32, st.tuples(st.integers(1, 70), st.integers(1, 70)), elements=SPECIAL, fill=st.just(1.5)),
    seed=st.integers(0, 9),
    other=st.sampled_from([0.0, -0.0, 1.0, np.nan]),
)
def test_a_choice_keeps_every_bit(x, seed, other):
    condition = np.random.default_rng(seed).random(x.shape) < 0.5
    p = REGISTRY["where"]
    got, wanted = p._compute(condition, x, other), p.reference(condition, x, other)
    assert got.dtype == wanted.dtype
    assert got.tobytes() == wanted.tobytes()


@given(shape=array_shapes(max_dims=3, max_side=5), more=array_shapes(max_dims=2, max_side=4))
def test_spreading_equals_broadcasting(shape, more):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)[..., :1]
    target = (*more, *shape)
    np.testing.assert_array_equal(eager.spread(x, target), np.broadcast_to(x, target))


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.complex128])
def test_softmax_equals_its_body(axis, dtype):
    x = np.random.default_rng(0).standard_normal((40, 7)) * 5
    p = REGISTRY["softmax"]
    with complex_step():
        got, wanted = (f(x.astype(dtype), axis=axis - 2 if axis >= 0 else axis) for f in (p._compute, p.reference))
    assert got.dtype == wanted.dtype
    np.testing.assert_allclose(got, wanted, rtol=20 * np.finfo(got.dtype).eps)


def test_labels_outside_have_no_one():
    labels = np.array([0, 2, 3, -1])
    p = REGISTRY["one_hot"]
    got, wanted = (f(labels, size=3, dtype=np.dtype("float32")) for f in (p._compute, p.reference))
    np.testing.assert_array_equal(got, wanted)
    np.testing.assert_array_equal(got.sum(axis=1), [1, 1, 0, 0])


@given(x=matrices(), seed=st.integers(0, 9), kind=st.sampled_from(["i8", "u1"]))
def test_losses_of_classes_equal_their_body(x, seed, kind):
    """The loss to the bit, as its derivative: NaN and infinities too."""
    p, (rows, classes) = REGISTRY["softmax_cross_entropy"], x.shape
    labels = np.random.default_rng(seed).integers(0, classes, rows).astype(kind)
    with np.errstate(all="ignore"):
        got, wanted = p._compute(x, labels), p.reference(x, labels)
        assert got.dtype == wanted.dtype == x.dtype
        np.testing.assert_array_equal(got, wanted)
        excess = eager.class_excess(x, labels)
        np.testing.assert_array_equal(excess, eager.softmax(x, -1) - eager.one_hot(labels, classes, x.dtype))
        assert excess.dtype == x.dtype
        of_others = eager.class_excess(x.copy("K"), labels)  # of logits whose loss was not computed last
        np.testing.assert_array_equal(of_others, excess)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_relu_of_many_has_the_bits_of_its_body_and_writes_where_it_is_told(dtype):
    p, rng = REGISTRY["relu"], np.random.default_rng(0)
    x = rng.choice(np.array([0.0, -0.0, 1.5, -2.0, np.inf, -np.inf, np.nan], dtype), 2 * eager.SMALL + 5)
    wanted = p.reference(x)
    assert p._compute(x).tobytes() == wanted.tobytes()
    assert p._compute(x[None]).tobytes() == wanted.tobytes()
    assert eager.rectify_in_place(x) is x
    assert x.tobytes() == wanted.tobytes()


@given(x=arrays(np.float64, st.integers(0, 9), elements=st.floats(-5, 5)), whole=st.booleans(), keepdims=st.booleans())
def test_a_mean_has_the_bits_of_its_body(x, whole, keepdims):
    p = REGISTRY["mean"]
    x = x.astype(np.int8) if whole else x
    with np.errstate(all="ignore"):
        got, wanted = (f(x, axis=(-1,), keepdims=keepdims) for f in (p._compute, p.reference))
    assert got.dtype == wanted.dtype
    np.testing.assert_array_equal(got, wanted)
