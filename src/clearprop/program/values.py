"""Values at run time: nodes, the tape that links them, and where in the user's code they were made.

A node holds an array, a Python number (a weak scalar), or a `Var` of the program being traced.  Whether the
tape grows is independent of which: an operation on a tracked node records an `Application`.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context, ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

import numpy as np

from clearprop.errors import checked_call, describe_line
from clearprop.program.operation import Operation

_PACKAGE = str(Path(__file__).parent.parent)
_OPERATIONS = tuple(str(Path(_PACKAGE, layer)) for layer in ("program", "primitives", "rules", "arrays"))
_OUR_FILES: set[str] = set()
_ORDER = itertools.count(1)
_NO_PARAMETERS: dict[str, Any] = {}


class Application:
    """One application of a primitive, as the tape holds it: what was read, what came out, where.

    `tracked` are the positions of the tracked inputs; `raw` are all inputs as arrays, numbers or variables.  `first` is
    the first input, and `others` the second, or a tuple of all further ones where these are not one.  `place` is the
    user's code and the instruction in it, whose line is looked for when it is asked for.
    """

    # Python's collector of cycles walks through all that a long tape holds, again and again: so an application is one
    # object to it, with its first two operands in it, and tuples of arrays or numbers, which it leaves alone
    __slots__ = ("first", "order", "others", "outputs", "params", "place", "primitive", "raw", "tracked")

    def __init__(
        self,
        primitive: Operation,
        inputs: Sequence[Any],
        raw: Sequence[Any],
        params: dict[str, Any],
        outputs: Any,
        tracked: tuple[int, ...],
    ) -> None:
        if len(inputs) == 2:
            self.first, self.others = inputs
        else:
            self.first, self.others = inputs[0], tuple(inputs[1:])
        self.primitive, self.raw, self.params = primitive, tuple(raw), params or _NO_PARAMETERS
        self.outputs, self.tracked = outputs, tracked
        self.order = next(_ORDER)
        frame = _user_frame(2)
        self.place = frame.f_code, frame.f_lasti  # to look for the line takes long in a long function

    @property
    def inputs(self) -> tuple[Any, ...]:
        """What it was applied to: nodes, arrays and numbers."""
        others = self.others
        return (self.first, *others) if type(others) is tuple else (self.first, others)

    @property
    def site(self) -> tuple[Any, int]:
        """The user's code object and line."""
        code, instruction = self.place
        return code, next((line or 0 for _, end, line in code.co_lines() if instruction < end), 0)

    @property
    def where(self) -> str:
        """The user's line."""
        return describe_line(self.site[0].co_filename, self.site[1])

    def __getstate__(self) -> dict[str, Any]:
        code, line = self.site
        place = CodePlace(code.co_filename, code.co_name, line), 0
        kept = ("first", "others", "outputs", "params", "primitive", "raw", "tracked")
        return {name: getattr(self, name) for name in kept} | {"place": place}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self.order = next(_ORDER)  # later than all it reads, which was restored before it, whatever process counted


@dataclass(frozen=True, slots=True)
class CodePlace:
    """What is told of a code object in another process: its file, the name of its function, and the line meant."""

    co_filename: str
    co_name: str
    line: int

    def co_lines(self) -> Iterable[tuple[int, int, int]]:
        """Which instructions belong to a line, as code objects tell it: all."""
        return [(0, sys.maxsize, self.line)]


def call_site() -> tuple[Any, int]:
    """Code object and line of the innermost frame outside the package."""
    frame = _user_frame(2)
    return frame.f_code, frame.f_lineno


def _user_frame(depth: int) -> FrameType:
    """The innermost frame outside the package, so many calls out of the caller at least."""
    frame = sys._getframe(depth + 1)
    while True:  # for every operation that is recorded: so each of our files is known after it was met once
        file = frame.f_code.co_filename
        if file not in _OUR_FILES:
            if not file.startswith(_PACKAGE):
                return frame
            _OUR_FILES.add(file)
        if frame.f_back is None:
            return frame
        frame = frame.f_back


def named_site() -> tuple[Any, int] | None:
    """The user's line, if it calls an operation itself and not something that calls operations."""
    frame = sys._getframe(2)
    while frame.f_code.co_filename.startswith(_PACKAGE) and frame.f_back is not None:
        if not frame.f_code.co_filename.startswith(_OPERATIONS):
            return None
        frame = frame.f_back
    return frame.f_code, frame.f_lineno


