"""Entries of convolutions, opened: what met what, closed sums, and zeros with their reason."""

import numpy as np
import pytest

import clearprop as cl

RNG = np.random.default_rng(5)
FORMS = {
    "a plane": ((2, 6, 5, 2), (3, 3, 2, 3), {"padding": "same"}),
    "strides and groups": ((2, 7, 6, 4), (3, 2, 2, 4), {"stride": (2, 1), "groups": 2}),
    "a line": ((3, 9, 2), (3, 2, 2), {"dilation": 2}),
}


def loss_of(form):
    xs, ws, given = FORMS[form]
    x = cl.tensor(RNG.normal(size=xs), name="x", requires_grad=True)
    w = cl.tensor(RNG.normal(size=ws), name="w", requires_grad=True)
    h = cl.relu(cl.conv(x, w, **given))
    pooled = cl.max_pool(h, (2,) * (len(xs) - 2))
    return cl.sum(pooled**2), x, w


@pytest.mark.parametrize("form", FORMS)
def test_random_entries_close_and_agree_with_differences(form):
    y, x, w = loss_of(form)
    y.backward()
    for value in (x, w):
        opened = cl.explain(y, wrt=value)
        for at in RNG.integers(0, value.size, 6):
            index = tuple(map(int, np.unravel_index(at, value.shape)))
            entry = opened[index]
            assert entry.value == pytest.approx(float(value.grad[index]), rel=1e-12, abs=1e-12)
            total = sum(t.value for t in entry.terms) + entry.rest
            assert total == pytest.approx(entry.value, rel=1e-9, abs=1e-9)
            entry.check()


def test_a_term_is_an_entry_of_the_other_operand():
    x = cl.tensor(RNG.normal(size=(1, 4, 4, 1)), name="x", requires_grad=True)
    w = cl.tensor(RNG.normal(size=(2, 2, 1, 1)), name="w", requires_grad=True)
    z = cl.sum(cl.conv(x, w, stride=2))
    entry = cl.explain(z, wrt=w)[0, 1, 0, 0]
    assert sorted(t.value for t in entry.terms) == pytest.approx(sorted(np.ravel(np.asarray(x)[0, ::2, 1::2, 0])))
    assert "x[0,2,3,0]" in str(entry)
    assert sum(path.value for path in entry.paths(4)) == pytest.approx(entry.value)


def test_a_pixel_outside_of_every_window_says_so():
    x = cl.tensor(RNG.normal(size=(1, 5, 5, 1)), name="x", requires_grad=True)
    z = cl.sum(cl.conv(x, np.ones((2, 2, 1, 1)), stride=2))
    entry = cl.explain(z, wrt=x)[0, 4, 1, 0]
    assert (entry.status, entry.value) == ("zero", 0.0)
    assert entry.reason == "not on any path: x[0,4,1,0] is outside the receptive field of conv"


def test_an_infinite_weight_is_told_and_no_other_term_is_lost():
    x = cl.tensor(np.ones((1, 3, 1)), name="x", requires_grad=True)
    w = cl.tensor(np.array([np.inf, 2.0]).reshape(2, 1, 1), name="w", requires_grad=True)
    z = cl.conv(x, w)[0, 0, 0]
    opened = cl.explain(z, wrt=x)
    assert opened[0, 0, 0].value == np.inf
    assert opened[0, 1, 0].terms[0].value == 2.0
