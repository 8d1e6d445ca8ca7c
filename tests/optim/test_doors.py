"""What enters a rule as gradients, and what is added to parameters: numbers of their shape, or a refusal."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import DTypeError, ShapeError

PARAMS = {"w": cl.tensor([1.0, 2.0, 3.0])}
RULES = {
    "sgd": cl.optim.sgd(0.5),
    "adam": cl.optim.adam(0.5),
    "lbfgs": cl.optim.lbfgs(0.5),
    "clip_by_norm": cl.optim.clip_by_norm(1.0),
    "chain": cl.optim.chain(cl.optim.clip_by_norm(1.0), cl.optim.trace_momentum(0.9), cl.optim.sgd(0.5)),
    "masked": cl.optim.masked(cl.optim.sgd(0.5), "all"),
    "groups": cl.optim.groups(cl.optim.sgd(0.5), ("w", cl.optim.adam(0.1))),
    "accumulate": cl.optim.accumulate(cl.optim.sgd(0.5), 2),
}
DOORS = {
    **{name: lambda g, rule=rule: rule.update(g, rule.init(PARAMS), PARAMS)[0] for name, rule in RULES.items()},
    "apply_updates": lambda g: cl.optim.apply_updates(PARAMS, g),
}
REFUSED = {
    "masked": (np.ma.masked_array([1.0, 2.0, 3.0], [False, True, False]), DTypeError),
    "text": (np.array(["a", "b", "c"]), DTypeError),
    "half precision": (np.ones(3, np.float16), DTypeError),
    "complex": (np.ones(3) * 1j, DTypeError),
    "fewer": (np.ones(2), ShapeError),
    "one for all": (np.ones(1), ShapeError),
    "a number for all": (1.0, ShapeError),
    "a column": (np.ones((3, 1)), ShapeError),
}


@pytest.mark.parametrize("door", DOORS)
def test_what_is_no_gradient_of_the_parameters_is_refused(door):
    for name, (gradient, error) in REFUSED.items():
        with pytest.raises(error) as caught:
            DOORS[door]({"w": gradient})
        assert caught.value.got and caught.value.try_, name


@pytest.mark.parametrize("door", DOORS)
def test_integers_are_the_numbers_that_they_are(door):
    whole, floats = (DOORS[door]({"w": np.array([1, -2, 3], dtype)})["w"] for dtype in (int, float))
    assert whole.dtype == np.float64 and np.array_equal(whole, floats)
