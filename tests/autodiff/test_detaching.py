"""Nothing detaches silently: what a transform follows does not become numbers without a word."""

import math

import numpy as np
import pytest
import scipy.stats

import clearprop as cl
from clearprop.errors import GradientError, TraceError
from tests.tiers import together

X = np.array([0.3, 0.7])
CUTS = {
    "float": lambda x: x[0] * float(x[1]),
    "int": lambda x: x[0] * int(x[1]),
    "item": lambda x: x[0] * x[1].item(),
    "tolist": lambda x: x[0] * x.tolist()[1],
    "numpy": lambda x: x[0] * x.numpy()[1],
    "asarray": lambda x: cl.sum(x * np.asarray(x)),
    "r_": lambda x: cl.sum(x[0] * np.r_[x, x]),
    "c_": lambda x: cl.sum(x[0] * np.c_[x, x]),
    "array of elements": lambda x: cl.sum(x * np.array([x[0], x[1]])),
    "math": lambda x: x[0] * math.sin(x[1]),
    "scipy": lambda x: cl.sum(x * scipy.stats.norm.pdf(x)),
    "a function of it": lambda x: x[0] * float(cl.exp(x[1])),
}
TRANSFORMS = {
    "grad": lambda f, x: cl.grad(f)(x),
    "vjp": lambda f, x: cl.vjp(f, x),
    "jvp": lambda f, x: cl.jvp(f, (x,), (x,)),
    "jacobian": lambda f, x: cl.jacobian(f)(x),
    "hvp": lambda f, x: cl.hvp(f, x, x),
    "hessian": lambda f, x: cl.hessian(f)(x),
    "compiled": lambda f, x: cl.compile(cl.grad(f))(x),
}


@together("transform", TRANSFORMS)
@pytest.mark.parametrize("cut", CUTS)
def test_a_conversion_that_would_cut_a_derivative_off_raises(cut, transform):
    with pytest.raises((GradientError, TraceError)) as caught:
        TRANSFORMS[transform](CUTS[cut], X)
    assert caught.value.expected
    assert caught.value.try_


def test_the_message_says_what_to_write():
    with pytest.raises(GradientError) as caught:
        cl.grad(CUTS["math"])(X)
    assert str(caught.value).splitlines()[0] == "float(x) would cut off a derivative that is being computed"
    assert "cl.sin" in caught.value.try_
    assert "cl.stop_gradient" in caught.value.try_


@pytest.mark.parametrize(
    "constant",
    [
        lambda x: float(cl.stop_gradient(x[1])),
        lambda x: float(x.detach()[1]),
        lambda x: float(cl.floor(x[1])) + 0.7,
        lambda x: 0.7 if x[1] > 0.5 else 0.0,
        lambda x: float(f"{x[1]:.1f}"),
        lambda x: float(cl.tensor(0.7, requires_grad=True) * 1),
        lambda x: 0.7 if np.allclose(x, X) else 0.0,
    ],
)
def test_constants_and_questions_still_read(constant):
    assert cl.grad(lambda x: x[0] * constant(x))(X).tolist() == [0.7, 0.0]


def test_what_is_merely_recorded_still_reads():
    w = cl.tensor([1.0, 2.0], requires_grad=True)
    loss = cl.sum(w * w)
    assert float(loss) == loss.item() == 5.0
    np.testing.assert_array_equal(np.asarray(loss), 5.0)
    loss.backward()
    assert w.grad.tolist() == [2.0, 4.0]


def test_after_the_transform_a_kept_value_reads():
    kept = []
    cl.grad(lambda x: kept.append(x * 2) or cl.sum(x))(X)
    np.testing.assert_array_equal(np.asarray(kept[0]), 2 * X)


def test_an_error_inside_leaves_nothing_followed():
    with pytest.raises(GradientError):
        cl.grad(CUTS["float"])(X)
    y = cl.tensor(2.0, requires_grad=True) * 3
    assert float(y) == 6.0
