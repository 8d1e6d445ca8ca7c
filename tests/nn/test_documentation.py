"""Every public name of `cl.nn` and `cl.optim` has an example, and says in a block what each argument is."""

import inspect
import re

import pytest

from clearprop import nn, optim

PUBLIC = [
    (f"{module.__name__.rpartition('.')[2]}.{name}", getattr(module, name))
    for module in (nn, optim)
    for name in dir(module)
    if callable(getattr(module, name)) and not name.startswith("_")
]


@pytest.mark.parametrize(("name", "value"), PUBLIC, ids=[name for name, _ in PUBLIC])
def test_an_example_runs_and_every_argument_is_explained(name, value):
    text = inspect.getdoc(value)
    assert ">>> " in text
    explained = re.findall(r"^ *((?:\w+, )*\w+)  +\S", text, re.MULTILINE)
    told = {word for words in explained for word in words.split(", ")}
    assert arguments(value) - told == set()


def arguments(value):
    """What a caller may pass; bases of one's own modules and rules take what their subclasses do."""
    if value in (nn.Module, optim.Transform, optim.Schedule, optim.Method):
        return set()
    return set(inspect.signature(value).parameters)
