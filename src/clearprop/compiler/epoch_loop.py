"""A training loop run natively: batches gathered by shuffled index, the carry updated in place, scalars collected.

A call returns at the end of the epoch or after about a tenth of a second, so that progress, Ctrl-C and early stopping
work; where it is cut changes no bit.
"""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np

from clearprop.autodiff.trees import Structure, flatten, paths, unflatten
from clearprop.compiler.binding import SHARES, SPLIT_ELEMENTS, Binding, KernelCall
from clearprop.compiler.executable import Executable, Instructions
from clearprop.compiler.executor_choice import native_obstacle
from clearprop.compiler.kernel_text import dtype_name
from clearprop.compiler.lowering import lower
from clearprop.compiler.memory_plan import make_plan
from clearprop.compiler.native.cache import module_text
from clearprop.compiler.native.library_kernels import collect, gather
from clearprop.compiler.native.row_order import LEDGER, RowOrders, native_order
from clearprop.compiler.native.structural_kernels import SPECIAL
from clearprop.compiler.tiles import tile_product, tile_shape
from clearprop.errors import DTypeError, ShapeError, user_line
from clearprop.program.ir import Equation, Var, trace
from clearprop.program.processes import Remembered
from clearprop.program.types import Type, type_of
from clearprop.program.values import Node, raw
from clearprop.rules.checking import trusted_values
from clearprop.shapes import Scope, Size, hint, same_shape

KNOWN = 64
"""Kinds of loops whose programs are kept."""
SIZES = 4
"""Sizes of batches for which the instructions of a program are kept."""


class _Traced:
    """The program of a step, for all sizes of batch or, where the step looks at the size, for one."""

    def __init__(self, loop: NativeLoop, f: Callable[..., Any], size: int) -> None:
        self.scope = Scope()
        self._sized = Remembered[_SizedLoop](SIZES)
        self._fitting = Remembered[bool](KNOWN)
        self.carried = n = len(loop.arrays)
        batch = 1 if size == 1 else self.scope.new(size)
        types = [self._type(a.shape, a.dtype) for a in loop.arrays]
        types += [Type((batch, *self._type(d.shape[1:], d.dtype).shape), d.dtype) for d in loop.data]
        names = [_identifier(name) for name in loop.names] + [f"x{i}" for i in range(len(loop.data))]
        found: list[Any] = []

        def flat_f(*xs: Any) -> Sequence[Any]:
            new, scalars = f(unflatten(loop.structure, list(xs[:n])), *xs[n:])
            leaves, structure = flatten(new)
            values, out_structure = flatten(scalars)
            found.append((structure, out_structure))
            return [*leaves, *values]

        with trusted_values() if loop.trusted else contextlib.nullcontext():
            self.program = trace(flat_f, types, names, self.scope)
        structure, self.scalars = found[0]
        if structure != loop.structure:
            raise ValueError("the loop's function must return a carry of the same structure")
        _require_fitting_outputs(loop.names, types, self.program.outputs, self.scalars)
        self.lowered = lower(self.program)
        self._find_hidden(loop)

    def _find_hidden(self, loop: NativeLoop) -> None:
        """The arrays that the step uses besides its arguments, and which of them a loop is given anew each time."""
        captured = [raw(c) for c in self.lowered.captured]
        self.places = [next((i for i, g in enumerate(loop.given) if g is c), None) for c in captured]
        self.own = [np.asarray(c, order="C") for i, c in zip(self.places, captured, strict=True) if i is None]

    @property
    def shared(self) -> bool:
        """Whether the program holds no array but those that every loop is given anew."""
        return not self.own

    def hidden_of(self, loop: NativeLoop) -> list[np.ndarray[Any, Any]]:
        """The arrays that the step uses besides its arguments."""
        own = iter(self.own)
        return [next(own) if i is None else np.asarray(loop.given[i], order="C") for i in self.places]

    def _type(self, shape: Sequence[int], dtype: Any) -> Type:
        return Type(tuple(1 if n == 1 else self.scope.new(n) for n in shape), dtype)

    @functools.cached_property
    def plan(self) -> Any:
        """The plan; every carried value may be updated in place."""
        return make_plan(self.lowered, {i: i for i in range(self.carried)})

    @functools.cached_property
    def read(self) -> set[Any]:
        """The variables that operations of the plan read, copies of what is given back as it is among them."""
        return {a for eq in self.plan.program.equations for a in eq.inputs if isinstance(a, Var)}

    @functools.cached_property
    def obstacle(self) -> str | None:
        """Why the program has no native form; None if it has one."""
        return native_obstacle(self.lowered)

    def sized(self, loop: NativeLoop, size: int) -> _SizedLoop:
        """The instructions for batches of this size; they are those of every loop of such arrays with this program."""
        return self._sized.get((size, *_shapes_of(loop.arrays)), lambda: _SizedLoop(self, loop, size))

    def fits(self, loop: NativeLoop, size: int) -> bool:
        """Whether the program holds for such arrays and batches of this size; data of loops that share it are alike."""
        scope = self.scope
        key = size, scope.merges, len(scope.guards), *_shapes_of([*loop.arrays, *loop.given])
        return self._fitting.get(key, lambda: scope.holds(self.environment(loop, size)))

    def environment(self, loop: NativeLoop, size: int) -> dict[Any, int]:
        """Numbers for the sizes, for batches of `size` rows."""
        shapes = [a.shape for a in loop.arrays] + [(size, *d.shape[1:]) for d in loop.data]
        shapes += [h.shape for h in self.hidden_of(loop)]
        pairs = zip(self.lowered.inputs, shapes, strict=True)
        return self.scope.bind((dim, n) for var, shape in pairs for dim, n in zip(var.shape, shape, strict=True))


