"""`cl.compile`: a function becomes a program per kind of argument, run natively."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clearprop.autodiff.trees import flatten, is_array, paths, unflatten
from clearprop.compiler.lowering import lower
from clearprop.compiler.numpy_source import NumpySource, compile_numpy
from clearprop.errors import ArgumentError, TraceError, unknown_name, user_line
from clearprop.program.ir import Program, Var
from clearprop.program.tracing import builder, trace
from clearprop.program.types import PYTHON_SCALARS, Type, type_of
from clearprop.program.values import Node, raw
from clearprop.shapes import Scope


class ExecutorWarning(UserWarning):
    """A compiled function runs on the NumPy executor, and why."""


@dataclass
class CacheInfo:
    """What `cache_info()` tells: how many programs, how often they served, and what each is special to."""

    hits: int = 0
    misses: int = 0
    programs: list[str] = field(default_factory=list)


class Donated:
    """What a tensor holds after its memory was given to a compiled call."""

    def __init__(self, where: str) -> None:
        object.__setattr__(self, "where", where)

    def __getattr__(self, name: str) -> Any:
        raise TraceError(
            "this tensor was donated and its memory reused",
            expected="the tensors that the call returned",
            got="a tensor given away in an earlier call",
            where=self.where,
            try_="use the returned value, or leave the argument out of donate=",
        )


class Compiled:
    """A function compiled by `cl.compile`; call it like the original."""

    def __init__(self, f: Callable[..., Any], donate: Any, static: Any, executor: str | None) -> None:
        functools.update_wrapper(self, f)
        self.function = f
        self.signature = inspect.signature(f)
        names = list(self.signature.parameters)
        self.donate = _positions(donate, names, "donate")
        self.static = _positions(static, names, "static")
        self.executor = executor
        self.specialisations: dict[Any, list[Specialisation]] = {}
        self.entries: dict[Any, _Entry] = {}
        self.last: Specialisation | None = None
        self.info = CacheInfo()
        self.lock = threading.RLock()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program for these arguments, tracing it first if there is none yet."""
        if kwargs:
            bound = self.signature.bind(*args, **kwargs)
            args = bound.args
        if builder() is not None:
            return self.function(*args)
        with self.lock:
            call = _Arguments(self, args)
            entry = self.entries.get(call.exact)
            if entry is None:
                if len(self.entries) >= ENTRIES:
                    self.entries.clear()
                entry = self.entries[call.exact] = self._enter(call)
            else:
                self.info.hits += 1
            self.last = entry.specialisation
            return entry.run(call)

    def _enter(self, call: _Arguments) -> _Entry:
        chosen = self._find(call)
        return _Entry(chosen, chosen.executor.bind(chosen.inputs(call.leaves)), call.donated(self))

    def _find(self, call: _Arguments) -> Specialisation:
        known = self.specialisations.setdefault(call.key, [])
        for s in known:
            env = s.environment(call.leaves)
            if s.scope.holds(env):
                self.info.hits += 1
                return s
        self.info.misses += 1
        new = Specialisation(self, call)
        known.append(new)
        self.info.programs.append(new.describe())
        return new

    def lower(self, *specs: Any) -> Specialisation:
        """The specialisation for arguments like these, without running it; its `program` can be printed."""
        return self._find(_Arguments(self, specs))

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
        return f"<compiled {self.function.__name__}>"


ENTRIES = 256
"""How many kinds of call, with their exact sizes, are kept ready."""


