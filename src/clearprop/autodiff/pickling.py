"""How functions made from other functions are pickled: as functions are, by a name in a module."""

from __future__ import annotations

import functools
import inspect
import sys
import types
from typing import Any

from clearprop.errors import ArgumentError, user_line


def pickled_by_name(made: Any, f: Any, what: str) -> str:
    """The name under which what was `made` from f stands where f was defined; "" if it stands elsewhere.

    Raises ArgumentError for a function that no other process finds: a lambda, or one inside a function.
    """
    innermost = inspect.unwrap(f)
    if by_name(innermost) is made:
        return str(innermost.__qualname__)
    if isinstance(f, types.FunctionType) and by_name(f) is not f:
        raise ArgumentError(
            f"the {what} {f.__name__} cannot be pickled",
            expected="a function at the top of a module, which another process finds by its name",
            got="a lambda, or a function inside a function",
            where=user_line(),
            try_="def f(...): ... at the top of a module",
        )
    return ""


def by_name(function: Any) -> Any:
    """What stands under the name that a function has in its module."""
    names = [getattr(function, "__module__", None), *getattr(function, "__qualname__", "<none>").split(".")]
    return functools.reduce(lambda found, name: getattr(found, name, None), names[1:], sys.modules.get(str(names[0])))
