"""Other dtypes, composites opened, custom rules, deep programs, and what it costs."""

import tracemalloc

import numpy as np
import pytest

import clearprop as cl


# ---------------------------------------------------------------------------------------------- other dtypes
def _loss(w, x):
    h = cl.tanh(x @ w)
    return cl.mean(h * h)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_the_same_entry_in_another_dtype(dtype):
    rng = np.random.default_rng(0)
    w, x = rng.standard_normal((4, 3)), rng.standard_normal((6, 4))
    entry = cl.explain(_loss, "w", args=(w, x))[2, 1]
    other = entry.at(dtype)
    assert other.rounding.dtype == dtype
    assert other.rounding.holds
    assert other.symbol == entry.symbol
    assert abs(other.value - entry.value) <= 20 * np.finfo(dtype).eps
    assert [f.symbol for t in other.show(6).terms for f in t.factors] == [
        f.symbol for t in entry.show(6).terms for f in t.factors
    ]
    if dtype != "float16":  # which no user's tensor has
        plain = cl.grad(_loss)(w.astype(dtype), x.astype(dtype))
        assert other.value == float(plain.numpy()[2, 1])


def test_float16_loses_what_float64_keeps():
    x = cl.tensor([1e-3], name="x", requires_grad=True)
    y = cl.sum(x * 1e-6)
    entry = cl.explain(y, wrt=x)[0]
    assert entry.value == 1e-6
    assert entry.at("float16").value == pytest.approx(1e-6, rel=0.05)


def test_a_float32_gradient_is_checked_in_float64():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 5)).astype(np.float32)
    w = cl.tensor(rng.standard_normal((5, 4)).astype(np.float32) * 3, name="w", requires_grad=True)
    entry = cl.explain(cl.mean(cl.sigmoid(x @ w) ** 3), wrt=w)[1, 2]
    check = entry.check()
    assert check.agrees
    assert check.relative < 1e-9
    assert check.gradient != entry.value  # the one of float64 is compared


# ------------------------------------------------------------------------------------------------ composites
@pytest.mark.parametrize(
    "name", ["relu", "sigmoid", "softplus", "gelu", "gelu_tanh", "silu", "elu", "logsumexp", "var", "softmax"]
)
def test_a_composite_opens_into_its_body(name):
    x = cl.tensor([0.3, -1.2, 0.8], name="x", requires_grad=True)
    y = cl.sum(getattr(cl, name)(x) * np.array([1.0, 2.0, -1.0]))
    opened = 0
    for entry in cl.explain(y, wrt=x):
        for term in entry.terms:
            for factor in term.factors:
                if factor.is_composite:
                    body = factor.body()
                    assert body.value == pytest.approx(factor.value, rel=1e-9, abs=1e-15)
                    assert body.check().agrees
                    opened += 1
    assert opened >= 3


def test_a_leaf_has_no_body():
    x = cl.tensor(0.3, name="x", requires_grad=True)
    (term,) = cl.explain(cl.exp(x), wrt=x, index=()).terms
    assert not term.factors[0].is_composite
    assert term.factors[0].body() is None


def test_relu_is_one_factor_and_its_body_is_maximum():
    z = cl.tensor(6.0, name="z", requires_grad=True)
    y = cl.relu(z)
    (term,) = cl.explain(y, wrt=z, index=()).terms
    body = term.factors[0].body()
    assert str(body).splitlines()[0] == "∂ReLU/∂z = dmaximum(z,0)/dz = 1"


# ---------------------------------------------------------------------------------------- rules of the user's
def test_a_rule_of_the_users_own_is_opened_and_the_check_says_that_it_is_one():
    @cl.custom_rule(x=lambda g: g)
    def straight_through(x):
        return cl.round(x)

    x = cl.tensor([1.4, 2.2], name="x", requires_grad=True)
    entry = cl.explain(cl.sum(straight_through(x) * 3.0), wrt=x)[0]
    assert entry.value == entry.total == 3.0
    check = entry.check()
    assert not check.agrees
    assert check.note == "a rule of the user's own stands on the way"