class _Arguments:
    """One call's arguments: dynamic leaves, and their exact kind: structure, dtypes, sizes."""

    __slots__ = ("args", "exact", "fixed", "leaves", "structure", "tensors")

    def __init__(self, owner: Compiled, args: Sequence[Any]) -> None:
        self.args = args
        dynamic: Sequence[Any] = args
        self.fixed: tuple[Any, ...] = ()
        if owner.static:
            dynamic = [a for i, a in enumerate(args) if i not in owner.static]
            self.fixed = tuple(a for i, a in enumerate(args) if i in owner.static)
        self.tensors, self.structure = flatten(tuple(dynamic))
        self.leaves: list[Any] = []
        kinds: list[Any] = []
        for v in self.tensors:
            if isinstance(v, Node):
                v = v.value
            self.leaves.append(v)
            if isinstance(v, (np.ndarray, np.generic)):
                kinds += (v.dtype, v.shape)
            else:
                kinds.append(type(v) if type(v) in PYTHON_SCALARS else ("static", v))
        self.exact = (self.structure, self.fixed, *kinds)

    @property
    def key(self) -> Any:
        """What a program is special to: not the sizes, but which axes are 1."""
        return self.structure, self.fixed, tuple(_leaf_key(v, is_array(v)) for v in self.leaves)

    def donated(self, owner: Compiled) -> list[bool]:
        """Which leaves belong to donated arguments."""
        out: list[bool] = []
        for i, a in enumerate(self.args):
            if i not in owner.static:
                out += [i in owner.donate] * len(flatten(a)[0])
        return out


def _leaf_key(value: Any, array: bool) -> Any:
    if not array:
        return ("static", value)
    t = type_of(value)
    return t.dtype.str, t.weak, tuple(n == 1 for n in t.shape)


class _Entry:
    """A kind of call made ready: a program bound to sizes."""

    __slots__ = ("donated", "execute", "specialisation")

    def __init__(self, s: Specialisation, execute: Callable[..., Sequence[Any]], donated: list[bool]) -> None:
        self.specialisation, self.execute = s, execute
        self.donated = [i for i, d in enumerate(donated) if d]

    def run(self, call: _Arguments) -> Any:
        """Execute, wrap the results, and mark donated tensors."""
        s = self.specialisation
        results = self.execute(s.inputs(call.leaves))
        if self.donated:
            where = user_line()
            for i in self.donated:
                if isinstance(call.tensors[i], Node):
                    call.tensors[i].value = Donated(where)
        if s.all_out:
            return unflatten(s.out_structure, [Node.tensor(r) for r in results])
        values = iter(results)
        flat = [Node.tensor(next(values)) if m else v for v, m in zip(s.out_flat, s.out_mask, strict=True)]
        return unflatten(s.out_structure, flat)


class Specialisation:
    """A program for one kind of argument: traced, lowered, planned; and bound to sizes as they come."""

    def __init__(self, owner: Compiled, call: _Arguments) -> None:
        self.owner, self.scope = owner, Scope()
        self.name = owner.function.__name__ if owner.function.__name__.isidentifier() else "step"
        self.arrays = [is_array(v) for v in call.leaves]
        self.all_in = all(self.arrays)
        self.types = [self._type(v) for v in self.inputs(call.leaves)]
        self._trace(call)
        self.all_out = all(self.out_mask)
        self.lowered = lower(self.program)
        self.donations = self._match(call.donated(owner))
        self.executor = self._executor()

    def inputs(self, leaves: Sequence[Any]) -> Sequence[Any]:
        """The leaves that are arrays or numbers."""
        return leaves if self.all_in else [v for v, a in zip(leaves, self.arrays, strict=True) if a]

    def _type(self, value: Any) -> Type:
        t = type_of(value)
        if t.weak:
            return Type((), t.dtype, weak=True)
        return Type(tuple(1 if n == 1 else self.scope.new(n) for n in t.shape), t.dtype)

    def _trace(self, call: _Arguments) -> None:
        names = _leaf_names(self.owner, call)
        out: list[Any] = []

        def flat_f(*xs: Any) -> Sequence[Any]:
            given = iter(xs)
            leaves = [next(given) if a else v for v, a in zip(call.leaves, self.arrays, strict=True)]
            dynamic = iter(unflatten(call.structure, leaves))
            fixed = iter(call.fixed)
            args = [next(fixed) if i in self.owner.static else next(dynamic) for i in range(len(call.args))]
            result = self.owner.function(*args)
            flat, structure = flatten(result)
            out.append((structure, [is_array(v) for v in flat], flat, result))
            return [v for v in flat if is_array(v)]

        self.program = trace(flat_f, self.types, names, self.scope)
        self.out_structure, self.out_mask, self.out_flat, result = out[0]
        _name_results(self.program, call, self.owner, result)

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
            from clearprop.compiler.native.executor import NativeExecutor

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
        guards = [f"{a} {kind} {b} is {seen}" for kind, a, b, seen in self.scope.guards]
        kinds = ", ".join(map(str, self.types))
        return f"{self.name}({kinds})" + (f" where {'; '.join(guards)}" if guards else "")


