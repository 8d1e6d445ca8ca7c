"""The examples of every public docstring are run."""

import doctest
import importlib
import pkgutil

import pytest

import clearprop
from clearprop.optim.hyperparameters import all_classes
from clearprop.primitives import REGISTRY

MODULES = sorted(m.name for m in pkgutil.walk_packages(clearprop.__path__, "clearprop."))


@pytest.fixture(autouse=True)
def registry_as_it_was():
    """Examples declare primitives and rules of their own; they do not outlive the test."""
    registries = (REGISTRY, all_classes())  # those that are loaded on demand among them: a module is loaded once
    before = [dict(registry) for registry in registries]
    yield
    for registry, known in zip(registries, before, strict=True):
        registry.clear()
        registry.update(known)


def _run(test):
    report = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test, out=report.append, clear_globs=False)
    assert not runner.failures, "".join(report)


@pytest.mark.parametrize("name", ["clearprop", *MODULES])
def test_examples_of_module(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    for test in doctest.DocTestFinder().find(module):
        if test.examples:
            _run(test)


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_primitive_is_documented_and_its_examples_run(name):
    primitive = REGISTRY[name]
    assert primitive.__doc__, f"{name} says nothing about itself"
    _run(doctest.DocTestParser().get_doctest(primitive.__doc__, {}, name, None, None))
