"""`cl.compile`: a function becomes a program per kind of argument, run natively."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from clearprop.autodiff.pickling import pickled_by_name
from clearprop.autodiff.trees import unflatten
from clearprop.compiler.arguments import Arguments, Donated, Parameters, function_name, require_words
from clearprop.compiler.direct_call import MISSED, DirectCall, direct_call
from clearprop.compiler.executor_choice import warn_user
from clearprop.compiler.specialisation import Specialisation
from clearprop.errors import (
    ArgumentError,
    checked_call,
    checked_methods,
    require_function,
    too_large,
    unknown_name,
    user_line,
)
from clearprop.program.ir import STACK, Program
from clearprop.program.outside_draws import OutsideDraws
from clearprop.program.processes import holds, process_lock
from clearprop.program.values import Node, call_site

if TYPE_CHECKING:
    from clearprop.compiler.captures import Captures
    from clearprop.compiler.recorded_call import RecordedFunction

_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass
class CacheInfo:
    """What `cache_info()` tells: how often a program served and how often one was made, and what each is special to.

    `programs` are those that are kept, of which there are `PROGRAMS` at most.
    """

    hits: int = 0
    misses: int = 0
    programs: list[str] = field(default_factory=list)


@checked_methods
class Compiled(Generic[_P, _R]):
    """A function compiled by `cl.compile`; call it like the original."""

    def __init__(self, f: Callable[_P, _R], donate: Any, static: Any, executor: str | None) -> None:
        functools.update_wrapper(self, f)
        self.function = f
        self.parameters = Parameters(f, donate, static)
        self.executor = executor
        self.specialisations: dict[Any, list[Specialisation]] = {}
        self.kept: dict[Specialisation, Any] = {}  # with their keys; the one that was found last stands last
        self.told: set[str] = set()
        self.as_written = False  # where no program would do what it does
        self.entries: dict[Any, _ReadyCall] = {}
        self.recorded: dict[Any, list[RecordedFunction]] = {}
        self.direct: list[tuple[_ReadyCall, DirectCall]] = []
        self.last: Specialisation | None = None
        self.info = CacheInfo()
        self.lock = process_lock()
        self._given: tuple[Any, ...] = (f, donate, static, executor)

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Run the program for these arguments, tracing it first if there is none yet."""
        if STACK.builders:  # it is being traced
            return self.function(*args, **kwargs)
        if STACK.in_pass:
            self._tell_of_pass()
            return self.function(*args, **kwargs)
        if self.as_written:
            return self.function(*args, **kwargs)
        if holds(self.lock):  # a handler of a signal came in the middle of a call: its memory is in use
            return self._second(*args, **kwargs)
        try:
            with self.lock:
                return self._call(args, kwargs)
        except OutsideDraws as draws:
            self.as_written = True
            warn_user(f"{draws.headline}: it runs uncompiled. Try {draws.try_}")
            return self.function(*args, **kwargs)
        except OverflowError:
            require_words(args, kwargs)
            raise

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _R:
        if self.direct and not kwargs:
            result: _R = self._run_directly(args)
            if result is not MISSED:
                return result
        call = self._take(args, kwargs)
        entry = None if call.tracked else self._entry(call)
        if entry is not None and not (entry.surrounded and entry.specialisation.captures.tracked):
            return self._run(entry, call)
        result = self._recorded(call)(call)
        return result

    def _run_directly(self, args: tuple[Any, ...]) -> Any:
        """The result of a call of a kind that came before; MISSED if it is of none."""
        for entry, run in self.direct:
            # what the variables around hold now is looked at first
            s = entry.specialisation
            if not entry.surrounded or not (s.stale() or s.captures.tracked):
                result = run(args)
                if result is not MISSED:
                    self.info.hits += 1
                    self.last = s
                    return result
        return MISSED

    def _run(self, entry: _ReadyCall, call: Arguments) -> _R:
        """The result; a kind of call that comes again gets a function of its own, by which it is found directly."""
        result: _R = entry.run(call)
        run = entry.direct(call, result)
        if run is not None and all(run is not known for _, known in self.direct):
            self.direct = [(entry, run), *self.direct[: DIRECT - 1]]
        return result

    def _recorded(self, call: Arguments) -> RecordedFunction:
        """The function as one operation, for a call through which a gradient may flow."""
        # start-up time: what only such calls need is loaded by the first of them
        from clearprop.compiler.recorded_call import RecordedFunction

        if call.fixed:
            call.require_hashable()
        known = self.recorded.get(call.exact, [])
        for made in known:
            if made.fits():
                return made
        new = RecordedFunction(self.function, self._name, call, self.executor)
        self._tell_of_surroundings([made.captures for made in known])
        if len(self.recorded) >= ENTRIES:
            self.recorded.clear()
        self.recorded[call.exact] = [new, *known[: DIRECT - 1]]
        alike = sum(made[0].key == call.key for made in self.recorded.values())
        self._tell_of_sizes(alike, "a gradient flows through the calls, whose programs are for their sizes alone")
        return new

    @functools.cached_property
    def _second(self) -> Compiled[_P, _R]:
        """The same function compiled once more, for calls in the middle of a call."""
        return Compiled(*self._given)

    @property
    def _name(self) -> str:
        return function_name(self.function)

    def _take(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        call = self.parameters.take(args, kwargs)
        if call.fixed:
            call.require_hashable()
        return call

    def _entry(self, call: Arguments) -> _ReadyCall:
        """The program for a call like this, bound to its sizes, and with the arrays captured as they are now."""
        try:
            entry = self.entries.get(call.exact)
        except (TypeError, ValueError):
            call.require_hashable()
            raise
        if entry is None or (entry.surrounded and entry.specialisation.stale()):
            if len(self.entries) >= ENTRIES:
                self.entries.clear()
            entry = self.entries[call.exact] = self._enter(call)
        else:
            self.info.hits += 1
            self._keep(entry.specialisation, call.key)
        self.last = entry.specialisation
        return entry

    def _enter(self, call: Arguments) -> _ReadyCall:
        chosen = self._find(call)
        return _ReadyCall(chosen, chosen.bind(call.leaves), call.donated())

    def _find(self, call: Arguments) -> Specialisation:
        known = self.specialisations.setdefault(call.key, [])
        alike = [s for s in known if s.scope.holds(s.environment(call.leaves))]
        for s in alike:
            if not s.stale():
                self.info.hits += 1
                self._keep(s, call.key)
                return s
        self.info.misses += 1
        new = Specialisation(self.function, call, self.executor)
        self._tell_of_surroundings([s.captures for s in alike])
        holding = [s for s in self.kept if s in alike and s.captures.held]  # arrays that were captured at their making
        for old in holding[: 1 - DIRECT]:
            self._let_go(old)
        known.append(new)
        self._keep(new, call.key)
        self._make_room()
        self._tell_of_sizes(len(known) - len(alike), f"the last one is {new.describe()}")
        return new

    def _keep(self, s: Specialisation, key: Any) -> None:
        """Note that a program was asked for just now."""
        self.kept.pop(s, None)
        self.kept[s] = key

    def _make_room(self) -> None:
        """Let go of programs that nobody asked for the longest; those of direct calls are in use."""
        used = {entry.specialisation for entry, _ in self.direct}
        free = [s for s in self.kept if s not in used]
        for old in free[: max(0, len(self.kept) - PROGRAMS)]:
            self._let_go(old)
            self._tell(
                "kinds",
                f"{self._name} was compiled {self.info.misses} times, for other kinds of arguments each time: the "
                f"{PROGRAMS} programs that were used last are kept. An argument in static=, or a number in a tree that "
                "is no array, makes a program for each of its values",
            )

    def _let_go(self, old: Specialisation) -> None:
        key = self.kept.pop(old)
        self.specialisations[key].remove(old)
        if not self.specialisations[key]:
            del self.specialisations[key]
        self.entries = {exact: e for exact, e in self.entries.items() if e.specialisation is not old}
        self.direct = [(entry, run) for entry, run in self.direct if entry.specialisation is not old]

    def _tell_of_sizes(self, times: int, reason: str) -> None:
        """Say that one program after another is made for arguments that differ in their sizes alone."""
        if times > MANY_SIZES:
            self._tell(
                "sizes",
                f"{self._name} was compiled {times} times for arguments that differ in their sizes alone, and each "
                f"time costs as much as the first: {reason}. Pad to a few sizes, or compute with x.shape without "
                "looking at it; cache_info() counts the programs",
            )

    def _tell_of_surroundings(self, before: Sequence[Captures]) -> None:
        """Say that one program after another is made for what a variable around the function holds."""
        changed = before[-1].fixed.changed() if len(before) >= MANY_VALUES else None
        if changed:
            self._tell(
                "surroundings",
                f"{self._name} was compiled {len(before) + 1} times for arguments of one kind, since what it reads "
                f"around it was another each time, the last time {changed}: it is part of the program. Pass it as an "
                "argument, or keep a number in an array (cl.tensor(0.1)), which is an input",
            )

    def _tell_of_pass(self) -> None:
        """Say that a call runs as it is written: no key holds whether layers train, what they draw and remember."""
        self._tell(
            "pass",
            f"{self._name} runs uncompiled within cl.nn.apply, whose pass tells layers whether they train, what they "
            "draw, and takes what they remember: compile the function that calls cl.nn.apply",
        )

    def _tell(self, what: str, text: str) -> None:
        """Say it once."""
        if what not in self.told:
            self.told.add(what)
            warn_user(text)

    def lower(self, *specs: Any, **named: Any) -> Specialisation:
        """The specialisation for arguments like these, without running it; its `program` can be printed."""
        return self._find(self._take(specs, named))

    @property
    def program(self) -> Program:
        """The traced program of the last call."""
        return self._latest().program

    def source(self, target: str = "numpy") -> str:
        """Generated source of the last call's program: "numpy" (readable) or "numba" (what runs fast)."""
        if not isinstance(target, str):
            raise unknown_name("target", target, ("numpy", "numba"), user_line())
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

    def __reduce__(self) -> str | tuple[Any, ...]:
        """A decorated function is found by its name; of another the function is kept, and compiled where it arrives.

        Raises ArgumentError for a function that no other process finds by its name.
        """
        return pickled_by_name(self, self.function, "compiled function") or (Compiled, self._given)

    def __deepcopy__(self, memo: dict[int, Any]) -> Compiled[..., Any]:
        return self  # as functions are copied

    def __copy__(self) -> Compiled[..., Any]:
        return self


PROGRAMS = 64
"""How many programs of a function are kept."""
MANY_SIZES = 8
"""With more programs than these that differ in sizes alone, a warning says so."""
MANY_VALUES = 4
"""With so many programs that differ in what is around the function alone, a warning says so."""
ENTRIES = 256
"""How many kinds of call, with their exact sizes, are kept ready."""
DIRECT = 8
"""How many of them are tried one after the other, before the general way is gone."""
AGAIN = 3
"""From this run on a kind of call is worth a function of its own."""


class _ReadyCall:
    """A kind of call made ready: a program bound to sizes."""

    __slots__ = ("again", "donated", "execute", "specialisation", "surrounded")

    def __init__(self, s: Specialisation, execute: Callable[..., Sequence[Any]], donated: list[bool]) -> None:
        self.specialisation, self.execute = s, execute
        self.donated = [i for i, d in enumerate(donated) if d]
        self.surrounded = s.captures.are_watched or bool(s.captures.held)  # whether it uses what is around it
        self.again: dict[
            tuple[type, ...], int | DirectCall | None
        ] = {}  # by the classes of leaves: runs until there is one

    def run(self, call: Arguments) -> Any:
        """Execute, wrap the results, and mark donated tensors."""
        s = self.specialisation
        try:
            results = self.execute(s.inputs(call.leaves), self._giver(call) if self.donated else None)
        except MemoryError as problem:
            raise too_large("a compiled function", problem) from None
        if s.all_out:
            return unflatten(s.out_structure, list(map(Node.tensor, results)))
        values = iter(results)
        flat = [Node.tensor(next(values)) if m else v for v, m in zip(s.out_flat, s.out_mask, strict=True)]
        return unflatten(s.out_structure, flat)

    def direct(self, call: Arguments, result: Any) -> DirectCall | None:
        """The function for calls like this one, when it has come often enough."""
        kind = tuple(map(type, call.tensors))
        known = self.again.get(kind, 0)
        if isinstance(known, int):
            known += 1
            self.again[kind] = (
                known if known < AGAIN else direct_call(call, result, self.specialisation.out_mask, self.execute)
            )
            return None
        return known

    def _giver(self, call: Arguments) -> Callable[[], None]:
        """What marks donated tensors, before their memory is written: Ctrl-C may come as soon as it is."""
        site = call_site()

        def give() -> None:
            gone, tensors = Donated(site), call.tensors
            for i in self.donated:
                if isinstance(tensors[i], Node):
                    tensors[i].value = gone

        return give


@overload
def compile(
    f: Callable[_P, _R], *, donate: Any = ..., static: Any = ..., executor: str | None = ...
) -> Compiled[_P, _R]: ...


@overload
def compile(
    f: None = None, *, donate: Any = ..., static: Any = ..., executor: str | None = ...
) -> Callable[[Callable[_P, _R]], Compiled[_P, _R]]: ...


@checked_call
def compile(
    f: Callable[..., Any] | None = None, *, donate: Any = (), static: Any = (), executor: str | None = None
) -> Any:
    """Compile a function of trees of arrays into one native call per invocation.

    `donate` names arguments (by position or name) whose memory the results may take over: their tensors become
    invalid; NumPy arrays are never overwritten.  `static` names arguments that are part of the program.  Also a
    decorator, with or without arguments.  `executor` is "numba", "numpy", or None: native where possible.

    Specialised on structure, dtypes, ranks, which axes are 1, and on sizes that Python code looked at.

    Arrays around `f` are inputs, and numbers, words, functions and classes around it are part of the program: both are
    looked at again at every call, so that what variables hold now counts.  What `f` assigns, draws or prints it does
    while it is traced, and not at every call.

    A call through which a gradient may flow is one operation, whose derivatives are compiled too: they compute the
    function once more, and keep nothing of it.  Inside a function that is traced it is written out.

    >>> import clearprop as cl
    >>> @cl.compile
    ... def f(x):
    ...     return cl.sum(x * x)
    >>> f(cl.tensor([1.0, 2.0]))
    Tensor(5.0)
    """
    if executor is not None and (not isinstance(executor, str) or executor not in ("numba", "numpy")):
        raise unknown_name("executor", str(executor), ("numba", "numpy"), user_line())
    if f is not None:
        require_function(f, "compile")
    if f is None:
        return lambda function: Compiled(function, donate, static, executor)
    return Compiled(f, donate, static, executor)