class Node:
    """A value and, if it was computed from something tracked, the application that made it."""

    __slots__ = {  # noqa: RUF023 - with what help() says of each
        "application": "What computed it, if that was recorded.",
        "position": "Which of the results of its application it is.",
        "value": "The array, the number, or the variable of a program.",
        "grad": "The gradient that `backward()` left here; None before.",
        "name": "What explanations and programs call it; empty if nothing.",
        "requires_grad": "Whether it is a leaf that gradients are asked for.",
    }
    tensor: ClassVar[type[Node]]  # the user's class; it is declared in a later layer and enters itself here

    def __init__(self, value: Any, application: Application | None = None, position: int = 0) -> None:
        self.value = value
        self.application = application
        self.position = position
        self.name = ""
        self.requires_grad = False
        self.grad: Any = None

    def __init_subclass__(cls) -> None:
        Node.tensor = cls

    @property
    def tracked(self) -> bool:
        """Whether operations on this node are recorded."""
        return self.application is not None or self.requires_grad


def now() -> int:
    """A number between the applications made so far and those to come."""
    return next(_ORDER)


def depends_on_earlier(node: Node, start: int) -> bool:
    """Whether a tracked node's history reaches back to before `start`, or to a leaf of the user's."""
    todo, seen = [node], {node}
    while todo:
        app = (current := todo.pop()).application
        if app is None:
            if current.requires_grad:
                return True
        elif app.order < start:
            return True
        else:
            inputs = app.inputs
            fresh = [a for k in app.tracked if (a := inputs[k]) not in seen]
            seen.update(fresh)
            todo += fresh
    return False


class _Recording(threading.local):
    on = True
    quiet = False  # NumPy's warnings are off already, so that no primitive need do it again
    continued = False  # any operation takes complex numbers, as its NumPy spelling does
    followed: tuple[tuple[int, frozenset[Node]], ...] = ()  # of each transform that runs f: when it began, its leaves


RECORDING = _Recording()


@contextmanager
@checked_call
def no_grad() -> Iterator[None]:
    """Within this block nothing is recorded for differentiation.

    >>> import clearprop as cl
    >>> w = cl.tensor([1.0, 2.0], requires_grad=True)
    >>> with cl.no_grad():
    ...     y = w * 2
    >>> y.requires_grad
    False
    """
    before = RECORDING.on
    RECORDING.on = False
    try:
        yield
    finally:
        RECORDING.on = before


@contextmanager
def complex_step() -> Iterator[None]:
    """Within this block operations on real numbers take complex ones, for a derivative Im f(x + ih)/h."""
    before = RECORDING.continued
    RECORDING.continued = True
    try:
        yield
    finally:
        RECORDING.continued = before


def _silence() -> tuple[ContextVar[Any], Any]:
    """The variable in which NumPy keeps what it warns of, and its value for nothing.

    `np.errstate` makes that value anew each time, which takes as long as an operation on small arrays.  A NumPy that
    kept it elsewhere would warn.
    """
    context = Context()
    context.run(np.seterr, all="ignore")
    return next(iter(context.items()), (ContextVar("warnings"), None))


_WARNINGS, _NONE = _silence()


class quiet:
    """Within this block NumPy does not warn: NaN and infinities are values, and are told where they matter."""

    __slots__ = ("_before", "_token")

    def __enter__(self) -> None:
        self._before, self._token = RECORDING.quiet, _WARNINGS.set(_NONE)
        RECORDING.quiet = True

    def __exit__(self, *exception: Any) -> None:
        RECORDING.quiet = self._before
        _WARNINGS.reset(self._token)


def silently(compute: Callable[..., Any]) -> Callable[..., Any]:
    """The same function of arrays, silent where NaN and infinities come out.

    (NumPy's own decorator would add a frame that looks like the user's.)
    """

    def run(*values: Any, **params: Any) -> Any:
        token = _WARNINGS.set(_NONE)
        try:
            return compute(*values, **params)
        finally:
            _WARNINGS.reset(token)

    return run


def name_variable(value: Any, name: str) -> Any:
    """The value; while tracing, its variable gets this name unless the user gave it one."""
    variable = raw(value)
    if hasattr(variable, "builder") and not variable.name:
        variable.name = name
    return value


def raw(value: Any) -> Any:
    """The array, number or variable inside a node; anything else unchanged."""
    return value.value if isinstance(value, Node) else value