def _shapes_of(arrays: Sequence[np.ndarray[Any, Any]]) -> list[tuple[int, ...]]:
    """What sizes hang on: loops that take parts of arrays have the program of the whole, and other sizes."""
    return [a.shape for a in arrays]


_PROGRAMS = Remembered[list[_Traced]](KNOWN)


class NativeLoop:
    """`f(carry, *batch) -> (carry, scalars)` as a native loop over batches of in-memory data.

    The carry (model, optimizer state, counters) is copied once and then lives in the loop's own arrays.  Data that are
    `trusted` were looked at as a whole before: the steps do not check their labels again.

    `known_as` is equal for functions that compute the same (None: for no other); their programs are then traced,
    lowered and planned once in a process.  `given` are arrays that the function uses besides its arguments, and that
    may be others each time.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        carry: Any,
        data: Sequence[np.ndarray[Any, Any]],
        threads: int | None = None,
        *,
        trusted: bool = False,
        known_as: Hashable = None,
        given: Sequence[np.ndarray[Any, Any]] = (),
    ) -> None:
        self.f, self.trusted, self.given = f, trusted, given
        self.data = [np.asarray(raw(d), order="C") for d in data]
        flat, self.structure = flatten(carry)
        self.arrays = [np.array(raw(v), order="C") for v in flat]
        self.threads = threads
        self.traced = [] if known_as is None else _PROGRAMS.get(self._key(known_as), list)
        self.bound: dict[int, BoundLoop] = {}
        first = self._for(2)
        self.lowered, self.scalars, self.obstacle = first.lowered, first.scalars, first.obstacle

    def _key(self, known_as: Hashable) -> Hashable:
        """What programs are special to: the function, and dtypes and shapes but for the number of rows.

        A program holds for other shapes too, but how it is planned may depend on those that it was traced with.
        """
        kinds = [(a.dtype.str, a.shape) for a in self.arrays] + [(d.dtype.str, d.shape[1:]) for d in self.data]
        return known_as, self.structure, self.trusted, *kinds

    @functools.cached_property
    def names(self) -> list[str]:
        """What the arrays of the carry are called."""
        return paths(unflatten(self.structure, self.arrays))

    def _for(self, size: int) -> _Traced:
        """The program for batches of this size; a step that looks at the size has one for each."""
        for traced in list(self.traced):
            if traced.fits(self, size):
                return traced
        new = _Traced(self, self.f, size)
        if not new.shared:  # what others may find holds nothing of this loop
            self.traced = list(self.traced)
        self.traced.append(new)
        return new

    @staticmethod
    def order(key: Any, path: Sequence[int], n: int) -> np.ndarray[Any, Any] | None:
        """The order of n rows that belongs to a path under a key (`native_order`); None where NumPy has it sooner."""
        return native_order(key, path, n) if LEDGER.is_worth(n) else None

    @staticmethod
    def orders(key: Any, n: int) -> RowOrders | None:
        """What gives the orders of n rows in the epochs under a key; None where NumPy has them sooner."""
        return RowOrders(key, 1, n) if LEDGER.is_worth(n) else None

    @functools.cached_property
    def live(self) -> Any:
        """The carry in the loop's own arrays: the next step changes it."""
        return unflatten(self.structure, [Node.tensor(a) for a in self.arrays])

    @property
    def is_elementwise(self) -> bool:
        """Whether whatever a step computes in an array hangs on numbers and on what stands in its place in others."""
        return all(map(_is_elementwise, self.lowered.equations))

    def on_arrays(self, carry: Any) -> NativeLoop:
        """The same loop, which takes the arrays of this carry, in C order, for its own; `fits` says whether it may.

        They may be parts of those that it was made with: where it `is_elementwise`, these have the bits that they have
        in the whole.
        """
        new = copy(self)
        new.arrays, new.bound, new.traced = [raw(v) for v in flatten(carry)[0]], {}, list(self.traced)
        vars(new).pop("live", None)
        return new

    def fits(self, size: int) -> bool:
        """Whether a program is known for arrays like these, and for batches of this size."""
        return any(traced.fits(self, size) for traced in self.traced)

    def load(self, carry: Any) -> None:
        """Set the carry."""
        flat, structure = flatten(carry)
        if structure != self.structure:
            raise ValueError("the carry has another structure than the loop's")
        for array, value in zip(self.arrays, flat, strict=True):
            array[...] = raw(value)

    def prepare(self, size: int) -> None:
        """Compile what batches of this size need, before the first of them."""
        self.bound_to(size)

    def carry(self) -> Any:
        """The carry as it stands now (copies)."""
        return unflatten(
            self.structure, [Node.tensor(np.array(a)[()] if a.ndim == 0 else a.copy()) for a in self.arrays]
        )

    def run(
        self,
        order: np.ndarray[Any, Any],
        batch: int,
        start: int = 0,
        stop: int | None = None,
        until: float | None = None,
    ) -> tuple[int, Any]:
        """Steps start … stop − 1 of the epoch given by `order`; returns (where it stopped, scalars of these steps).

        `until` is a time (`time.perf_counter()`) after which no further slice begins.
        """
        steps = -(-len(order) // batch)
        stop = steps if stop is None else stop
        order = np.ascontiguousarray(order, np.int64)
        rows: list[list[np.ndarray[Any, Any]]] = []
        at = start
        while at < stop:
            size = min(batch, len(order) - at * batch)
            end = stop if size == batch and (stop < steps or len(order) % batch == 0) else min(stop, steps - 1)
            end = max(end, at + 1) if size == batch else at + 1
            rows.append(self.bound_to(size).run(order, batch, at, end))
            at = end
            if until is not None and time.perf_counter() > until:
                break
        return at, unflatten(
            self.scalars, [np.concatenate(parts) for parts in zip(*rows, strict=True)]
        ) if rows else None

    def whole_epochs(self, sizes: np.ndarray[Any, Any]) -> WholeEpochs:
        """Epochs of batches of these sizes, one after another."""
        return WholeEpochs(self, sizes)

    def bound_to(self, size: int) -> BoundLoop:
        """The loop for batches of this size."""
        if size not in self.bound:
            self.bound[size] = BoundLoop(self, size)
        return self.bound[size]


def _is_elementwise(eq: Equation) -> bool:
    """Whether an operation computes each element of what is at its place in the operands that are arrays."""
    if eq.primitive.kind != "elementwise" or any(isinstance(a, Size) for a in eq.inputs):
        return False
    shapes = [type_of(a).shape for a in eq.inputs]
    return all(not shape or same_shape(shape, eq.outputs[0].shape) for shape in shapes)


def _require_fitting_outputs(
    names: Sequence[str], types: Sequence[Type], outputs: Sequence[Any], scalars: Structure
) -> None:
    """What a step returns fits where it is written: carried values over themselves, numbers in their places."""
    n = len(names)
    for name, before, after in zip(names, types[:n], outputs[:n], strict=True):
        _require_same_type(name, before, type_of(after))
    for path, value in zip(paths(unflatten(scalars, outputs[n:])), outputs[n:], strict=True):
        _require_number(path, type_of(value))


def _require_same_type(name: str, before: Type, after: Type) -> None:
    """A carried value is written over itself: with another type it would not fit its memory."""
    if before.dtype != after.dtype or list(map(hint, before.shape)) != list(map(hint, after.shape)):
        raise DTypeError(
            f"a step changes the type of {name.removeprefix('[0].')}",
            expected=f"{before}, as before the step",
            got=str(after),
            where=user_line(),
            try_="x.astype(...) where the new value is made: a float64 array beside float32 makes float64",
        )


def _require_number(path: str, type: Type) -> None:
    """What is collected in every step is one number: an array would not fit its place."""
    if type.shape:
        raise ShapeError(
            f"a step returns an array where a loss or a metric is expected{f': {path}' if path else ''}",
            expected="one number per batch",
            got=f"an array of type {type}",
            try_="cl.mean(x), or another reduction to one number",
        )


def _identifier(path: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in path).strip("_").replace("__", "_")


class _SizedLoop:
    """The instructions of a loop for one batch size, without its arrays: gather rows, a step, collect its scalars."""

    def __init__(self, traced: _Traced, loop: NativeLoop, size: int) -> None:
        self.traced, self.size = traced, size
        env = traced.environment(loop, size)
        self.binding = Binding(traced.plan, env, 1, SPECIAL)
        if self.binding.needs_two_threads(awake=True):
            self.binding = Binding(traced.plan, env, SHARES, SPECIAL)
        self._add_gathers(loop.data)
        self._add_collections()
        self.instructions = Instructions(self.binding, _kernels_of_predictions(loop.arrays))

    def _add_gathers(self, data: Sequence[np.ndarray[Any, Any]]) -> None:
        calls, parallel = self.binding.calls, self.binding.parallel
        before = len(calls)
        for k, rows in enumerate(data):
            width = math.prod(rows.shape[1:])
            kernel = gather(dtype_name(rows.dtype))
            shares = self.binding.shares(self.size, self.size * width >= SPLIT_ELEMENTS, 1)
            places = [(2, ("batch", k), 0), (3, ("data", k), 0), (4, "index", 0), (7, "cursor", 0)]
            self.binding.add(
                [KernelCall(kernel, [lo, hi, 0, 0, 0, width, self.size, 0], list(places)) for lo, hi in shares]
            )
        moved = len(calls) - before
        calls[:] = calls[-moved:] + calls[:-moved] if moved else calls
        parallel[:] = parallel[-moved:] + parallel[:-moved] if moved else parallel

    def _add_collections(self) -> None:
        for k, o in enumerate(self.traced.plan.outputs[self.traced.carried :]):
            kernel = collect(dtype_name(o.dtype))
            self.binding.add(
                [KernelCall(kernel, [0, 1, 0, 0, 0], [(2, ("losses", k), 0), (3, ("scalar", k), 0), (4, "cursor", 0)])]
            )


def _kernels_of_predictions(carry: Sequence[np.ndarray[Any, Any]]) -> list[str]:
    """What multiplies rows when the network is judged: compiled beside the step, it need not be waited for."""
    names = {dtype_name(a.dtype) for a in carry if a.ndim == 2 and a.dtype.kind == "f"}
    return [module_text(tile_product(name, *tile_shape())) for name in sorted(names)]


class BoundLoop:
    """The loop for one batch size, with its arrays."""

    def __init__(self, loop: NativeLoop, size: int) -> None:
        self.arrays, self.data, self.size = loop.arrays, loop.data, size  # the loop itself would be a circle
        self.traced = loop._for(size)
        n = len(loop.arrays)
        self.batches = [np.empty((size, *d.shape[1:]), d.dtype) for d in loop.data]
        self.hidden = self.traced.hidden_of(loop)
        outputs = self.traced.plan.outputs[n:]
        self.scalars = [np.zeros(1, o.dtype if isinstance(o, Var) else type_of(o).dtype) for o in outputs]
        self.executable = Executable(self.traced.sized(loop, size).instructions, loop.threads)
        self._place(n)

    def _place(self, n: int) -> None:
        plan, inputs = self.traced.plan, self.traced.lowered.inputs
        where: dict[Any, np.ndarray[Any, Any]] = {}
        where |= zip(inputs, [*self.arrays, *self.batches, *self.hidden], strict=True)
        for k, (batch, data) in enumerate(zip(self.batches, self.data, strict=True)):
            where |= {("batch", k): batch, ("data", k): data}
        for k, (o, s) in enumerate(zip(plan.outputs[n:], self.scalars, strict=True)):
            where |= {plan.buffer(o): s, ("scalar", k): s}
        self.unplaced = list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]()
        self.written = dict[int, Var]()
        for k, (o, array) in enumerate(zip(plan.outputs[:n], self.arrays, strict=True)):
            if plan.buffer(o) in inputs:
                continue
            if inputs[k] not in self.traced.read:  # what stands there is nobody's operand
                where[plan.buffer(o)], self.written[k] = array, plan.buffer(o)
            else:
                fresh = where[plan.buffer(o)] = np.empty_like(array)
                self.unplaced.append((fresh, array))
        self.executable.place_all({held: array.ctypes.data for held, array in where.items()})

    def run(self, order: np.ndarray[Any, Any], batch: int, start: int, stop: int) -> list[np.ndarray[Any, Any]]:
        """Native steps; the scalars of each."""
        losses = [np.zeros(stop - start, s.dtype) for s in self.scalars]
        self.place(order, batch, losses, start)
        self.steps(start, stop)
        return losses

    def place(
        self, order: np.ndarray[Any, Any], batch: int, losses: Sequence[np.ndarray[Any, Any]], first: int = 0
    ) -> None:
        """Take rows in this order from now on, and write the scalars of step `first` and those after it to `losses`.

        Steps before have `batch` rows: a last batch of another size begins where those end.
        """
        x = self.executable
        x.place("index", order.ctypes.data + 8 * first * (batch - self.size))
        for k, array in enumerate(losses):
            x.place(("losses", k), array.ctypes.data - first * array.itemsize)

    def move(self, arrays: Mapping[int, np.ndarray[Any, Any]]) -> None:
        """Take other memory for arrays of the carry, by their numbers, which steps write and do not read."""
        inputs = self.traced.lowered.inputs
        self.executable.place_all({self.written.get(k, inputs[k]): a.ctypes.data for k, a in arrays.items()})

    def steps(self, start: int, stop: int) -> None:
        """Native steps start … stop − 1."""
        if not self.unplaced:
            self.executable.run(start, stop)
            return
        for s in range(start, stop):
            self.executable.run(s, s + 1)
            for fresh, array in self.unplaced:
                array[...] = fresh


