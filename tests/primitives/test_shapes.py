"""Shapes by Hypothesis: whatever NumPy's rules allow, values and gradients have the right shapes and are adjoint."""

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import clearprop as cl
from clearprop.primitives import REGISTRY, Rule
from tests.primitives.factory import assert_close, assert_same_bits
from tests.primitives.table import TABLE

ROWS = {row.name: row for row in reversed(TABLE)}
BROADCASTING = [
    name for name, p in REGISTRY.items()
    if p.kind == "elementwise" and len(p.operands) > 1 and any(isinstance(r, Rule) for r in p.rules)
]  # fmt: skip
REDUCING = ["sum", "mean", "max", "min", "logsumexp", "prod", "var", "norm"]


def assert_adjoint(f, operands, seed):
    rng = np.random.default_rng(seed)
    v = [rng.standard_normal(np.shape(x)) for x in operands]
    out, tangent = cl.jvp(f, operands, v)
    u = rng.standard_normal(out.shape)
    back = cl.vjp(f, *operands)[1](u)
    for g, x in zip(back, operands, strict=True):
        assert g.shape == np.shape(x)
    left = u * tangent.numpy()
    right = [g.numpy() * d for g, d in zip(back, v, strict=True)]
    size = np.abs(left).sum() + sum(np.abs(r).sum() for r in right)
    assert abs(left.sum() - sum(r.sum() for r in right)) <= 1e-12 * size


@pytest.mark.parametrize("name", BROADCASTING)
@given(data=st.data())
def test_broadcasting(name, data):
    primitive, row = REGISTRY[name], ROWS[name]
    shapes = data.draw(
        hnp.mutually_broadcastable_shapes(num_shapes=len(primitive.operands), max_dims=3, max_side=3, min_side=0)
    )
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    operands = [d(rng, s, {}) for d, s in zip(row.draws, shapes.input_shapes, strict=True)]
    operands = [x[()] if x.ndim == 0 else x for x in map(np.asarray, operands)]
    assert np.shape(primitive(*operands)) == shapes.result_shape
    smooth = [k for k, r in enumerate(primitive.rules) if isinstance(r, Rule) and operands[k].dtype.kind == "f"]

    def f(*chosen):
        full = list(operands)
        for k, x in zip(smooth, chosen, strict=True):
            full[k] = x
        return primitive(*full)

    assert_adjoint(f, [operands[k] for k in smooth], 0)


@given(
    shapes=hnp.mutually_broadcastable_shapes(signature="(n,k),(k,m)->(n,m)", max_dims=2, max_side=3, min_side=0),
    seed=st.integers(0, 99),
)
def test_matrix_products(shapes, seed):
    rng = np.random.default_rng(seed)
    a, b = (rng.standard_normal(s) for s in shapes.input_shapes)
    out = cl.matmul(a, b)
    assert out.shape == shapes.result_shape
    assert_close(out, np.einsum("...nk,...km->...nm", a, b), 1e-14, 5.0, "matmul")
    assert_adjoint(cl.matmul, [a, b], seed)


@given(
    shapes=st.sampled_from(
        [((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((3,), (4, 3, 2)), ((4, 2, 3), (3,)), ((0,), (0,))]
    ),
    seed=st.integers(0, 9),
)
def test_vectors_in_matrix_products(shapes, seed):
    rng = np.random.default_rng(seed)
    a, b = (rng.standard_normal(s) for s in shapes)
    assert_close(cl.matmul(a, b), np.matmul(a, b), 1e-14, 5.0, "matmul")
    assert_adjoint(cl.matmul, [a, b], seed)


@pytest.mark.parametrize("name", REDUCING)
@given(data=st.data())
def test_reductions(name, data):
    smallest = 0 if name in ("sum", "prod") else 1
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=smallest, max_side=3))
    axes = data.draw(
        st.none()
        | hnp.valid_tuple_axes(len(shape))
        | (st.integers(-len(shape), len(shape) - 1) if shape else st.none())
    )
    keepdims = data.draw(st.booleans())
    x = ROWS[name].draws[0](np.random.default_rng(data.draw(st.integers(0, 99))), shape, {})
    x = x[()] if np.ndim(x) == 0 else x
    f = lambda t: getattr(cl, name)(t, axis=axes, keepdims=keepdims)
    out = f(x)
    assert out.shape == np.sum(np.zeros(shape), axis=axes, keepdims=keepdims).shape
    assert_close(out, ROWS[name].oracle(np.asarray(x), axes, keepdims), 1e-13, 5.0, name)
    assert_adjoint(f, [x], 0)


