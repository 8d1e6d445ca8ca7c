"""Faces of packages: names that are loaded when they are first asked for (PEP 562)."""

import importlib
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any


def homes_of(names: Mapping[str, str]) -> dict[str, str]:
    """The file of each name, from the names of each file.

    >>> homes_of({"recurrent": "GRU LSTM"})
    {'GRU': 'recurrent', 'LSTM': 'recurrent'}
    """
    return {name: home for home, those in names.items() for name in those.split()}


def late_face(
    face: dict[str, Any], homes: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package whose names have these homes.

    face   the package's `globals()`, all other names among them; a name that was asked for becomes an ordinary one
    homes  the file of each name, within the package
    """

    def load(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {face['__name__']!r} has no attribute {name!r}")
        module = importlib.import_module(f"{face['__name__']}.{homes[name]}")
        return face.setdefault(name, getattr(module, name))

    def shown() -> list[str]:
        """What completion shows: no folders and files, which imports leave in a face."""
        own = {name for name, value in face.items() if name[0] != "_" and not isinstance(value, ModuleType)}
        return sorted(own | homes.keys())

    return load, shown, shown()
