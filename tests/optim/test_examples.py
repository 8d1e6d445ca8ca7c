"""The examples in the docstrings run."""

import doctest
import importlib
import pkgutil

import pytest

import clearprop.optim as package

MODULES = [m.name for m in pkgutil.iter_modules(package.__path__, package.__name__ + ".")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