class WholeEpochs:
    """Epochs of batches of these `sizes`, of which only the last may differ: order and scalars have one memory for all.

    `totals` are those of the epoch that `run` was called for: the rows, and each scalar's sum over them, in float64 and
    in the order of the batches.
    """

    def __init__(self, loop: NativeLoop, sizes: np.ndarray[Any, Any]) -> None:
        self._sizes, self._rows, self._batch = sizes, float(sizes.sum()), int(sizes[0])
        steps = len(sizes)
        full = steps if sizes[-1] == sizes[0] else steps - 1
        parts = [(self._batch, 0, full), (int(sizes[-1]), full, steps)]
        self._parts = [(loop.bound_to(size), first, stop) for size, first, stop in parts if first < stop]
        self._losses = [np.zeros(steps, s.dtype) for s in self._parts[0][0].scalars]
        self._products = np.zeros((len(self._losses), steps + 1))
        self._sums = np.empty_like(self._products)

    def begin(self, order: np.ndarray[Any, Any]) -> None:
        """Take the rows in this order from now on, whose memory may then have another one."""
        for bound, first, _ in self._parts:
            bound.place(order, self._batch, [losses[first:] for losses in self._losses], first)

    def run(self) -> tuple[float, ...]:
        """An epoch; its totals."""
        for bound, first, stop in self._parts:
            bound.steps(first, stop)
        for products, losses in zip(self._products, self._losses, strict=True):
            np.multiply(self._sizes, losses, out=products[1:], dtype=np.float64)
        np.add.accumulate(self._products, axis=1, out=self._sums)
        return self._rows, *self._sums[:, -1].tolist()
