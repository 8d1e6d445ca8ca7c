"""Random programs in which something bad happens, and gates leave it; and the same programs in which nothing happens.

A program computes roots, logarithms and quotients where they have no value or no derivative, goes on from there by
elementwise functions, moves, reductions and products, and leaves what came of it by gates.  Its *safe* form is computed
beside it: before each function that goes wrong, the entries that would make it wrong are harmless numbers, and each
gate is a fixed mask, the one that it chose.  Both forms have one result, and one derivative of every order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import clearprop as cl
from clearprop.errors import ClearpropError

HARMLESS = 0.37
"""A number at which every function below is defined. With NaN in its place a value shows whether it hangs on it."""
LARGEST, MOST = 30.0, 72
SPECIAL = (0.0, 0.0, -0.0, -1.0, 1.0, 2.0, 1000.0, -1000.0, np.inf, -np.inf, np.nan)

SINGULAR: dict[str, Callable[[Any], Any]] = {
    "sqrt": cl.sqrt,
    "log": cl.log,
    "log2": cl.log2,
    "reciprocal": cl.reciprocal,
    "1 /": lambda v: 1 / v,
    "** 0.5": lambda v: v**0.5,
    "** -1": lambda v: v**-1,
    "asin": cl.asin,
    "acos": cl.acos,
    "atanh": cl.atanh,
    "log1p of -": lambda v: cl.log1p(-v),
    "acosh of 1 +": lambda v: cl.acosh(1 + v),
    "rsqrt": cl.rsqrt,
    "logit": cl.logit,
    "erfinv": cl.erfinv,
    "lgamma": cl.lgamma,
    "exp": cl.exp,
    "xlogy": lambda v: cl.xlogy(v, v),
}
"""Functions that have no value or no derivative somewhere."""
SMOOTH: dict[str, Callable[[Any], Any]] = {
    "sin": cl.sin,
    "tanh": cl.tanh,
    "sigmoid": cl.sigmoid,
    "softplus": cl.softplus,
    "atan": cl.atan,
    "gelu": cl.gelu,
    "silu": cl.silu,
    "negative": cl.negative,
    "square / 4": lambda v: cl.square(v) / 4,
    "+ 0.3": lambda v: v + 0.3,
    "0.7 *": lambda v: 0.7 * v,
    "** 3 / 9": lambda v: v**3 / 9,
    "v cos v": lambda v: v * cl.cos(v),
    "gradient": lambda v: cl.grad(lambda t: cl.sum(cl.sin(t) * t))(v),
    "mapped": lambda v: cl.vmap(lambda row: cl.sin(row) * 0.8)(v) if v.ndim else v,
}
PAIRS: dict[str, Callable[[Any, Any], Any]] = {
    "add": cl.add,
    "subtract": cl.subtract,
    "multiply": cl.multiply,
    "hypot": lambda a, b: cl.hypot(a, 1.5 + b * b),
    "atan2": lambda a, b: cl.atan2(a, 2 + b * b),
    "logaddexp": cl.logaddexp,
    "squared_error": cl.squared_error,
    "lerp": lambda a, b: cl.lerp(a, b, 0.3),
}
REDUCTIONS: dict[str, Callable[..., Any]] = {
    "sum": cl.sum,
    "mean": cl.mean,
    "prod": cl.prod,
    "logsumexp": cl.logsumexp,
    "norm": cl.norm,
    "var": cl.var,
    "std": cl.std,
}
WITHIN_ROWS: dict[str, Callable[[Any], Any]] = {
    "softmax": cl.softmax,
    "log_softmax": cl.log_softmax,
    "cumulative_sum": lambda v: cl.cumulative_sum(v, axis=-1),
    "logcumsumexp": lambda v: cl.logcumsumexp(v, axis=-1),
    "a product": lambda v: v @ cl.cos(cl.reshape(cl.arange(v.shape[-1] * 3), (v.shape[-1], 3))),
    "two products": lambda v: cl.tanh(v @ cl.sin(cl.reshape(cl.arange(v.shape[-1] * 2), (v.shape[-1], 2)))) @ TURN,
}
"""What mixes the entries of a row: behind it, whole rows are left."""
TURN = np.array([[0.6, -0.8], [0.8, 0.6]])


@dataclass(frozen=True)
class Step:
    """A line of a program, on earlier values; `safe` is its other form, which takes a harmless number first."""

    text: str
    at: tuple[int, ...]
    real: Callable[..., Any]
    safe: Callable[..., Any]


def plain_step(text: str, at: Sequence[int], f: Callable[..., Any]) -> Step:
    """A step that is the same in both forms."""
    return Step(text, tuple(at), f, lambda _, *xs: f(*xs))


@dataclass
class Gated:
    """A scalar function of arrays, in both forms."""

    seed: int
    inputs: list[np.ndarray]
    steps: list[Step] = field(default_factory=list)
    ends: list[tuple[int, np.ndarray]] = field(default_factory=list)

    def __call__(self, *xs: Any) -> Any:
        env = list(xs)
        for step in self.steps:
            env.append(step.real(*(env[i] for i in step.at)))
        return self.total(env)

    def safe(self, *xs: Any) -> Any:
        """The form in which nothing goes wrong."""
        env = [cl.where(bad, HARMLESS, x) for x, bad in zip(xs, map(wild, self.inputs), strict=True)]
        for step in self.steps:
            env.append(step.safe(HARMLESS, *(env[i] for i in step.at)))
        return self.total(env)

    def total(self, env: list[Any]) -> Any:
        """Weighted sums of the last values."""
        parts = [cl.sum(env[i] * weights) for i, weights in self.ends]
        return sum(parts[1:], parts[0])

    def __str__(self) -> str:
        first = len(self.inputs)
        lines = [f"program {self.seed}", *(f"  x{i} = {x.tolist()}" for i, x in enumerate(self.inputs))]
        lines += [f"  x{first + k} = {s.text} of {s.at}" for k, s in enumerate(self.steps)]
        return "\n".join([*lines, f"  sums of {[i for i, _ in self.ends]}"])


def wild(x: np.ndarray) -> np.ndarray:
    """Entries of an input that are replaced as such."""
    return ~(np.abs(x) < 10)


def values_of(out: Any) -> np.ndarray:
    return np.asarray(out, np.float64)


class Generator:
    """Draws one program, and knows of every value which entries hang on something bad."""

    def __init__(self, seed: int, *, one_nan: bool = False) -> None:
        self.rng, self.one_nan = (rng := np.random.default_rng(seed)), one_nan
        n, m = int(rng.integers(2, 5)), int(rng.integers(2, 5))
        x = rng.uniform(0.1, 0.9, (n, m)) * rng.choice([1, 1, 1, -1], (n, m))
        places = rng.choice(n * m, 1 if one_nan else int(rng.integers(1, max(n * m // 2, 2))), replace=False)
        x.flat[places] = np.nan if one_nan else rng.choice(SPECIAL, len(places))
        self.program = Gated(seed, [x, rng.uniform(0.1, 0.9, (n, m)), rng.uniform(0.1, 0.9, (m,))])
        self.real: list[np.ndarray] = list(self.program.inputs)
        self.safe, self.shown = ([np.where(wild(v), h, v) for v in self.program.inputs] for h in (HARMLESS, np.nan))

    def draw(self, length: int) -> Gated:
        """A program; gates leave everything bad before the end, unless that is one NaN."""
        wrong = () if self.one_nan else ("make_singular", "make_quotient")
        others = [n for n in sorted(dir(self)) if n.startswith("make_") and n not in ("make_singular", "make_quotient")]
        makers = [getattr(self, name) for name in (*wrong, *others)]
        weights = np.array([m.weight for m in makers], float)
        self.keep(makers[0]())
        for _ in range(20 * length):
            if len(self.program.steps) >= length:
                break
            self.keep(makers[self.rng.choice(len(makers), p=weights / weights.sum())]())
        used = {i for s in self.program.steps for i in s.at}
        for i in [i for i in range(3, len(self.real)) if i not in used]:
            end = i if self.one_nan else self.leave_all_bad(i)
            self.program.ends.append((end, self.rng.uniform(0.5, 1.5, self.real[end].shape)))
        return self.program

    def keep(self, step: Step | None) -> bool:
        """Append a step whose ordinary entries are tame numbers."""
        if step is None:
            return False
        try:
            with np.errstate(all="ignore"):
                real = values_of(step.real(*(cl.asarray(self.real[i]) for i in step.at)))
                safe, shown = (
                    values_of(step.safe(h, *(cl.asarray(env[i]) for i in step.at)))
                    for h, env in ((HARMLESS, self.safe), (np.nan, self.shown))
                )
        except ClearpropError:  # shapes that do not fit
            return False
        if not (np.abs(safe) < LARGEST).all() or real.size > MOST or not real.size:
            return False
        np.testing.assert_allclose(real[~np.isnan(shown)], safe[~np.isnan(shown)], rtol=1e-9, err_msg=str(self.program))
        self.program.steps.append(step)
        for env, value in ((self.real, real), (self.safe, safe), (self.shown, shown)):
            env.append(value)
        return True

    def bad(self, at: int) -> np.ndarray:
        """Which entries of a value hang on something bad."""
        return np.isnan(self.shown[at])

    # ------------------------------------------------------------------------------------------- operands
    def pick(self, least_rank: int = 0) -> int:
        """A value, one with something bad in it more often."""
        fits = [i for i, v in enumerate(self.real) if v.ndim >= least_rank]
        weight = np.array([1.0 + 4 * self.bad(i).any() + i / 2 for i in fits])
        return int(self.rng.choice(fits, p=weight / weight.sum()))

    def named(self, table: dict[str, Any]) -> tuple[str, Any]:
        name = str(self.rng.choice(list(table)))
        return name, table[name]

    def axis(self, at: int) -> int:
        return int(self.rng.integers(self.real[at].ndim))

    # --------------------------------------------------------------------------------- what may go wrong
    def make_singular(self) -> Step:
        name, f = self.named(SINGULAR)
        at = self.pick()
        x = cl.asarray(self.real[at])
        with np.errstate(all="ignore"):
            ones = cl.ones_like(x)
            first = lambda v: cl.jvp(f, (v,), (ones,))[1]
            known = [values_of(v) for v in (x, f(x), first(x), cl.jvp(first, (x,), (ones,))[1])]
        wrong = ~np.logical_and.reduce([np.abs(v) < 200 for v in known]) | self.bad(at)
        return Step(name, (at,), f, lambda h, v: f(cl.where(wrong, h, v)))

    make_singular.weight = 3

    def make_quotient(self) -> Step:
        a, b = self.pick(), self.pick()
        wrong = (np.abs(self.real[b]) < 0.02) | self.bad(b)
        return Step("divide", (a, b), cl.divide, lambda h, u, v: u / cl.where(wrong, h, v))

    make_quotient.weight = 1

    # ------------------------------------------------------------------------------------ what passes it on
    def make_smooth(self) -> Step:
        name, f = self.named(SMOOTH)
        return plain_step(name, (self.pick(),), f)

    make_smooth.weight = 4

    def make_pair(self) -> Step:
        name, f = self.named(PAIRS)
        return plain_step(name, (self.pick(), self.pick()), f)

    make_pair.weight = 4

    def make_move(self) -> Step:
        at = self.pick(1)
        shape, axis = self.real[at].shape, self.axis(at)
        moves: dict[str, Callable[[Any], Any]] = {
            "flip": lambda v: cl.flip(v, axis=axis),
            "permute_dims": lambda v: cl.permute_dims(v, tuple(range(v.ndim))[::-1]),
            "reshape to a vector": lambda v: cl.reshape(v, (-1,)),
            "reshape to a column": lambda v: cl.reshape(v, (*v.shape, 1)),
            "expand_dims": lambda v: cl.expand_dims(v, axis=axis),
            "broadcast_to": lambda v: cl.broadcast_to(v, (2, *shape)),
            "stack": lambda v: cl.stack([v, 0.5 * v], axis=axis),
            "concat": lambda v: cl.concat([v, cl.sin(v)], axis=axis),
            "roll": lambda v: cl.roll(v, 1, axis=axis),
            "repeat": lambda v: cl.repeat(v, 2, axis=axis),
            "tile": lambda v: cl.tile(v, (2,)),
            "pad": lambda v: cl.pad(v, 1),
            "diff": lambda v: cl.diff(v, axis=axis),
            "tril": cl.tril,
        }
        name, f = self.named(moves)
        return plain_step(f"{name} {axis}", (at,), f)

    make_move.weight = 3

    def make_reduction(self) -> Step:
        name, f = self.named(REDUCTIONS)
        at = self.pick(1)
        axis, keep = self.axis(at), bool(self.rng.random() < 0.5)
        return plain_step(f"{name} {axis} {keep}", (at,), lambda v: f(v, axis=axis, keepdims=keep))

    make_reduction.weight = 2

    def make_rows(self) -> Step | None:
        """Rows that are mixed within themselves, those that hold something bad left behind it."""
        name, f = self.named(WITHIN_ROWS)
        at = self.pick(2)
        if self.real[at].ndim != 2:
            return None
        kept = ~self.bad(at).any(axis=1)
        if not kept.any():
            return None
        rows = np.flatnonzero(kept)
        ways: dict[str, Callable[[Any], Any]] = {
            "where": lambda v: cl.where(kept[:, None], v, 0.25),
            "taken": lambda v: cl.take(v, rows, axis=0),
            "indexed": lambda v: v[rows],
            "summed": lambda v: cl.where(kept, cl.sum(v, axis=1), 0.25),
            "one": lambda v: v[int(rows[0])],
            "filled": lambda v: cl.masked_fill(v * 0.5, ~kept[:, None], 0.0),
        }
        way, gate = self.named(ways)
        apart = lambda h, v: gate(f(cl.where(kept[:, None], v, h)))
        return Step(f"{name} within rows, {way}", (at,), lambda v: gate(f(v)), apart)

    make_rows.weight = 2

    # ------------------------------------------------------------------------------------------------ gates
    def make_gate(self) -> Step | None:
        return self.gate(self.pick())

    make_gate.weight = 3

    def gate(self, at: int) -> Step | None:
        """Any gate on a value."""
        name = str(self.rng.choice([name for name in dir(self) if name.startswith("gate_")]))
        return getattr(self, name)(at)

    def leave_all_bad(self, at: int) -> int:
        """A value without anything bad, behind some gates."""
        for _ in range(12):
            if not self.bad(at).any():
                return at
            if self.keep(self.gate(at)) and (self.rng.random() < 0.5 or not self.bad(-1).any()):
                at = len(self.real) - 1
        if self.bad(at).any():
            assert self.keep(self.gate_where(at))
            at = len(self.real) - 1
        return at

    def gate_where(self, at: int) -> Step:
        kept, other = ~self.bad(at), 0.25
        if self.rng.random() < 0.5:
            return plain_step("where", (at,), lambda v: cl.where(kept, v, other))
        return plain_step("where, the other branch", (at,), lambda v: cl.where(~kept, other, v))

    def gate_where_values(self, at: int) -> Step:
        bound, mates = float(self.rng.uniform(-0.5, 0.5)), self.mates(at)
        with np.errstate(invalid="ignore"):
            mask = self.real[at] > bound
        mate = int(self.rng.choice(mates))
        return Step(
            f"where(v > {bound:.2f}, v, w)",
            (at, mate),
            lambda v, w: cl.where(v > bound, v, w),
            lambda _, v, w: cl.where(mask, v, w),
        )

    def mates(self, at: int) -> list[int]:
        """Values of one shape."""
        return [i for i, v in enumerate(self.real) if v.shape == self.real[at].shape]

    def extremum(self, name: str, at: int, mate: int | None, number: float, takes: Callable[[Any, Any], Any]) -> Step:
        """A gate between two values, or a value and a number, of which NaN wins where it is not `fmax`."""
        f = getattr(cl, name)
        a, b = self.real[at], number if mate is None else self.real[mate]
        with np.errstate(invalid="ignore"):
            mask = takes(a, b)
        if mate is None:
            return Step(f"{name} {number:.2f}", (at,), lambda v: f(v, number), lambda _, v: cl.where(mask, v, number))
        return Step(name, (at, mate), f, lambda _, v, w: cl.where(mask, v, w))

    def gate_extremum(self, at: int) -> Step | None:
        mate = None if self.rng.random() < 0.5 else int(self.rng.choice(self.mates(at)))
        number = float(self.rng.uniform(-0.7, 0.7))
        b = number if mate is None else self.real[mate]
        if np.any(self.real[at] == b):
            return None  # equal numbers share
        name, takes = self.named(
            {
                "maximum": lambda a, b: (a > b) | np.isnan(a),
                "minimum": lambda a, b: (a < b) | np.isnan(a),
                "fmax": lambda a, b: (a > b) | np.isnan(b),
                "fmin": lambda a, b: (a < b) | np.isnan(b),
            }
        )
        return self.extremum(name, at, mate, number, takes)

    def gate_clip(self, at: int) -> Step | None:
        x, low = self.real[at], float(self.rng.uniform(-0.8, 0.1))
        high = low + float(self.rng.uniform(0.3, 1.0))
        ways: dict[str, tuple[Callable[[Any], Any], float, float, float]] = {
            "clip": (lambda v: cl.clip(v, low, high), low, high, 1.0),
            "relu": (cl.relu, 0.0, np.inf, 1.0),
            "relu6": (cl.relu6, 0.0, 6.0, 1.0),
            "hard_tanh": (cl.hard_tanh, -1.0, 1.0, 1.0),
        }
        name, (f, bottom, top, _) = self.named(ways)
        if np.any((x == bottom) | (x == top)):
            return None
        with np.errstate(invalid="ignore"):
            inside, above = ~((x < bottom) | (x > top)), x > top
        ends = np.where(above, 0.0 if np.isinf(top) else top, bottom)
        return Step(name, (at,), f, lambda _, v: cl.where(inside, v, ends))

    def gate_largest(self, at: int) -> Step | None:
        if not self.real[at].ndim:
            return None
        axis, x = self.axis(at), self.real[at]
        name, by = self.named({"max": np.argmax, "min": np.argmin})  # both find NaN first
        place = np.expand_dims(by(x, axis=axis), axis)
        best = np.take_along_axis(x, place, axis)
        if (np.sum((x == best) | (np.isnan(x) & np.isnan(best)), axis=axis) > 1).any():
            return None
        f = getattr(cl, name)
        return Step(
            f"{name} {axis}",
            (at,),
            lambda v: f(v, axis=axis, keepdims=True),
            lambda _, v: cl.take_along_axis(v, place, axis=axis),
        )

    def gate_cut(self, at: int) -> Step | None:
        if not self.real[at].ndim:
            return None
        axis = self.axis(at)
        n, before = self.real[at].shape[axis], (slice(None),) * axis
        clean = np.flatnonzero(~np.moveaxis(self.bad(at), axis, 0).reshape(n, -1).any(axis=1))
        if not len(clean):
            clean = np.arange(n)[int(self.rng.integers(n)) :]
        lowest, highest, one = int(clean[0]), int(clean[-1]) + 1, int(self.rng.choice(clean))
        again = np.concatenate([clean, clean[:1]])
        ways: dict[str, Callable[[Any], Any]] = {
            "slice": lambda v: v[(*before, slice(lowest, highest))],
            "backwards": lambda v: v[(*before, slice(highest - 1, None if lowest == 0 else lowest - 1, -1))],
            "integer": lambda v: v[(*before, one)],
            "negative integer": lambda v: v[(*before, one - n)],
            "take": lambda v: cl.take(v, again, axis=axis),
            "index array": lambda v: v[(*before, again)],
            "unstack": lambda v: cl.unstack(v, axis=axis)[one],
            "split": lambda v: cl.split(v, [lowest, highest], axis=axis)[1],
        }
        name, f = self.named(ways)
        return plain_step(f"{name} {axis} {lowest}:{highest}", (at,), f)

    def gate_along(self, at: int) -> Step | None:
        if not self.real[at].ndim:
            return None
        axis = self.axis(at)
        places = np.argsort(self.bad(at), axis=axis, kind="stable")
        places = np.take(places, [0], axis=axis)
        return plain_step(f"take_along_axis {axis}", (at,), lambda v: cl.take_along_axis(v, places, axis=axis))

    def gate_missing(self, at: int) -> Step | None:
        x = self.real[at]
        if np.isinf(x).any() or not x.ndim:
            return None
        axis, there = self.axis(at), ~np.isnan(x)
        if not there.any(axis=axis).all():
            return None
        ways: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
            "nansum": (lambda v: cl.nansum(v, axis=axis), lambda v: cl.sum(v, axis=axis)),
            "nanmean": (
                lambda v: cl.nanmean(v, axis=axis),
                lambda v: cl.sum(v, axis=axis) / np.sum(there, axis=axis),
            ),
            "nan_to_num": (cl.nan_to_num, lambda v: v),
            "filled": (lambda v: cl.masked_fill(v, ~there, 0.0), lambda v: v),
        }
        name, (f, g) = self.named(ways)
        return Step(f"{name} {axis}", (at,), f, lambda _, v: g(cl.where(there, v, 0.0)))

    def gate_dropout(self, at: int) -> Step:
        kept = ~self.bad(at) & (self.rng.random(self.real[at].shape) < 0.8)
        return plain_step("dropped", (at,), lambda v: cl.where(kept, v / 0.8, 0.0))

    def gate_branch(self, at: int) -> Step:
        return plain_step("a branch", (at,), lambda v: cl.where(np.array(True), 0.3 * cl.ones_like(v), cl.sin(v)))


def draw(seed: int, length: int = 8) -> Gated:
    """A program whose bad entries gates leave."""
    return Generator(seed).draw(length)


def draw_with_one_nan(seed: int, length: int = 6) -> Gated:
    """A program of which one number is NaN and nothing goes wrong but by it, which gates leave or do not leave."""
    return Generator(seed, one_nan=True).draw(length)
