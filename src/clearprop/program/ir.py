"""Var, Equation, Program: static single assignment, immutable, printable; and how a program is traced.

Tracing runs a Python function once on variables and keeps what it did.
"""

from __future__ import annotations

import functools
import itertools
import linecache
import re
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from clearprop.errors import TraceError, checked_methods, describe_line, user_line
from clearprop.program.operation import Operation
from clearprop.program.types import PYTHON_SCALARS, Type, type_of
from clearprop.program.values import RECORDING, Node, call_site, depends_on_earlier, named_site, now, raw
from clearprop.shapes import Scope, Size, Symbol, dim_key, evaluate_size


class Var:
    """A variable of a program: assigned once, of a known type, perhaps with the user's name for it."""

    __slots__ = ("builder", "name", "type")

    def __init__(self, type: Type, name: str = "", builder: Any = None) -> None:
        self.type, self.name, self.builder = type, name, builder

    @property
    def shape(self) -> Any:
        """The shape of the value that will stand here."""
        return self.type.shape

    @property
    def dtype(self) -> Any:
        """The dtype of the value that will stand here."""
        return self.type.dtype

    def __reduce__(self) -> tuple[Any, ...]:
        return Var, (self.type, self.name)  # the trace that made it, which holds the user's code, has ended

    def __repr__(self) -> str:
        return f"{self.name or '%'}: {self.type}"


Atom = Any
"""What an equation reads: a `Var` or a Python number."""


@dataclass(frozen=True, eq=False, slots=True)
class Equation:
    """`outputs = primitive[params](inputs)`.

    `where` is the user's line; `rule` says whose derivative the equation belongs to, if any.
    """

    primitive: Operation
    inputs: tuple[Atom, ...]
    params: Mapping[str, Any]
    outputs: tuple[Var, ...]
    where: str = ""
    rule: str = ""


@checked_methods
@dataclass(frozen=True, eq=False)
class Program:
    """Inputs, equations in order, outputs.

    The last `len(captured)` inputs are hidden: arrays of the surrounding code that the traced function used.

    >>> import clearprop as cl
    >>> double = cl.compile(lambda x: 2.0 * x)
    >>> double(cl.tensor([1.0, 2.0]))
    Tensor([2.0, 4.0])
    >>> print(double.program)
    program(x: f64[n0]):
      double: f64[n0] = multiply(2.0, x)
      return double
    """

    inputs: tuple[Var, ...]
    equations: tuple[Equation, ...]
    outputs: tuple[Atom, ...]
    captured: tuple[Any, ...] = ()
    scope: Scope = field(default_factory=Scope, repr=False)

    @property
    def arguments(self) -> tuple[Var, ...]:
        """The inputs that the caller gives."""
        return self.inputs[: len(self.inputs) - len(self.captured)]

    def names(self) -> dict[Var, str]:
        """A name for every variable: the user's where it is free, else v1, v2 …; numbered per program."""
        taken: set[str] = set()
        names: dict[Var, str] = {}
        counter = itertools.count(1)
        tried: dict[str, int] = {}  # of a name that many share: how far its numbers are taken
        for var in dict.fromkeys(self.variables()):
            name = base = var.name or f"v{next(counter)}"
            while name in taken:
                tried[base] = tried.get(base, 1) + 1
                name = f"{base}_{tried[base]}"
            taken.add(name)
            names[var] = name
        return names

    def variables(self) -> Iterator[Var]:
        """Every variable once, in order of assignment."""
        yield from self.inputs
        for equation in self.equations:
            yield from equation.outputs

    def __str__(self) -> str:
        names = self.names()

        def text(atom: Atom) -> str:
            return names[atom] if isinstance(atom, Var) else repr(atom)

        lines = [f"program({', '.join(f'{names[v]}: {v.type}' for v in self.inputs)}):"]
        for eq in self.equations:
            left = ", ".join(f"{names[v]}: {v.type}" for v in eq.outputs)
            within = [(k, v) for k, v in eq.params.items() if holds_programs(v)]
            given = [*map(text, eq.inputs), *(f"{k}={v}" for k, v in eq.params.items() if not holds_programs(v))]
            lines.append(f"  {left} = {eq.primitive.name}({', '.join(given)})")
            held = [(k, p) for k, v in within for p in (v if isinstance(v, tuple) else (v,))]
            lines += [textwrap.indent(f"{name}: {program}", "    ") for name, program in held]
        return "\n".join([*lines, f"  return {', '.join(map(text, self.outputs))}"])


