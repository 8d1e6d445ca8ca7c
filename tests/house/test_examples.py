"""Every public name shows how it is used; that the examples run is tested in `tests/docs`."""

import types

import clearprop as cl
from tests.tiers import together

NAMES = [
    n
    for n in dir(cl)  # dtypes and constants are values of Python's and NumPy's own, and say nothing of themselves
    if not n.startswith("_") and not isinstance(getattr(cl, n), types.ModuleType) and callable(getattr(cl, n))
]


@together("name", NAMES)
def test_every_public_name_has_an_example(name):
    assert ">>> " in (getattr(cl, name).__doc__ or "")
