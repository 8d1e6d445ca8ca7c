"""`cl.compile`: a function becomes a program per kind of argument, run natively."""

from __future__ import annotations

import functools
import importlib.util
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clearprop.autodiff.trees import flatten, is_array, unflatten
from clearprop.compiler.arguments import Arguments, Donated, Parameters
from clearprop.compiler.captures import Captures
from clearprop.compiler.lowering import lower
from clearprop.compiler.numpy_source import NumpySource, compile_numpy
from clearprop.errors import ArgumentError, unknown_name, user_line
from clearprop.program.ir import Program, Var
from clearprop.program.tracing import builder, trace
from clearprop.program.types import PYTHON_SCALARS, Type, type_of
from clearprop.program.values import Node, call_site, raw
from clearprop.shapes import Scope, Size, dim_key


class ExecutorWarning(UserWarning):
    """A compiled function runs on the NumPy executor, and why."""


@dataclass
class CacheInfo:
    """What `cache_info()` tells: how many programs, how often they served, and what each is special to."""

    hits: int = 0
    misses: int = 0
    programs: list[str] = field(default_factory=list)


class Compiled:
    """A function compiled by `cl.compile`; call it like the original."""

    def __init__(self, f: Callable[..., Any], donate: Any, static: Any, executor: str | None) -> None:
        functools.update_wrapper(self, f)
        self.function = f
        self.parameters = Parameters(f, donate, static)
        self.executor = executor
        self.specialisations: dict[Any, list[Specialisation]] = {}
        self.entries: dict[Any, _Entry] = {}
        self.last: Specialisation | None = None
        self.info = CacheInfo()
        self.lock = threading.RLock()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program for these arguments, tracing it first if there is none yet."""
        if builder() is not None:
            return self.function(*args, **kwargs)
        with self.lock:
            call = self._take(args, kwargs)
            entry = None if call.tracked else self._entry(call)
            if entry is not None and not (entry.surrounded and entry.specialisation.captures.tracked):
                return entry.run(call)
        _say_once(
            f"{self._name} runs uncompiled: a gradient may flow through the call.  "
            f"Compile the function that takes the gradient, or give x.detach()"
        )
        return self.function(*args, **kwargs)

    @property
    def _name(self) -> str:
        return getattr(self.function, "__name__", "the function")

    def _take(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        call = self.parameters.take(args, kwargs)
        if call.fixed:
            call.require_hashable()
        return call

    def _entry(self, call: Arguments) -> _Entry:
        """The program for a call like this, bound to its sizes, and with the arrays captured as they are now."""
        try:
            entry = self.entries.get(call.exact)
        except TypeError:
            call.require_hashable()
            raise
        if entry is not None:
            self.info.hits += 1
        if entry is None or (entry.surrounded and entry.specialisation.stale()):
            if len(self.entries) >= ENTRIES:
                self.entries.clear()
            entry = self.entries[call.exact] = self._enter(call)
        self.last = entry.specialisation
        return entry

    def _enter(self, call: Arguments) -> _Entry:
        chosen = self._find(call)
        return _Entry(chosen, chosen.executor.bind(chosen.inputs(call.leaves)), call.donated())

    def _find(self, call: Arguments) -> Specialisation:
        known = self.specialisations.setdefault(call.key, [])
        for s in known:
            env = s.environment(call.leaves)
            if s.scope.holds(env) and not s.stale():
                self.info.hits += 1
                return s
        self.info.misses += 1
        new = Specialisation(self, call)
        known.append(new)
        self.info.programs.append(new.describe())
        return new

    def lower(self, *specs: Any, **named: Any) -> Specialisation:
        """The specialisation for arguments like these, without running it; its `program` can be printed."""
        return self._find(self._take(specs, named))

    @property
    def program(self) -> Program:
        """The traced program of the last call."""
        return self._latest().program

    def source(self, target: str = "numpy") -> str:
        """Generated source of the last call's program: "numpy" (readable) or "numba" (what runs fast)."""
        return self._latest().source(target)

    def cache_info(self) -> CacheInfo:
        """Hits, misses, and for every program what it is special to."""
        self.info.programs = [s.describe() for many in self.specialisations.values() for s in many]
        return self.info

    def _latest(self) -> Specialisation:
        if self.last is None:
            known = [s for many in self.specialisations.values() for s in many]
            if not known:
                raise ArgumentError(
                    "nothing was compiled yet",
                    expected="a call, or .lower(*arguments), before the program can be shown",
                    got="no program",
                    where=user_line(),
                    try_="step(*arguments), then step.source('numpy')",
                )
            return known[-1]
        return self.last

    def __repr__(self) -> str:
        return f"<compiled {self._name}>"