@given(data=st.data())
def test_basic_indexing(data):
    x = data.draw(
        hnp.arrays(np.float64, hnp.array_shapes(min_dims=1, max_dims=3, max_side=4), elements=st.floats(-2, 2))
    )
    key = data.draw(hnp.basic_indices(x.shape, max_dims=5, allow_newaxis=True))
    assert_same_bits(cl.tensor(x)[key], x[key], f"x[{key}]")
    if x[key].size:
        assert_adjoint(lambda t: t[key], [x], 0)


@given(data=st.data())
def test_integer_indexing(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=3))
    axis = data.draw(st.integers(0, len(shape) - 1))
    n = shape[axis]
    indices = data.draw(
        hnp.arrays(np.int64, hnp.array_shapes(min_dims=0, max_dims=2, max_side=3), elements=st.integers(-n, n - 1))
    )
    x = np.random.default_rng(0).standard_normal(shape)
    indices = indices[()] if indices.ndim == 0 else indices
    assert_same_bits(cl.take(x, indices, axis=axis), np.take(x, indices, axis=axis), "take")
    assert_adjoint(lambda t: cl.take(t, indices, axis=axis), [x], 0)
    key = (*[slice(None)] * axis, indices)
    assert_same_bits(cl.tensor(x)[key], x[key], "x[…, indices]")


@given(data=st.data())
def test_reshaping(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
    x = np.random.default_rng(0).standard_normal(shape)
    order = data.draw(st.permutations(range(len(shape))))
    assert_same_bits(cl.permute_dims(x, order), np.transpose(x, order), "permute_dims")
    assert_adjoint(lambda t: cl.permute_dims(t, order), [x], 0)
    flat = [int(n) for n in order]
    target = (*tuple(shape[i] for i in flat[:-1]), -1)
    assert_same_bits(cl.reshape(x, target), x.reshape(target), "reshape")
    assert_adjoint(lambda t: cl.reshape(t, target), [x], 0)
    wide = (2, *shape)
    assert_same_bits(cl.broadcast_to(x, wide), np.broadcast_to(x, wide), "broadcast_to")
    assert_adjoint(lambda t: cl.broadcast_to(t, wide), [x], 0)


@pytest.mark.parametrize(
    ("shape", "wanted", "axis"),
    [((2, 3), (1, 4), -1), ((1, 3), (2, 4), 1), ((3, 1), (2, 5), 0), ((2, 3, 4), (2, 1, 2), -1), ((1, 1), (2, 2), 0)],
)
def test_gathering_along_an_axis_broadcasts_the_others(shape, wanted, axis):
    rng = np.random.default_rng(0)
    x, indices = rng.standard_normal(shape), rng.integers(0, shape[axis], wanted)
    f = lambda t: cl.take_along_axis(t, indices, axis=axis)
    assert_same_bits(f(x), np.take_along_axis(x, indices, axis), "take_along_axis")
    assert_adjoint(f, [x], 0)
    assert_same_bits(cl.compile(f)(x), f(x), "take_along_axis compiled")
    g = cl.grad(lambda t: cl.sum(f(t) ** 2))
    assert_close(cl.compile(g)(x), g(x).numpy(), 1e-14, 1.0, "its gradient compiled")
    assert_close(cl.vmap(f)(np.stack([x, 2 * x])), np.stack([f(x), f(2 * x)]), 0.0, 0.0, "its batches")
