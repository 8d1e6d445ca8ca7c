"""Which executor runs a lowered program, and what is said when it is not the native one."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from clearprop.compiler.captures import Captures
from clearprop.compiler.numpy_executor import NumpyExecutor
from clearprop.errors import ArgumentError
from clearprop.errors import warn_user as warn_at_user
from clearprop.program.ir import Equation, Program


class ExecutorWarning(UserWarning):
    """A compiled function is slower than it could be, and why.

    It runs on the NumPy executor, wholly or in part; or it is compiled again and again, for one size after another.

    >>> import warnings
    >>> import clearprop as cl
    >>> warnings.simplefilter("error", cl.ExecutorWarning)  # to be stopped by it instead
    >>> warnings.simplefilter("default", cl.ExecutorWarning)
    """


class Executor(Protocol):
    """What runs a program: bound to sizes first, then called with inputs."""

    def bind(self, inputs: Sequence[Any]) -> Callable[..., Sequence[Any]]:
        """What computes the outputs for inputs of these sizes."""

    def renew(self, hidden: Sequence[Any]) -> None:
        """Take these arrays for the captured ones from now on."""


def choose_executor(
    lowered: Program, name: str, captures: Captures, donations: Mapping[int, int], wanted: str | None
) -> Executor:
    """The executor that was asked for ("numba", "numpy"), or with None the native one wherever it can run."""
    if wanted == "numpy":
        return NumpyExecutor(lowered, name, captures)
    reason = native_obstacle(lowered)
    if reason is None:
        # start-up time: Numba and LLVM are loaded only when something is to run natively
        from clearprop.compiler.native.native_executor import NativeExecutor

        return NativeExecutor(lowered, captures, donations)
    if wanted == "numba":
        raise ArgumentError(
            f"{name} has no native form",
            expected="primitives with a native form",
            got=reason,
            try_='executor="numpy"',
        )
    foreign = foreign_equations(lowered)
    if foreign:
        # start-up time, as above
        from clearprop.compiler.mixed_executor import MixedExecutor, computes_natively

        if computes_natively(lowered, foreign):
            warn_once(f"{name} runs in part on the NumPy executor: {reason}; all else, in loops too, runs natively")
            return MixedExecutor(lowered, name, captures, foreign)
    warn_once(f"{name} runs on the NumPy executor: {reason}")
    return NumpyExecutor(lowered, name, captures)


def foreign_equations(program: Program) -> Collection[Equation]:
    """The equations that have no native form, where the rest can run natively; none where nothing can."""
    found = _obstacles()
    return () if isinstance(found, str) else found[1](program)


def native_obstacle(program: Program) -> str | None:
    """Why a lowered program cannot run natively, or None."""
    found = _obstacles()
    return found if isinstance(found, str) else found[0](program)


def numba_obstacle() -> str | None:
    """Why nothing can run natively here, or None."""
    found = _obstacles()
    return found if isinstance(found, str) else None


def expect_training() -> None:
    """Say that a training will be compiled: where no kernel is kept, another process loads Numba meanwhile."""
    if numba_obstacle() is None:
        # start-up time, as above
        from clearprop.compiler.native.instruction_driver import expect_driver

        expect_driver()


def _obstacles() -> tuple[Callable[[Program], str | None], Callable[[Program], Collection[Equation]]] | str:
    """What says why a program cannot run natively, in words and by its equations; or why nothing can."""
    if not can_compile():
        return "Numba is not installed"
    try:
        # start-up time, as above; and a Numba that is installed may still not load
        from clearprop.compiler.native.obstacles import obstacle, obstacles
    except ImportError as error:
        return f"Numba cannot be used ({error})"
    return obstacle, obstacles


@functools.cache
def can_compile() -> bool:
    """Whether Numba is installed."""
    return importlib.util.find_spec("numba") is not None


_SAID: set[str] = set()


def warn_once(text: str) -> None:
    """Warn at the user's own line, once per process for the same text."""
    if text not in _SAID:
        _SAID.add(text)
        warn_user(text)


def warn_user(text: str) -> None:
    """Warn at the user's own line."""
    warn_at_user(text, ExecutorWarning)


def warn_of_assignments(name: str, assigned: Sequence[str]) -> None:
    """Say what numbers and words around it a function assigned while it was traced: its calls do not."""
    if assigned:
        warn_user(
            f"{name} assigns {' and '.join(assigned)} while it is traced, and not when it is called: "
            "return the new value, or assign it outside of what is compiled"
        )