ENTRIES = 256
"""How many kinds of call, with their exact sizes, are kept ready."""


class _Entry:
    """A kind of call made ready: a program bound to sizes."""

    __slots__ = ("donated", "execute", "specialisation", "surrounded")

    def __init__(self, s: Specialisation, execute: Callable[..., Sequence[Any]], donated: list[bool]) -> None:
        self.specialisation, self.execute = s, execute
        self.donated = [i for i, d in enumerate(donated) if d]
        self.surrounded = bool(s.captures.held)  # whether it uses arrays of the code around it

    def run(self, call: Arguments) -> Any:
        """Execute, wrap the results, and mark donated tensors."""
        s = self.specialisation
        results = self.execute(s.inputs(call.leaves))
        if self.donated:
            site = call_site()
            for i in self.donated:
                if isinstance(call.tensors[i], Node):
                    call.tensors[i].value = Donated(site)
        if s.all_out:
            return unflatten(s.out_structure, [Node.tensor(r) for r in results])
        values = iter(results)
        flat = [Node.tensor(next(values)) if m else v for v, m in zip(s.out_flat, s.out_mask, strict=True)]
        return unflatten(s.out_structure, flat)


class Specialisation:
    """A program for one kind of argument: traced, lowered, planned; and bound to sizes as they come."""

    def __init__(self, owner: Compiled, call: Arguments) -> None:
        self.owner, self.scope = owner, Scope()
        self.name = owner._name if owner._name.isidentifier() else "step"
        self.arrays = [is_array(v) for v in call.leaves]
        self.all_in = all(self.arrays)
        self.types = [self._type(v) for v in self.inputs(call.leaves)]
        self._trace(call)
        self.all_out = all(self.out_mask)
        self.lowered = lower(self.program)
        self.donations = self._match(call.donated())
        self.captures = Captures(owner.function, self.lowered.captured)
        self.executor = self._executor()

    def stale(self) -> bool:
        """Whether arrays around the function are of another kind now; new ones of the same kind are taken over."""
        if not self.captures.sources and not self.captures.copied:
            return False
        renewed = self.captures.renew()
        if renewed:
            self.executor.renew(self.captures.values)
        return renewed is None

    def inputs(self, leaves: Sequence[Any]) -> Sequence[Any]:
        """The leaves that are arrays or numbers."""
        return leaves if self.all_in else [v for v, a in zip(leaves, self.arrays, strict=True) if a]

    def _type(self, value: Any) -> Type:
        t = type_of(value)
        if t.weak:
            return Type((), t.dtype, weak=True)
        return Type(tuple(1 if n == 1 else self.scope.new(n) for n in t.shape), t.dtype.newbyteorder("="))

    def _trace(self, call: Arguments) -> None:
        names = call.names()
        out: list[Any] = []

        def flat_f(*xs: Any) -> Sequence[Any]:
            given = iter(xs)
            leaves = [next(given) if a else v for v, a in zip(call.leaves, self.arrays, strict=True)]
            result = call.call(unflatten(call.structure, leaves))
            flat, structure = flatten(result)
            flat = [Size.as_value(v) if isinstance(v, Size) else v for v in flat]
            out.append((structure, [_is_computed(v) for v in flat], flat, result))
            return [v for v in flat if _is_computed(v)]

        self.program = trace(flat_f, self.types, names, self.scope)
        self.out_structure, self.out_mask, self.out_flat, result = out[0]
        _name_results(self.program, call, result)

    def _match(self, donated: Sequence[bool]) -> dict[int, int]:
        """Which output may take over which donated input: equal types, in order."""
        free = [i for i, d in enumerate(d for d, a in zip(donated, self.arrays, strict=True) if a) if d]
        out: dict[int, int] = {}
        for position, atom in enumerate(self.lowered.outputs):
            if not isinstance(atom, Var):
                continue
            for i in free:
                if self.lowered.inputs[i].type.key() == atom.type.key() and atom.type.shape:
                    out[position] = i
                    free.remove(i)
                    break
        return out

    def _executor(self) -> Any:
        wanted = self.owner.executor
        if wanted == "numpy":
            return NumpyExecutor(self)
        reason = native_obstacle(self.lowered)
        if reason is None:
            from clearprop.compiler.native.native_executor import NativeExecutor

            return NativeExecutor(self)
        if wanted == "numba":
            raise ArgumentError(
                f"{self.name} has no native form",
                expected="primitives with a native form",
                got=reason,
                try_='executor="numpy"',
            )
        _say_once(f"{self.name} runs on the NumPy executor: {reason}")
        return NumpyExecutor(self)

    def environment(self, leaves: Sequence[Any]) -> Any:
        """Numbers for the symbolic sizes."""
        return self.scope.bind(
            (dim, n)
            for t, v in zip(self.types, self.inputs(leaves), strict=True)
            for dim, n in zip(t.shape, () if type(v) in PYTHON_SCALARS else v.shape, strict=True)
        )

    def source(self, target: str) -> str:
        """Generated source of this program."""
        if target == "numpy":
            return NumpySource(self.lowered, self.name).text()
        if target == "numba":
            from clearprop.compiler.numba_source import numba_source

            return numba_source(self.lowered, self.donations, self.name)
        raise unknown_name("source", target, ("numpy", "numba"), user_line())

    def describe(self) -> str:
        """What this program is special to."""
        known = {dim_key(a) for kind, a, b, seen in self.scope.guards if kind == "==" and seen and isinstance(b, int)}
        telling = [g for g in self.scope.guards if dim_key(g[1]) not in known or (g[0] == "==" and g[3])]
        guards = dict.fromkeys(f"{a} {kind} {b} is {seen}" for kind, a, b, seen in telling)
        kinds = ", ".join(map(str, self.types))
        return f"{self.name}({kinds})" + (f" where {'; '.join(guards)}" if guards else "")


