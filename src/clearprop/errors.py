"""Exception classes, and the one form that every message takes.

A message has a headline and four parts: what was expected, what came, where it happened (the user's own
line, file or option), and what to try.  A part that has nothing to say is left out; none is invented.
"""

from __future__ import annotations

import difflib
import linecache
import sys
import types
from collections.abc import Iterable
from pathlib import Path

_PACKAGE = str(Path(__file__).parent)


class ClearpropError(Exception):
    """Base of every error that clearprop raises on purpose.

    >>> raise ClearpropError("no such column 'prize'", expected="one of: price, size", try_="--target price")
    Traceback (most recent call last):
    ...
    clearprop.errors.ClearpropError: no such column 'prize'
      expected  one of: price, size
      try       --target price
    """

    kind = "error"
    has_line = False  # whether the place, unless another is given, is the line of the user's code that ran

    def __init__(self, headline: str, *, expected: str = "", got: str = "", where: str = "", try_: str = "") -> None:
        if self.has_line and not where:
            where = user_line()
        self.headline, self.expected, self.got, self.where, self.try_ = headline, expected, got, where, try_
        super().__init__(self.message)

    @property
    def parts(self) -> dict[str, str]:
        """The four parts by name, as events and JSON carry them."""
        return {"expected": self.expected, "got": self.got, "where": self.where, "try": self.try_}

    @property
    def message(self) -> str:
        """Headline and parts as printed."""
        lines = [self.headline]
        for name, text in self.parts.items():
            if text:
                lines.append(f"  {name:<9} " + text.replace("\n", "\n" + " " * 12))
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        """Rebuild from the parts, so that an error crosses a process border whole."""
        return _rebuild, (type(self), self.headline, self.expected, self.got, self.where, self.try_)


def _rebuild(
    cls: type[ClearpropError], headline: str, expected: str, got: str, where: str, try_: str
) -> ClearpropError:
    return cls(headline, expected=expected, got=got, where=where, try_=try_)


class ShapeError(ClearpropError, ValueError):
    """Shapes that do not fit together.  The message names the axis, both sizes and a remedy."""

    kind = "shape"
    has_line = True


class DTypeError(ClearpropError, TypeError):
    """A data type that the operation has no meaning for, such as the gradient of an integer."""

    kind = "dtype"
    has_line = True


class TraceError(ClearpropError, TypeError):
    """A traced value was used where only its number would do: `if x > 0`, `float(x)`, `np.asarray(x)`."""

    kind = "trace"


class GradientError(ClearpropError, RuntimeError):
    """A gradient was asked for that does not exist, or a gradient check failed."""

    kind = "gradient"


class ProgramError(ClearpropError, ValueError):
    """A program that is not well formed; `typecheck` raises it and says which equation is at fault."""

    kind = "program"


class ArgumentError(ClearpropError, ValueError):
    """An argument or option outside its range, or an unknown name (the nearest known one is given)."""

    kind = "argument"


class DataError(ClearpropError, ValueError):
    """Data that cannot be read or used: missing, empty, ragged, of the wrong kind, not finite."""

    kind = "data"


class RunError(ClearpropError, ValueError):
    """A run folder or checkpoint that cannot be written, read or trusted."""

    kind = "run"


def user_line() -> str:
    """The innermost line outside clearprop on the call stack, as `model.py:12  h = x @ w1`.

    Empty if that is no line of the user's but one of an installed package: on the command line there is none.
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_ours(frame.f_code):
        frame = frame.f_back
    installed = "site-packages" in frame.f_code.co_filename
    return "" if installed else describe_line(frame.f_code.co_filename, frame.f_lineno)


def _is_ours(code: types.CodeType) -> bool:
    """Code of the package, or the `__init__` that `dataclasses` writes for a class."""
    generated = code.co_filename == "<string>" and code.co_name == "__init__"
    return generated or code.co_filename.startswith(_PACKAGE)


def describe_line(filename: str, lineno: int) -> str:
    """`file:line  source text` for a place in the user's code."""
    text = linecache.getline(filename, lineno).strip()
    return f"{Path(filename).name}:{lineno}" + (f"  {text}" if text else "")


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name most like `name`, or an empty string when none is close."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)), "")


def unknown_name(what: str, name: str, known: Iterable[str], where: str = "") -> ArgumentError:
    """The error for a name that is not in a closed set: lists the set and suggests the nearest."""
    names = sorted(known)
    close = nearest(name, names)
    return ArgumentError(
        f"no {what} named {name!r}",
        expected="one of: " + ", ".join(names),
        got=repr(name),
        where=where,
        try_=f"{close!r}, the nearest name" if close else "one of the names above",
    )