def holds_programs(param: Any) -> bool:
    """Whether a parameter of an operation is a program, or several."""
    return isinstance(param, Program) or (isinstance(param, tuple) and any(map(holds_programs, param)))


def prune(program: Program) -> Program:
    """The program without equations that nothing returned depends on, and without unused hidden inputs."""
    live = {v for v in program.outputs if isinstance(v, Var)}
    kept = []
    for eq in reversed(program.equations):
        if any(v in live for v in eq.outputs):
            kept.append(eq)
            live.update(a for a in eq.inputs if isinstance(a, Var))
    hidden = program.inputs[len(program.arguments) :]
    pairs = [(v, c) for v, c in zip(hidden, program.captured, strict=True) if v in live]
    return Program(
        program.arguments + tuple(v for v, _ in pairs),
        tuple(reversed(kept)),
        program.outputs,
        tuple(c for _, c in pairs),
        program.scope,
    )


_ASSIGNED = re.compile(r"\s*([A-Za-z_]\w*)\s*(?::[^=]+)?=(?!=)(?!\s*lambda\b)")


class _Stack(threading.local):
    def __init__(self) -> None:
        self.builders: list[Builder] = []
        self.turns: list[Turn] = []
        self.in_pass = False


class Turn:
    """What a loop or `vmap` is doing while its step is traced: which of the turns it is, for whoever asks.

    Random layers do, so that each step and each example has numbers of its own.  A step in which nobody asks is traced
    as it is; another once more, with the number of the turn as one more element.
    """

    def __init__(self) -> None:
        self.asked = False
        self.index: Any = 0
        self.drawn = 0
        self.place: int | None = None  # of the loop among what drew numbers around it
        self.is_numbered = True

    def either(self, plain: Callable[[], Any], numbered: Callable[[], Any]) -> Any:
        """What `plain` gives; `numbered`, which sets the index, once a step of it asks: before anything of it runs."""
        self.is_numbered = False
        try:
            return plain()
        except _Asked as problem:
            if problem.args[0] is not self:
                raise
        finally:
            self.is_numbered = True
        return numbered()

    def around(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """The step, in which the turn can be asked for."""

        @functools.wraps(f)
        def step(*args: Any) -> Any:
            self.drawn = 0
            STACK.turns.append(self)
            try:
                found = f(*args)
            finally:
                STACK.turns.remove(self)
            if self.asked and not self.is_numbered:
                raise _Asked(self)
            return found

        return step


class _Asked(Exception):
    """A step asked for the number of its turn, while it was traced without one."""


STACK = _Stack()
"""The traces in progress in this thread, innermost last, the loops they are steps of, and whether a pass of `nn.apply`
runs, which layers ask."""


def builder() -> Builder | None:
    """The trace in progress in this thread, if any."""
    return STACK.builders[-1] if STACK.builders else None


def builder_of_now() -> Builder:
    """The innermost program being traced, for an operation on a traced value; TraceError if there is none any more."""
    found = builder()
    if found is None:
        raise TraceError(
            "a traced value was used outside its trace",
            expected="values made by this call, or arrays",
            got="a value kept from a compiled or traced function that has returned",
            where=user_line(),
            try_="return the value from the traced function instead of storing it outside",
        )
    return found


def belongs_to_trace(values: Sequence[Any], params: Mapping[str, Any]) -> bool:
    """Whether a call without a traced operand is part of the program in progress all the same.

    It is where there are no operands, where its parameters are sizes, and where it reads what variables outside hold.
    """
    around = STACK.builders[-1].around
    return not values or (bool(around) and any(id(v) in around for v in values)) or has_size(tuple(params.values()))


def is_array_now(value: Any) -> TypeGuard[NDArray[Any]]:
    """Whether a value is an array and no program is in progress: then NumPy may be called without any operation."""
    return isinstance(value, (np.ndarray, np.generic)) and not STACK.builders


class Builder:
    """Collects equations.  Identical equations are shared (hash-consing), so rules may recompute freely."""

    def __init__(self, scope: Scope | None = None, *, expand: bool = False) -> None:
        self.scope = scope or Scope()
        self.expand = expand
        self.differentiated = False  # derivatives are taken of the program: what the user cuts off is cut in it
        self.around: frozenset[int] = STACK.builders[-1].around if STACK.builders else frozenset()
        self.start = now()
        self.equations: list[Equation] = []
        self.captured: dict[int, tuple[Any, Var]] = {}
        self.rule = ""
        self.origin: Equation | None = None  # while a program is traced again: the equation being repeated
        self._seen: dict[Any, tuple[Var, ...]] = {}
        self._named: dict[str, tuple[Var, tuple[Any, int]]] = {}

    def new(self, type: Type, name: str = "") -> Var:
        """A fresh variable of this trace."""
        return Var(type, name, self)

    def atom(self, value: Any) -> Any:
        """What an equation of this trace reads for a value: captures arrays and variables from outside."""
        node, value = value, raw(value)
        if isinstance(value, Var) and value.builder is self:
            return value
        if type(value) in PYTHON_SCALARS:
            return value
        if isinstance(value, Size):
            return raw(Size.as_value(value))
        # Only what comes from outside is followed back: the history of this trace's own values grows with the trace
        held = node if isinstance(node, Node) and depends_on_earlier(node, self.start) else value
        known = self.captured.get(id(held))
        if known is None:
            if isinstance(value, Var) and value.builder not in STACK.builders:
                raise TraceError(
                    "a value of a trace that has ended was used",
                    expected="values made by this call, or arrays",
                    got=f"a traced value of type {value.type}",
                    try_="return the value from the traced function instead of storing it outside",
                )
            name = value.name if isinstance(value, Var) else ""
            known = self.captured[id(held)] = (held, self.new(type_of(value), name))
        return known[1]

    def emit(self, primitive: Operation, values: Sequence[Any], params: dict[str, Any]) -> tuple[Var, ...]:
        """Append an equation (or find the same one), and return its outputs."""
        inputs = tuple(map(self.atom, values))
        key = (primitive, tuple(map(_atom_key, inputs)), tuple((k, freeze(v)) for k, v in params.items()))
        known = self._seen.get(key)
        if known is not None:
            return known
        types = primitive.infer([type_of(a) for a in inputs], params)
        outputs = tuple(self.new(t) for t in types)
        self.equations.append(self._equation(primitive, inputs, params, outputs))
        self._seen[key] = outputs
        return outputs

    def _equation(
        self, primitive: Operation, inputs: tuple[Any, ...], params: dict[str, Any], outputs: tuple[Var, ...]
    ) -> Equation:
        if self.origin is not None:
            return Equation(primitive, inputs, params, outputs, self.origin.where, self.origin.rule)
        site, named = call_site(), named_site()
        if not self.rule and named is not None:
            self._name(outputs, named)
        where = describe_line(site[0].co_filename, site[1])
        return Equation(primitive, inputs, params, outputs, where, self.rule)

    def _name(self, outputs: tuple[Var, ...], site: tuple[Any, int]) -> None:
        """Give the value the name that the user's line assigns; the last value of the line keeps it."""
        found = _ASSIGNED.match(linecache.getline(site[0].co_filename, site[1]))
        if found and len(outputs) == 1:
            name = found.group(1)
            before = self._named.get(name)
            if before is not None and before[1] == site:
                before[0].name = ""
            outputs[0].name = name
            self._named[name] = (outputs[0], site)


def _atom_key(atom: Any) -> Any:
    return id(atom) if isinstance(atom, Var) else (type(atom), repr(atom))


def freeze(value: Any) -> Any:
    """A hashable form of a parameter."""
    if isinstance(value, (tuple, list)):
        return tuple(map(freeze, value))
    if isinstance(value, Size):
        return dim_key(value)
    if isinstance(value, slice):
        return ("slice", freeze(value.start), freeze(value.stop), freeze(value.step))
    if isinstance(value, np.dtype):
        return value.str
    return (type(value).__name__, repr(value)) if isinstance(value, (bool, int, float)) else value


def substitute(value: Any, env: dict[Any, Any]) -> Any:
    """A parameter with numbers (or other sizes) put in for its symbolic sizes."""
    if isinstance(value, Size):
        return evaluate_size(value, env)
    if isinstance(value, tuple):
        return tuple(substitute(v, env) for v in value)
    if isinstance(value, Program):
        return _with_sizes(value, env) if has_size(value) else value
    if isinstance(value, slice):
        return slice(*(substitute(v, env) for v in (value.start, value.stop, value.step)))
    return value


def _with_sizes(program: Program, env: dict[Any, Any]) -> Program:
    """A program within an equation, whose sizes are those of the program around it."""
    new = {v: Var(Type(substitute(v.type.shape, env), v.type.dtype, v.type.weak), v.name) for v in program.variables()}

    def read(atom: Any) -> Any:
        return new[atom] if isinstance(atom, Var) else atom

    equations = [
        replace(
            eq,
            inputs=tuple(map(read, eq.inputs)),
            params={k: substitute(v, env) for k, v in eq.params.items()},
            outputs=tuple(map(read, eq.outputs)),
        )
        for eq in program.equations
    ]
    inputs, outputs = tuple(map(read, program.inputs)), tuple(map(read, program.outputs))
    return Program(inputs, tuple(equations), outputs, program.captured, program.scope)


@contextmanager
def tracing(b: Builder) -> Iterator[Builder]:
    """Make `b` the trace in progress."""
    STACK.builders.append(b)
    try:
        yield b
    finally:
        STACK.builders.remove(b)


def trace(
    f: Callable[..., Sequence[Any]],
    types: Sequence[Type],
    names: Sequence[str] = (),
    scope: Scope | None = None,
    *,
    differentiated: bool = False,
    around: frozenset[int] = frozenset(),
) -> Program:
    """The program of `f`, a function of flat positional values that returns a flat sequence of values.

    differentiated  derivatives are taken of the program: `no_grad` and `detach` become `stop_gradient` in it
    around          identities of arrays that variables outside hold and that may change: what is computed from them
                    belongs to the program as well
    """
    b = Builder(scope)
    b.differentiated = differentiated and RECORDING.on
    b.around |= around
    inputs = [b.new(t, n) for t, n in zip(types, names or [""] * len(types), strict=True)]
    with tracing(b):
        results = f(*(Node.tensor(v) for v in inputs))
        outputs = tuple(map(b.atom, results))
    hidden = list(b.captured.values())
    program = Program(
        tuple(inputs) + tuple(v for _, v in hidden),
        tuple(b.equations),
        outputs,
        tuple(value for value, _ in hidden),
        b.scope,
    )
    return prune(program)


def evaluate(program: Program, arguments: Sequence[Any]) -> list[Any]:
    """Bind every equation again on `arguments`: arrays compute, variables of another trace inline.

    `arguments` are the values of all inputs, hidden ones included.
    """
    env: dict[Any, Any] = dict(zip(program.inputs, arguments, strict=True))
    sizes = _Sizes()
    sizes |= program.scope.bind(
        (dim, n)
        for var, value in zip(program.inputs, arguments, strict=True)
        for dim, n in zip(var.type.shape, shape_of(value), strict=True)
    )

    def read(atom: Any) -> Any:
        return env[atom] if isinstance(atom, Var) else atom

    for eq in program.equations:
        params = {k: substitute(v, sizes) for k, v in eq.params.items()}
        out = eq.primitive(*map(read, eq.inputs), **params)
        env.update(zip(eq.outputs, out if len(eq.outputs) > 1 else (out,), strict=True))
    return [read(a) for a in program.outputs]


class _Sizes(dict[Any, Any]):
    """Numbers for sizes.  Of a program within another those that no input of its own has stay as they are."""

    def __missing__(self, symbol: Symbol) -> Size:
        return Size({(symbol,): 1}, symbol.scope)


def shape_of(value: Any) -> Any:
    """The shape of an array, number, variable or node."""
    if isinstance(value, Node):
        value = value.value
    return () if type(value) in PYTHON_SCALARS else value.shape


def rank_of(value: Any) -> int:
    """The number of axes of an array, number, variable or node; an error for anything else."""
    value = raw(value)
    try:
        return 0 if type(value) in PYTHON_SCALARS else len(value.shape)
    except AttributeError:
        return type_of(value).ndim  # raises, and says what came instead of an array


def has_size(value: Any) -> bool:
    """Whether a parameter holds a symbolic size, so that the call belongs into the program."""
    if isinstance(value, slice):
        value = (value.start, value.stop, value.step)
    if isinstance(value, Program):
        value = (*(v.type.shape for v in value.variables()), *(tuple(eq.params.values()) for eq in value.equations))
    return any(map(has_size, value)) if isinstance(value, (tuple, list)) else isinstance(value, Size)
