"""A module whose arrays have the names of the file or the tool that they come from."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from clearprop.nn.fields import PARAMETER, STATE, STATIC
from clearprop.nn.module import Module


class NamedArrays(Module, init=False):
    """A network that was described elsewhere: arrays under the names they have there, and what is computed of them.

    `parameters()` are `{name: tensor}` with names such as `conv1.weight`; gradients, `replace` and `explain` know them
    by the same names.  A subclass says in `compute` what the network is.

    description  what is computed, an object that is compared by identity
    parameters   what training changes, by name
    state        what training passes leave alone or recompute, by name
    """

    def __new__(cls, description: Any, parameters: Mapping[str, Any], state: Mapping[str, Any]) -> NamedArrays:
        """A module of the class with these names of arrays."""
        kinds = dict.fromkeys(parameters, PARAMETER) | dict.fromkeys(state, STATE)
        return object.__new__(_class_with(cls, tuple(kinds.items())))  # type: ignore[arg-type]  # classes have hashes

    def __init__(self, description: Any, parameters: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        self.__dict__.update({"description": description, **parameters, **state})
        self.__post_init__()

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuilt by its names: its class is made for them, and is found in no module."""
        held = {n: self.__dict__[n] for n, kind in self.field_kinds.items() if kind == PARAMETER}
        kept = {n: self.__dict__[n] for n, kind in self.field_kinds.items() if kind == STATE}
        return type(self).__bases__[0], (self.__dict__["description"], held, kept)

    def array(self, name: str) -> Any:
        """The array of this name."""
        return self.__dict__[name]

    def named_arrays(self) -> dict[str, Any]:
        """All arrays by name, as they are now: while a transform runs, what it follows."""
        return {name: self.__dict__[name] for name, kind in self.field_kinds.items() if kind in (PARAMETER, STATE)}

    def label(self) -> str:
        """What the description calls itself."""
        return str(self.__dict__["description"])


@functools.cache
def _class_with(base: type[NamedArrays], kinds: tuple[tuple[str, str], ...]) -> type[NamedArrays]:
    """The class of modules with these names; models of one architecture share it, and with it what is compiled."""

    class _WithNames(base, names={"description": STATIC, **dict(kinds)}):  # type: ignore[misc,valid-type,call-arg]  # a base of run time
        pass

    _WithNames.__name__ = _WithNames.__qualname__ = base.__name__
    return _WithNames


def free_names(names: list[str], kind: type[NamedArrays]) -> dict[str, str]:
    """For every name the one under which a module of this class holds it: its methods keep theirs (`forward_`).

    >>> free_names(["conv1.weight", "forward"], NamedArrays)
    {'conv1.weight': 'conv1.weight', 'forward': 'forward_'}
    """
    taken = {*dir(kind), "description", "_original"}
    chosen: dict[str, str] = {}
    for name in names:
        new = name
        while new in taken:
            new += "_"
        taken.add(new)
        chosen[name] = new
    return chosen
