"""Random entries over all layers, opened: they agree with numerical derivatives, and their sums close.

Zeros say why they are: outside the receptive field, not the largest of a window, a step that a mask leaves out.
"""

import numpy as np
import pytest

import clearprop as cl
from tests.nn.peer_cases import LAYERS
from tests.tiers import later

MANY = 200
KEPT = range(3, MANY, 10)


def total_of(case):
    """A number that depends on every output of a layer, and what can be opened of it: paths and shapes."""
    model, inputs = case.model(), case.inputs
    first = np.shape(np.asarray(case.compute(model, *inputs)))
    weights = np.random.default_rng(0).normal(size=first)

    def total(model, inputs):
        return cl.sum(case.compute(model, *inputs) * weights)

    places = {} if model is None else {name: np.shape(value) for name, value in model.parameters().items()}
    floats = {f"inputs[{i}]": a.shape for i, a in enumerate(inputs) if np.asarray(a).dtype.kind == "f"}
    return total, (model, inputs), {**places, **floats}


@pytest.mark.parametrize("number", [*KEPT, *later([n for n in range(MANY) if n not in KEPT])])
def test_a_random_entry_agrees_with_differences_and_its_sum_closes(number):
    case, rng = LAYERS[number % len(LAYERS)], np.random.default_rng(number)
    total, args, places = total_of(case)
    path = sorted(places)[rng.integers(len(places))]
    index = tuple(int(rng.integers(n)) for n in places[path])
    entry = cl.explain(total, path, args=args)[index]
    entry.check()
    summed = sum(term.value for term in entry.terms) + entry.rest
    assert summed == pytest.approx(entry.value, rel=1e-9, abs=1e-12)
    assert entry.value or entry.reason