class NumpyExecutor:
    """Runs the printed NumPy source."""

    def __init__(self, s: Specialisation) -> None:
        self.hidden = s.captures.values
        self.source, self.function = compile_numpy(s.lowered, s.name)

    def bind(self, inputs: Sequence[Any]) -> Callable[[Sequence[Any]], Sequence[Any]]:
        """What computes the outputs for inputs of these sizes: the same for all."""
        return self._run

    def renew(self, hidden: Sequence[Any]) -> None:
        """Take these arrays for the captured ones from now on."""
        self.hidden = list(hidden)

    def _run(self, inputs: Sequence[Any]) -> Sequence[Any]:
        with np.errstate(all="ignore"):
            results: Sequence[Any] = self.function(*inputs, *self.hidden)
            return results


_SAID: set[str] = set()
_PACKAGE = str(Path(__file__).parents[1])


def _say_once(text: str) -> None:
    if text not in _SAID:
        _SAID.add(text)
        level, frame = 1, sys._getframe()
        while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
            level, frame = level + 1, frame.f_back
        warnings.warn(text, ExecutorWarning, stacklevel=level)


def native_obstacle(program: Program) -> str | None:
    """Why a lowered program cannot run natively, or None."""
    if importlib.util.find_spec("numba") is None:
        return "Numba is not installed"
    try:
        from clearprop.compiler.native.native_executor import obstacle
    except ImportError as error:
        return f"Numba cannot be used ({error})"
    return obstacle(program)


def _is_computed(value: Any) -> bool:
    """Whether a result comes from the program; a Python number is the same in every call."""
    return is_array(value) and type(value) not in PYTHON_SCALARS


def _name_results(program: Program, call: Arguments, result: Any) -> None:
    """The new form of an argument is called after it: of a tree of its structure, or of one that was donated."""
    given: dict[Any, list[str]] = {}
    for i, a in call.dynamic():
        leaves, structure = flatten(a)
        if len(leaves) > 1 or call.is_donated(i):
            given.setdefault(structure, call.leaf_names(i, a))
    inputs = set(program.inputs)
    for part in result if isinstance(result, (tuple, list)) else [result]:
        leaves, structure = flatten(part)
        for leaf, name in zip(leaves, given.pop(structure, ()), strict=False):
            var = raw(leaf)
            if isinstance(var, Var) and var not in inputs and not var.name:
                var.name = f"new_{name}"


def compile(
    f: Callable[..., Any] | None = None, *, donate: Any = (), static: Any = (), executor: str | None = None
) -> Any:
    """Compile a function of trees of arrays into one native call per invocation.

    `donate` names arguments (by position or name) whose memory the results may take over: their tensors become
    invalid; NumPy arrays are never overwritten.  `static` names arguments that are part of the program.  Also a
    decorator, with or without arguments.  `executor` is "numba", "numpy", or None: native where possible.

    Specialised on structure, dtypes, ranks, which axes are 1, and on sizes that Python code looked at.

    >>> import clearprop as cl
    >>> @cl.compile
    ... def f(x):
    ...     return cl.sum(x * x)
    >>> f(cl.tensor([1.0, 2.0]))
    Tensor(5.0)
    """
    if executor not in (None, "numba", "numpy"):
        raise unknown_name("executor", str(executor), ("numba", "numpy"), user_line())
    if f is None:
        return lambda function: Compiled(function, donate, static, executor)
    return Compiled(f, donate, static, executor)
