"""Every public name of an earlier version is still there, and takes the arguments that it took.

A name that was replaced may say so, by a DeprecationWarning that names one which is there.
"""

import inspect
import json
import re
import warnings
from contextlib import contextmanager
from functools import reduce

import pytest

import clearprop as cl
from tests.fixtures.version_0_1 import names
from tests.fixtures.version_0_1.outcomes import HERE
from tests.tiers import together

BEFORE = json.loads((HERE / "public_names.json").read_text(encoding="utf-8"))
FUNCTIONS = [(place, name) for place, known in BEFORE["names"].items() for name, text in known.items() if text]


@contextmanager
def replaced_by_what_is_there():
    """Nothing warns in this block, except that a name was replaced by one that can be found."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield
    for warning in said:
        assert issubclass(warning.category, DeprecationWarning), warning.message
        new = re.findall(r"\b(?:cl|clearprop)((?:\.\w+)+)", str(warning.message))
        assert any(is_there(path) for path in new), warning.message


def is_there(path):
    """Whether a path below `clearprop` is found without being told that it was replaced itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            reduce(getattr, path.split(".")[1:], cl)
        except (AttributeError, DeprecationWarning):
            return False
    return True


def lookup(place, name):
    with replaced_by_what_is_there():
        return getattr(names.module(place), name)


@pytest.mark.parametrize("place", BEFORE["names"])
def test_every_name_is_there(place):
    for name in BEFORE["names"][place]:
        lookup(place, name)


@together("place, name", FUNCTIONS)
def test_every_call_is_taken(place, name):
    before = inspect.signature(eval(f"lambda {BEFORE['names'][place][name]}: None")).parameters.values()
    now = inspect.signature(lookup(place, name))
    for given in (before, [p for p in before if p.default is p.empty]):
        by_place = [None for p in given if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
        by_name = {p.name: None for p in given if p.kind == p.KEYWORD_ONLY}
        now.bind(*by_place, **by_name)
        first = [None for p in given if p.kind == p.POSITIONAL_ONLY]
        by_name |= {p.name: None for p in given if p.kind == p.POSITIONAL_OR_KEYWORD}
        now.bind(*first, **by_name)


@pytest.fixture(scope="module")
def objects():
    return names.objects()


@pytest.mark.parametrize("kind", BEFORE["attributes"])
def test_every_attribute_is_there(kind, objects):
    value = objects[kind]
    shown = value if isinstance(value, dict) else dir(value)  # a property need not have a value here
    with replaced_by_what_is_there():
        missing = [name for name in BEFORE["attributes"][kind] if name not in shown and not hasattr(value, name)]
    assert missing == []


@pytest.mark.parametrize("command", BEFORE["options"])
def test_every_option_is_there(command):
    assert set(BEFORE["options"][command]) <= set(names.options()[command])


@pytest.mark.parametrize("package", ["nn", "optim"])
def test_a_star_brings_all_names_and_no_files(package):
    brought = {}
    exec(f"from clearprop.{package} import *", brought)
    brought.pop("__builtins__")
    assert sorted(brought) == dir(getattr(cl, package))
    assert not [name for name, value in brought.items() if inspect.ismodule(value)]