class NumpyExecutor:
    """Runs the printed NumPy source."""

    def __init__(self, s: Specialisation) -> None:
        self.hidden = [raw(c) for c in s.lowered.captured]
        self.source, self.function = compile_numpy(s.lowered, s.name)

    def bind(self, inputs: Sequence[Any]) -> Callable[[Sequence[Any]], Sequence[Any]]:
        """What computes the outputs for inputs of these sizes: the same for all."""
        return self._run

    def _run(self, inputs: Sequence[Any]) -> Sequence[Any]:
        with np.errstate(all="ignore"):
            results: Sequence[Any] = self.function(*inputs, *self.hidden)
            return results


_SAID: set[str] = set()


def _say_once(text: str) -> None:
    if text not in _SAID:
        _SAID.add(text)
        warnings.warn(text, ExecutorWarning, stacklevel=6)


def native_obstacle(program: Program) -> str | None:
    """Why a lowered program cannot run natively, or None."""
    if importlib.util.find_spec("numba") is None:
        return "Numba is not installed"
    try:
        from clearprop.compiler.native.executor import obstacle
    except ImportError as error:
        return f"Numba cannot be used ({error})"
    return obstacle(program)


def _leaf_names(owner: Compiled, call: _Arguments) -> list[str]:
    parameters = [p for i, p in enumerate(owner.signature.parameters) if i not in owner.static]
    dynamic = [a for i, a in enumerate(call.args) if i not in owner.static]
    names = [_leaf_name(p, path) for p, a in zip(parameters, dynamic, strict=False) for path in paths(a)]
    names += [""] * (len(call.leaves) - len(names))
    return [n for n, v in zip(names, call.leaves, strict=True) if is_array(v)]


def _leaf_name(parameter: str, path: str) -> str:
    return f"{parameter}_{path}" if path and not path.startswith("[") else parameter + path


def _name_results(program: Program, call: _Arguments, owner: Compiled, result: Any) -> None:
    """The new form of an argument is called after it: of a tree of its structure, or of one that was donated."""
    given: dict[Any, list[str]] = {}
    parameters = list(owner.signature.parameters)
    for i, (p, a) in enumerate(zip(parameters, call.args, strict=False)):
        leaves, structure = flatten(a)
        if i not in owner.static and (len(leaves) > 1 or i in owner.donate):
            given.setdefault(structure, [_leaf_name(p, path) for path in paths(a)])
    inputs = set(program.inputs)
    for part in result if isinstance(result, (tuple, list)) else [result]:
        leaves, structure = flatten(part)
        for leaf, name in zip(leaves, given.pop(structure, ()), strict=False):
            var = raw(leaf)
            if isinstance(var, Var) and var not in inputs and not var.name:
                var.name = f"new_{name}"


def _positions(chosen: Any, names: Sequence[str], what: str) -> frozenset[int]:
    wanted = (chosen,) if isinstance(chosen, (str, int)) else tuple(chosen)
    out = set()
    for w in wanted:
        if isinstance(w, str) and w not in names:
            raise unknown_name(f"argument to {what}", w, names, user_line())
        position = names.index(w) if isinstance(w, str) else w
        if not 0 <= position < len(names):
            raise ArgumentError(
                f"{what} names a position that does not exist",
                expected=f"0 to {len(names) - 1}",
                got=str(w),
                where=user_line(),
            )
        out.add(position)
    return frozenset(out)


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
