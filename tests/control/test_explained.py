"""Loops and branches in explanations: entries check, sums close, and a loop opens into its steps."""

import numpy as np
import pytest

import clearprop as cl
from tests.control.programs import PAIRS


def leaf(value, name):
    return cl.tensor(value, name=name, requires_grad=True)


@pytest.mark.parametrize(
    "pair", [p for p in PAIRS if all(isinstance(a, (np.ndarray, np.float64)) for a in p.args)], ids=str
)
def test_every_entry_checks_and_its_terms_add_up(pair):
    args = [leaf(a, f"a{k}") for k, a in enumerate(pair.args)]
    out = pair.loop(*args)
    for wrt, want in zip(args, cl.grad(pair.written, tuple(range(len(args))))(*pair.args), strict=True):
        entry = cl.explain(out, wrt=wrt, index=(0,) * len(wrt.shape))
        assert entry.check().agrees
        np.testing.assert_allclose(entry.value, np.ravel(want.numpy())[0], rtol=1e-12)
        total = sum(term.value for term in entry.terms) + entry.rest
        np.testing.assert_allclose(total, entry.value, rtol=1e-12, atol=1e-14)


def test_a_loop_opens_into_its_steps():
    w, x = leaf(0.5, "w"), leaf([1.0, 2.0, 3.0], "x")
    last, _ = cl.scan(lambda h, x: (cl.tanh(w * h + x), None), 0.0, x)
    entry = cl.explain(last, wrt=w, index=())
    (factor,) = entry.terms[0].factors
    assert factor.operation == "scan" and factor.is_composite
    steps = factor.body()
    h1 = np.tanh(1.0)
    h2 = np.tanh(0.5 * h1 + 2.0)
    h3 = np.tanh(0.5 * h2 + 3.0)
    through_two = (1 - h3**2) * 0.5 * (1 - h2**2) * h1
    assert sorted(t.value for t in steps.terms) == pytest.approx([0.0, through_two, (1 - h3**2) * h2])
    assert steps.value == pytest.approx(entry.value, rel=1e-12)
    assert "h1 = 0.761594" in str(steps) and "h2 = " in str(steps)


def test_a_branch_opens_into_what_was_taken():
    x = leaf(4.0, "x")
    y = cl.cond(x > 1, lambda x: cl.sqrt(x) * 3, lambda x: x, x)
    (factor,) = cl.explain(y, wrt=x, index=()).terms[0].factors
    assert "√" in str(factor.body()) or "sqrt" in str(factor.body())
    assert factor.body().value == pytest.approx(0.75)


def test_remat_opens_into_its_operations():
    x = leaf(0.3, "x")
    (factor,) = cl.explain(cl.remat(lambda x: cl.sin(cl.sin(x)))(x), wrt=x, index=()).terms[0].factors
    assert factor.body().value == pytest.approx(np.cos(np.sin(0.3)) * np.cos(0.3))
