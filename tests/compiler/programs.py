"""Random programs over the registry: functions of a few arrays that use each other's results.

Everything follows from a seed.  Sizes are written as `x.shape[i]`, so that a program is compiled for any sizes unless
it indexes with numbers.  A step whose values are not finite, or large, is drawn again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import clearprop as cl
from clearprop.primitives import REGISTRY, Primitive
from clearprop.program.values import raw
from clearprop.shapes import broadcast
from tests.compiler.program import RandomProgram, Step, draw_input

LARGEST = 60.0


def core() -> list[Primitive]:
    """The primitives that random programs are made of: what is loaded with the package, and has bounds of rounding."""
    ours = (p for p in REGISTRY.values() if p.__module__.startswith("clearprop."))  # other tests declare their own
    return [p for p in ours if ".on_demand." not in p.__module__]


ELEMENTWISE = [p for p in core() if p.kind == "elementwise" and p.public and not p.conditions]
UNARY = [p.name for p in ELEMENTWISE if len(p.operands) == 1 and p.name not in ("isnan", "isfinite", "stop_gradient")]
BINARY = [p.name for p in ELEMENTWISE if len(p.operands) == 2 and not p.name.startswith("logical")]
REDUCTIONS = [p.name for p in core() if p.kind == "reduction" and p.name != "softmax_cross_entropy"]
REDUCTIONS.append("prod")
SIZES = {"n": 5, "m": 3, "k": 4}
SHAPES = ("", "n", "m", "k", "nm", "nk", "mk", "km", "1m", "n1", "nmk", "n1k", "1mk", "m1")

FAMILIES: dict[str, str] = {
    "elementwise": "unary binary scalar size where clip logic predicate",
    "reductions": "reduction count index_of running_sum unary",
    "moves": "permutation reshape axis flip broadcast concat slice binary",
    "indexing": "take along slice one_hot binary",
    "products": "product permutation reshape unary",
    "losses": "normal loss reduction where",
    "random": "random unary where binary",
}
"""Kinds of steps that a program of one family is made of."""


class Generator:
    """Draws one program."""

    def __init__(self, seed: int, family: str = "") -> None:
        self.family = family
        self.rng = np.random.default_rng(seed)
        self.dtype = str(self.rng.choice(["float32", "float64"]))
        self.sizes = dict(SIZES)
        if self.rng.random() < 0.1:
            self.sizes[str(self.rng.choice(list(SIZES)))] = 0
        shapes = [(str(s), self.dtype) for s in self.rng.choice(SHAPES, 4)] + [("nm", self.dtype), ("mk", self.dtype)]
        shapes += [(str(self.rng.choice(("n", "nm", ""))), str(self.rng.choice(["int64", "int32", "bool"])))]
        shapes += [("", str(self.rng.choice(["int", "float"])))]
        self.program = RandomProgram(seed, shapes, [draw_input(self.rng, s, d, self.sizes) for s, d in shapes])
        self.env: list[Any] = [cl.asarray(x) if isinstance(x, np.ndarray) else x for x in self.program.inputs]

    def draw(self, length: int) -> RandomProgram:
        """A program of `length` steps."""
        names = FAMILIES[self.family].split() if self.family else ()
        every = [name for name in sorted(dir(self)) if name.startswith("make_")]
        makers = [getattr(self, name) for name in every if not names or name.removeprefix("make_") in names]
        weights = np.array([m.weight for m in makers], float)
        while len(self.program.steps) < length:
            maker = makers[self.rng.choice(len(makers), p=weights / weights.sum())]
            step = maker()
            if step is not None:
                self.try_step(step)
        self.choose_outputs()
        return self.program

    def try_step(self, step: Step) -> None:
        """Keep the step if it computes ordinary numbers."""
        try:
            with np.errstate(all="ignore"):
                out = step.apply(*(self.env[i] for i in step.operands))
        except (ValueError, TypeError):  # shapes that do not fit, a maximum of nothing
            return
        value = np.asarray(raw(out))
        if value.size > 400 or not np.all(np.isfinite(value)) or np.any(np.abs(value) > LARGEST):
            return
        if value.dtype == np.float64 and self.dtype == "float32" and isinstance(out, cl.Tensor) and value.ndim:
            return  # integers beside floats made doubles: they would all become so
        self.env.append(out)
        self.program.steps.append(step)

    def choose_outputs(self) -> None:
        """Return the last values and some others; differentiate where there is something to differentiate."""
        p, first = self.program, len(self.program.inputs)
        used = {i for s in p.steps for i in s.operands}
        ends = [i for i in range(first, len(self.env)) if i not in used]
        extra = self.rng.integers(first, len(self.env), 2)
        p.outputs = sorted({*ends, *map(int, extra)})
        floating = [i for i, (_, d) in enumerate(p.shapes) if d.startswith("float") and d != "float"]
        p.wrt = tuple(sorted(map(int, self.rng.choice(floating, 3, replace=False))))
        p.wish = str(self.rng.choice(["values", "gradient", "hvp"], p=[0.35, 0.5, 0.15]))
        if not any(np.asarray(raw(self.env[i])).dtype.kind == "f" for i in p.outputs):
            p.wish = "values"

    # ------------------------------------------------------------------------------------------- operands
    def pick(self, kind: str = "f", rank: Sequence[int] = (0, 1, 2, 3)) -> int | None:
        """A value of a kind, later ones more often."""
        fits = [
            i
            for i, v in enumerate(self.env)
            if np.asarray(raw(v)).dtype.kind in kind
            and np.ndim(raw(v)) in rank
            and (isinstance(v, cl.Tensor) or 0 in rank)
        ]
        if not fits:
            return None
        weight = np.array([1.0 + 0.5 * max(0, i - len(self.program.inputs)) for i in fits])
        return int(self.rng.choice(fits, p=weight / weight.sum()))

    def shape(self, i: int) -> tuple[int, ...]:
        return tuple(np.shape(raw(self.env[i])))

    def partner(self, i: int, kind: str) -> int | None:
        """A value that broadcasts with another."""
        fits = []
        for j, v in enumerate(self.env):
            if np.asarray(raw(v)).dtype.kind not in kind:
                continue
            try:
                if len(broadcast(self.shape(i), self.shape(j))) <= 3:
                    fits.append(j)
            except ValueError:
                continue
        return int(self.rng.choice(fits)) if fits else None

    def axis(self, i: int) -> int:
        n = len(self.shape(i))
        return int(self.rng.integers(-n, n))

    def one_of(self, *options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    # ---------------------------------------------------------------------------------------------- makers
    def make_unary(self) -> Step | None:
        i = self.pick("f")
        return None if i is None else call(str(self.rng.choice(UNARY)), i)

    make_unary.weight = 5

    def make_binary(self) -> Step | None:
        name = str(self.rng.choice(BINARY))
        i = self.pick("f")
        if i is None:
            return None
        j = self.partner(i, "fi" if name in ("pow", "multiply", "add", "equal", "less") else "f")
        if j is None:
            return None
        if name == "sigmoid_cross_entropy":  # has no derivative in its labels
            f = cl.sigmoid_cross_entropy
            return Step(
                "sigmoid_cross_entropy({0}, stop_gradient({1}))", (i, j), lambda z, p: f(z, cl.stop_gradient(p))
            )
        return call(name, i, j) if self.rng.random() < 0.7 else call(name, j, i)

    make_binary.weight = 6

    def make_scalar(self) -> Step | None:
        i = self.pick("fi")
        number = self.one_of(2, 0.5, -1.5, 3, 0, 1, True)
        name = self.one_of("add", "multiply", "subtract", "divide", "maximum", "pow")
        f, behind = getattr(cl, name), self.rng.random() < 0.5
        if name == "pow" and not behind and i is not None and np.asarray(raw(self.env[i])).dtype.kind in "iu":
            return None  # an exponent of integers that may be negative is refused, as NumPy has it
        if behind:
            return Step(f"{name}({{0}}, {number})", (i,), lambda x: f(x, number))
        return Step(f"{name}({number}, {{0}})", (i,), lambda x: f(number, x))

    make_scalar.weight = 2

    def make_size(self) -> Step | None:
        i = self.pick("f", (1, 2, 3))
        if i is None:
            return None
        a = self.axis(i)
        return Step(f"{{0}} / (1 + {{0}}.shape[{a}])", (i,), lambda x: x / (1 + x.shape[a]))

    make_size.weight = 0.5

    def make_logic(self) -> Step | None:
        i = self.pick("b")
        if i is None:
            return None
        j = self.partner(i, "b")
        return (
            call("logical_not", i) if self.rng.random() < 0.3 else call(self.one_of("logical_and", "logical_or"), i, j)
        )

    make_logic.weight = 0.7

    def make_predicate(self) -> Step | None:
        i = self.pick("f")
        name = self.one_of("isnan", "isfinite", "stop_gradient")
        return call(name, i)

    make_predicate.weight = 0.3

    def make_where(self) -> Step | None:
        c = self.pick("b")
        i = None if c is None else self.partner(c, "f")
        j = None if i is None else self.partner(i, "f")
        if j is None:
            return None
        if self.rng.random() < 0.4:
            return Step("where({0}, {1}, 0.25)", (c, i), lambda c, x: cl.where(c, x, 0.25))
        return call("where", c, i, j)

    make_where.weight = 1.5

    def make_clip(self) -> Step | None:
        i = self.pick("f")
        return Step("clip({0}, -0.5, 0.75)", (i,), lambda x: cl.clip(x, -0.5, 0.75))

    make_clip.weight = 0.4

    def make_reduction(self) -> Step | None:
        i = self.pick("f", (1, 2, 3))
        if i is None:
            return None
        name = str(self.rng.choice(REDUCTIONS))
        n = len(self.shape(i))
        count = int(self.rng.integers(1, n + 1))
        axis = None if self.rng.random() < 0.2 else tuple(map(int, self.rng.choice(n, count, replace=False)))
        keep = bool(self.rng.random() < 0.4)
        f = getattr(cl, name)
        if name in ("all", "any"):
            return Step(f"{name}({{0}} > 0.2, {axis}, {keep})", (i,), lambda x: f(x > 0.2, axis=axis, keepdims=keep))
        return Step(f"{name}({{0}}, {axis}, {keep})", (i,), lambda x: f(x, axis=axis, keepdims=keep))

    make_reduction.weight = 6

    def make_count(self) -> Step | None:
        i = self.pick("bi", (1, 2))
        if i is None:
            return None
        a = self.axis(i)
        return Step(f"sum({{0}}, {a})", (i,), lambda x: cl.sum(x, axis=a))

    make_count.weight = 0.4

    def make_index_of(self) -> Step | None:
        i = self.pick("f", (1, 2, 3))
        if i is None:
            return None
        name, a = self.one_of("argmax", "argmin"), self.axis(i)
        return Step(f"{name}({{0}}, {a})", (i,), lambda x: getattr(cl, name)(x, axis=a))

    make_index_of.weight = 0.6

    def make_running_sum(self) -> Step | None:
        i = self.pick("f", (1, 2, 3))
        if i is None:
            return None
        a = self.axis(i)
        return Step(f"cumulative_sum({{0}}, {a})", (i,), lambda x: cl.cumulative_sum(x, axis=a))

    make_running_sum.weight = 0.6

    def make_normal(self) -> Step | None:
        i = self.pick("f", (1, 2, 3))
        if i is None:
            return None
        name, a = self.one_of("softmax", "log_softmax"), self.axis(i)
        return Step(f"{name}({{0}}, {a})", (i,), lambda x: getattr(cl, name)(x, axis=a))

    make_normal.weight = 1.5

    def make_loss(self) -> Step | None:
        i = self.pick("f", (2, 3))
        if i is None:
            return None
        if self.rng.random() < 0.4:
            return Step(
                "softmax_cross_entropy({0}, stop_gradient(softmax(-{0})))",
                (i,),
                lambda x: cl.softmax_cross_entropy(x, cl.stop_gradient(cl.softmax(-x))),
            )
        return Step(
            "softmax_cross_entropy({0}, argmin({0}, -1))",
            (i,),
            lambda x: cl.softmax_cross_entropy(x, cl.argmin(x, axis=-1)),
        )

    make_loss.weight = 1

    # moves
    def make_permutation(self) -> Step | None:
        i = self.pick("fb", (2, 3))
        if i is None:
            return None
        axes = tuple(map(int, self.rng.permutation(len(self.shape(i)))))
        return Step(f"permute_dims({{0}}, {axes})", (i,), lambda x: cl.permute_dims(x, axes))

    make_permutation.weight = 1.5

    def make_reshape(self) -> Step | None:
        i = self.pick("f", (1, 2, 3))
        if i is None:
            return None
        n = len(self.shape(i))
        if n == 1 or self.rng.random() < 0.4:
            return Step("reshape({0}, (-1,))", (i,), lambda x: cl.reshape(x, (-1,)))
        if n == 3:
            return Step(
                "reshape({0}, (first, rest))", (i,), lambda x: cl.reshape(x, (x.shape[0], x.shape[1] * x.shape[2]))
            )
        return Step("reshape({0}, (last, 1, first))", (i,), lambda x: cl.reshape(x, (x.shape[1], 1, x.shape[0])))

    make_reshape.weight = 1.5

    def make_axis(self) -> Step | None:
        i = self.pick("f", (0, 1, 2))
        if i is None or not isinstance(self.env[i], cl.Tensor):
            return None
        if self.rng.random() < 0.3:
            return Step("squeeze(expand_dims({0}, 0), 0)", (i,), lambda x: cl.squeeze(cl.expand_dims(x, 0), axis=0))
        a = int(self.rng.integers(0, len(self.shape(i)) + 1))
        return Step(f"expand_dims({{0}}, {a})", (i,), lambda x: cl.expand_dims(x, a))

    make_axis.weight = 1

    def make_flip(self) -> Step | None:
        i = self.pick("f", (1, 2, 3))
        if i is None:
            return None
        a = self.one_of(None, self.axis(i))
        return Step(f"flip({{0}}, {a})", (i,), lambda x: cl.flip(x, axis=a))

    make_flip.weight = 1

    def make_broadcast(self) -> Step | None:
        i = self.pick("f", (1, 2))
        if i is None:
            return None
        return Step("broadcast_to({0}, (2, *shape))", (i,), lambda x: cl.broadcast_to(x, (2, *x.shape)))

    make_broadcast.weight = 0.7

    def make_concat(self) -> Step | None:
        i = self.pick("f", (1, 2, 3))
        if i is None:
            return None
        a = self.axis(i)
        if self.rng.random() < 0.5:
            return Step(f"concat([{{0}}, -{{0}}], {a})", (i,), lambda x: cl.concat([x, -x], axis=a))
        return Step(f"concat([{{0}}, {{0}} * {{0}}, {{0}}], {a})", (i,), lambda x: cl.concat([x, x * x, x], axis=a))

    make_concat.weight = 0.8

    def make_slice(self) -> Step | None:
        i = self.pick("f", (1, 2, 3))
        if i is None:
            return None
        n = len(self.shape(i))
        key: list[Any] = [slice(None)] * n
        key[self.axis(i) % n] = self.one_of(
            slice(1, None),
            slice(None, -1),
            slice(None, None, 2),
            slice(None, None, -1),
            0,
            -1,
            slice(2, 0, -1),
            slice(0, 2),
        )
        where = tuple(key)
        return Step(f"{{0}}[{where}]", (i,), lambda x: x[where])

    make_slice.weight = 2

    def make_take(self) -> Step | None:
        i = self.pick("f", (1, 2, 3))
        if i is None:
            return None
        a = self.axis(i)
        indices = self.one_of(np.array([1, 0, 1]), np.array([[0, -1], [1, 1]]), np.array([-2, 0], np.int32))
        return Step(f"take({{0}}, {indices.tolist()}, {a})", (i,), lambda x: cl.take(x, indices, axis=a))

    make_take.weight = 1

    def make_along(self) -> Step | None:
        i = self.pick("f", (1, 2, 3))
        if i is None:
            return None
        a = self.axis(i)
        return Step(
            f"take_along_axis({{0}}, argmax({{0}}, {a}, keepdims), {a})",
            (i,),
            lambda x: cl.take_along_axis(x, cl.argmax(x, axis=a, keepdims=True), axis=a),
        )

    make_along.weight = 0.7

    def make_one_hot(self) -> Step | None:
        i = self.pick("f", (1, 2))
        if i is None:
            return None
        dtype = np.dtype(self.dtype)
        return Step(
            "one_hot(argmax({0}, -1), last)",
            (i,),
            lambda x: cl.one_hot(cl.argmax(x, axis=-1), x.shape[-1], dtype=dtype) * 0.5,
        )

    make_one_hot.weight = 0.5

    def make_random(self) -> Step | None:
        i = self.pick("f", (1, 2))
        if i is None:
            return None
        dtype = np.dtype(self.dtype)
        draw = self.one_of(cl.random.uniform, cl.random.normal)
        return Step(
            f"{{0}} * {draw.__name__}(fold_in(key(7), argmax({{0}})), shape)",
            (i,),
            lambda x: x * draw(cl.random.fold_in(cl.random.key(7), cl.argmax(x)), x.shape, dtype=dtype),
        )

    make_random.weight = 0.6

    # products
    def make_product(self) -> Step | None:
        i = self.pick("f", (1, 2, 3))
        if i is None:
            return None
        fits = []
        for j in range(len(self.env)):
            if np.asarray(raw(self.env[j])).dtype.kind == "f" and isinstance(self.env[j], cl.Tensor) and self.shape(j):
                try:
                    np.zeros(self.shape(i)) @ np.zeros(self.shape(j))
                    fits.append(j)
                except ValueError:
                    continue
        if fits and self.rng.random() < 0.7:
            return call("matmul", i, int(self.rng.choice(fits)))
        if len(self.shape(i)) < 2:
            return Step("vecdot({0}, {0})", (i,), lambda x: cl.vecdot(x, x))
        if self.rng.random() < 0.5:
            return Step("{0} @ {0}.mT", (i,), lambda x: x @ x.mT)
        return Step("{0}.mT @ {0}", (i,), lambda x: x.mT @ x)

    make_product.weight = 4

    def make_narrow(self) -> Step | None:
        i = self.pick("bi")
        dtype = np.dtype(self.dtype)
        if i is None or not isinstance(self.env[i], cl.Tensor):
            return None
        return Step(f"{{0}}.astype({dtype})", (i,), lambda x: x.astype(dtype))

    make_narrow.weight = 0.7


def call(name: str, *operands: int) -> Step:
    """A public function of earlier values."""
    f = getattr(cl, name)
    inside = ", ".join(f"{{{k}}}" for k in range(len(operands)))
    return Step(f"{name}({inside})", operands, f)


def random_program(seed: int, length: int = 9, family: str = "") -> RandomProgram:
    """The program of a seed, of all kinds of steps or of one family's."""
    return Generator(seed, family).draw(length)


def other_inputs(p: RandomProgram) -> list[Any]:
    """Inputs of the same kinds at other sizes."""
    rng = np.random.default_rng([p.seed, 1])
    sizes = {"n": 6, "m": 2, "k": 7}
    return [draw_input(rng, shape, dtype, sizes) for shape, dtype in p.shapes]