def test_a_composite_of_the_users_with_several_outputs():
    @cl.composite(
        vjp_x=lambda g, x: g[0] * cl.cos(x) - g[1] * cl.sin(x),
        jvp=lambda x_dot, x: (x_dot * cl.cos(x), -x_dot * cl.sin(x)),
    )
    def circle(x, /):
        """The point of the unit circle at an angle."""
        return cl.sin(x), cl.cos(x)

    x = cl.tensor([0.4, 1.1], name="x", requires_grad=True)
    s, c = circle(x)
    y = cl.sum(s * c)
    explanation = cl.explain(y, wrt=x)
    np.testing.assert_allclose(explanation.gradient, np.cos(2 * np.array([0.4, 1.1])))
    entry = explanation[1]
    assert entry.total == pytest.approx(entry.value, rel=1e-14)
    assert entry.count == 2
    assert entry.rounding.holds


# ------------------------------------------------------------------------------------------------- deep, fast
def test_a_deep_program_is_opened_without_recursion():
    x = cl.tensor(0.5, name="x", requires_grad=True)
    y = x
    for i in range(20_000):
        y = y * 1.0001 if i % 2 else y + 1e-5
    entry = cl.explain(y, wrt=x, index=())
    assert entry.value == pytest.approx(1.0001**10_000, rel=1e-9)
    assert entry.count == 1
    assert "one term" in str(entry)
    assert entry.terms[0].open().terms[0].open().value == pytest.approx(entry.value, rel=1e-3)


def test_the_reason_for_zero_is_found_at_the_end_of_a_long_way():
    x = cl.tensor(0.5, name="x", requires_grad=True)
    y = x
    for _ in range(2000):
        y = y * 1.001
    z = y - 100.0
    entry = cl.explain(cl.relu(z), wrt=x, index=())
    assert entry.reason.startswith("ReLU gate closed: z = −96.")


def _large():
    model = cl.nn.mlp([784, 1024, 1024, 10], activation="relu", seed=0)
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((512, 784)).astype(np.float32), rng.integers(0, 10, 512)
    return lambda model, x: cl.nn.cross_entropy(model(x), t), (model, x)


def test_an_entry_of_a_large_network_opens_in_the_memory_of_a_step():
    """784-1024-1024-10, batch 512: weights and activations are 20 MB, one layer's Jacobian would be terabytes."""
    f, args = _large()
    tracemalloc.start()
    try:
        entry = cl.explain(f, "layers[0].weight", args=args)[3, 5]
        opened = [t.open() for t in entry.terms]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert entry.count == 512
    assert all(e.value == t.delta for e, t in zip(opened, entry.terms, strict=True))
    assert peak < 80e6


@pytest.mark.verify
def test_the_largest_paths_of_a_large_network():
    f, args = _large()
    entry = cl.explain(f, "layers[0].weight", args=args)[3, 5]
    paths = entry.paths(5)
    assert [abs(p.value) for p in paths] == sorted((abs(p.value) for p in paths), reverse=True)
    assert len(paths[0].factors) == 10


def test_a_target_made_where_it_is_explained_has_no_name_of_its_own():
    x = cl.tensor([1.0, 2.0], name="x", requires_grad=True)
    opened = cl.explain(cl.sum(x * x), wrt=x)
    total = cl.sum(x * x)
    named = cl.explain(total, wrt=x)
    assert [repr(e) for e in (opened[0], named[0])] == ["<∂y/∂x₀ = 2, 2 terms>", "<∂total/∂x₀ = 2, 2 terms>"]


def test_names_are_kept_in_another_dtype():
    model, rows = cl.nn.mlp([2, 2, 1], seed=0), np.array([[1.0, 2.0]], np.float32)
    entry = cl.explain(lambda m, x: cl.sum(m(x)), "x", args=(model, rows), index=(0, 1))
    for dtype in (np.float32, np.float64):
        assert "layers[0].weight" in str(entry.at(dtype))
