"""How a module's fields are declared: what is trained, what is remembered, what is fixed."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Protocol

from clearprop.errors import ArgumentError, checked_call, user_line

PARAMETER, STATE, STATIC, CHILD = "parameter", "state", "static", "child"
_KIND = "clearprop"


def _declare(kind: str, options: dict[str, Any]) -> Any:
    try:
        return dataclasses.field(metadata={_KIND: kind}, **options)
    except (TypeError, ValueError) as problem:
        raise ArgumentError(
            f"{kind} takes the options of a dataclass's field",
            expected="default=, default_factory=, init=, repr=, kw_only= and the like",
            got=f"{', '.join(options)}: {problem}",
            where=user_line(),
        ) from None


@checked_call
def parameter(**options: Any) -> Any:
    """A field of arrays that training changes.

    options  those of `dataclasses.field`, such as `default=`

    Raises ArgumentError for options that are none, as `state` and `static` do.

    >>> import clearprop as cl
    >>> class Shift(cl.nn.Module):
    ...     by: cl.Tensor = cl.nn.parameter(default=1.0)
    ...
    ...     def forward(self, x):
    ...         return x + self.by
    >>> Shift().parameters()
    {'by': Tensor(1.0)}
    """
    return _declare(PARAMETER, options)


@checked_call
def state(**options: Any) -> Any:
    """A field of arrays that a training pass recomputes, such as running statistics.

    It is not trained: the module reads it through `stop_gradient`, so its gradient is 0, and optimizers leave it
    alone.  `forward` writes it with `cl.nn.remember`.

    options  those of `dataclasses.field`

    Raises ArgumentError for options that are none.

    >>> import clearprop as cl
    >>> class Counter(cl.nn.Module):
    ...     passes: cl.Tensor = cl.nn.state(default=0)
    ...
    ...     def forward(self, x):
    ...         cl.nn.remember(self, passes=self.passes + 1)
    ...         return x
    >>> cl.nn.apply(Counter(), cl.tensor(2.0))[1].state()
    {'passes': Tensor(1)}
    """
    return _declare(STATE, options)


@checked_call
def static(**options: Any) -> Any:
    """A field that is part of the module's structure: a rate, a size, a function.  It must be hashable.

    options  those of `dataclasses.field`, such as `default=`

    Raises ArgumentError for options that are none.

    >>> import clearprop as cl
    >>> class Power(cl.nn.Module):
    ...     exponent: int = cl.nn.static(default=2)
    ...
    ...     def forward(self, x):
    ...         return x ** self.exponent
    >>> Power(3)(cl.tensor(2.0)), Power().parameters()
    (Tensor(8.0), {})
    """
    return _declare(STATIC, options)


def kind_of(field: dataclasses.Field[Any]) -> str:
    """Parameter, state or static; a field without declaration holds modules and is a child."""
    return str(field.metadata.get(_KIND, CHILD))


class HasFields(Protocol):
    """What is told of a module to those who stand below it: its fields by kind, its arrays, a word for tables."""

    field_kinds: ClassVar[dict[str, str]]
    least_rows: ClassVar[int]

    def label(self) -> str:
        """One word or two."""

    def parameters(self) -> dict[str, Any]:
        """What is trained, by path."""
