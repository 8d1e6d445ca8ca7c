"""clearprop: `cl.compile`, the native loop that `cl.fit` runs, eager `.backward()`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import clearprop as cl
from benchmarks import loops
from benchmarks import workloads as w
from benchmarks.chains import arrays
from benchmarks.contenders import Door, Predictions, Repeated, Runner, ToLoss, chain_of
from clearprop.compiler.native import blas

VERSION = cl.__version__
ENGINE = [f"{blas.kernel_name()} x{blas.get_threads()}"]
"""NumPy's OpenBLAS; SciPy's second one is loaded by Numba but does not run."""


def prepare(row: w.Workload) -> Any:
    if row.kind in (w.LAYER, w.NET, w.EAGER_CHAIN, w.PAIR_CALL, w.TO_LOSS, w.CHAIN, w.SCAN, w.PREDICT):
        return None
    return *w.dataset(row), w.initial(row), w.order(row) if row.batch else None


def build(form: str, row: w.Workload, prepared: Any) -> Runner:
    if row.kind in (w.LAYER, w.NET):
        return layer_runner(row)
    if row.kind == w.EAGER_CHAIN:
        return Chain(row)
    if row.kind == w.CHAIN:
        f, given = cl.compile(partial(chain_of(row).f, cl)), [cl.asarray(a) for a in arrays(row.dtype)]
        return Repeated(row, lambda: f(*given))
    if row.kind == w.EAGER_LOSS:
        return EagerLoss(row, *prepared)
    if row.kind in w.DOORS:
        return door(form, row, *prepared)
    if row.kind == w.PAIR_CALL:
        return PairCall(row)
    if row.kind in (w.TO_LOSS, w.PREDICT):
        from sklearn.exceptions import ConvergenceWarning  # 130 MiB with what it imports, which no other row needs

        warnings.simplefilter("ignore", ConvergenceWarning)  # it is told to stop after so many epochs
        return (ToLoss if row.kind == w.TO_LOSS else Predictions)(row, cl.sklearn.MLPClassifier)
    if row.kind == w.SCAN:
        program, gradient = loops.program_of(row)
        f = partial(program, cl)
        return Compiled(cl.grad(f) if gradient else f, *map(cl.tensor, loops.arguments(row)))
    if row.kind == w.STEP_CALL:
        return StepCall(row, *prepared)
    return FORMS[form if row.kind in (w.TRAIN, w.FIRST) else row.kind](row, *prepared)


def layer_runner(row: w.Workload) -> Runner:
    from benchmarks.contenders import clearprop_layers

    return clearprop_layers.Layer(row) if row.kind == w.LAYER else clearprop_layers.door(row)


# ---------------------------------------------------------------------------------------------------- models
def network(row: w.Workload, weights: list[Any]) -> Any:
    """The network with the given weights."""
    model = cl.nn.mlp(
        list(row.sizes), row.activation, dropout=row.dropout, norm="layer" if row.layer_norm else None, dtype=row.dtype
    )
    dense = [p.removesuffix(".weight") for p in model.parameters() if p.endswith(".weight")]
    new = {
        f"{p}.{n}": v
        for p, pair in zip(dense, weights, strict=True)
        for n, v in zip(("weight", "bias"), pair, strict=True)
    }
    return model.replace(new)


def optimizer(row: w.Workload) -> Any:
    adam = (
        cl.optim.adamw(row.rate, weight_decay=row.weight_decay, mask="all")
        if row.optimizer == "adamw"
        else cl.optim.adam(row.rate)
    )
    return cl.optim.chain(cl.optim.clip_by_norm(row.clip), adam) if row.clip else adam


def make_step(row: w.Workload) -> tuple[Callable[..., Any], Any]:
    """One training step, as `cl.fit` writes it, and the optimizer."""
    opt, loss, key = optimizer(row), getattr(cl.nn, row.loss), cl.random.key(0)

    def step(model: Any, state: Any, count: Any, x: Any, y: Any) -> Any:
        rng = cl.random.fold_in(key, count) if row.dropout else None

        def objective(m: Any) -> Any:
            outputs, _ = cl.nn.apply(m, x, train=True, rng=rng)
            return loss(outputs, y)

        value, grads = cl.value_and_grad(objective)(model)
        updates, new = opt.update(grads, state, model)
        return cl.optim.apply_updates(model, updates), new, count + 1, value

    return step, opt


def door(form: str, row: w.Workload, x: Any, y: Any, weights: Any, order: Any) -> Runner:
    """`cl.fit`, which shuffles for itself, with the threads it chooses or with those that the form names."""
    model = network(row, weights)
    if form in THREADS:
        cl.set_threads(THREADS[form])

    def train(epochs: int) -> float:
        run = cl.fit(
            model, (x, y), loss=row.loss, optimizer=optimizer(row), epochs=epochs, batch_size=row.batch, progress=False
        )
        return float(run.history[-1]["train"]["loss"])

    return Door(row, train)


THREADS = {"one": 1, "two": 2}


class Loop(Runner):
    """Steps, gathers and losses natively; the carry holds model, optimizer state and the step's number."""

    def __init__(self, row: w.Workload, x: Any, y: Any, weights: Any, order: Any) -> None:
        from clearprop.compiler.epoch_loop import NativeLoop

        step, opt = make_step(row)
        model = network(row, weights)

        def f(carry: Any, bx: Any, by: Any) -> Any:
            *new, value = step(*carry, bx, by)
            return tuple(new), value

        self.loop = NativeLoop(f, (model, opt.init(model), cl.tensor(np.int64(0))), [x, y])
        self.order, self.batch = np.ascontiguousarray(order.reshape(-1)), row.batch

    def first(self) -> None:
        self.check = float(np.asarray(self._run())[-1])

    def _run(self) -> Any:
        return self.loop.run(self.order, self.batch)[1]

    def call(self) -> None:
        self._run()


class Step(Runner):
    """One compiled call per step; the batch is gathered before it."""

    def __init__(self, row: w.Workload, x: Any, y: Any, weights: Any, order: Any) -> None:
        step, opt = make_step(row)
        self.step = cl.compile(step, donate=("model", "state"))
        model = network(row, weights)
        self.carry = (model, opt.init(model), cl.tensor(np.int64(0)))
        self.x, self.y, self.order = x, y, order

    def first(self) -> None:
        self.check = float(self._run())

    def _run(self) -> Any:
        carry, value = self.carry, None
        for rows in self.order:
            *carry, value = self.step(*carry, self.x[rows], self.y[rows])
        self.carry = carry
        return value

    def call(self) -> None:
        self._run()


class StepCall(Runner):
    """One compiled step, called again and again with the same batch; model and state are donated."""

    def __init__(self, row: w.Workload, x: Any, y: Any, weights: Any, order: Any) -> None:
        step, opt = make_step(row)
        self.step, self.steps = cl.compile(step, donate=("model", "state")), row.steps
        model = network(row, weights)
        self.carry = (model, opt.init(model), cl.tensor(np.int64(0)))
        self.batch = cl.tensor(x[order[0]]), cl.tensor(y[order[0]])

    def call(self) -> None:
        carry, value = self.carry, None
        for _ in range(self.steps):
            *carry, value = self.step(*carry, *self.batch)
        self.carry = carry
        self.check = float(value)


class PairCall(Runner):
    """A compiled function of two small arrays."""

    def __init__(self, row: w.Workload) -> None:
        self.f, self.steps = cl.compile(lambda x, y: x * y + x), row.steps
        self.pair = [cl.tensor(a) for a in w.PAIR]

    def call(self) -> None:
        for _ in range(self.steps):
            out = self.f(*self.pair)
        self.check = float(cl.sum(out))


class Compiled(Runner):
    """One compiled function of fixed arguments; `check` is the sum of squares of what it returns."""

    def __init__(self, f: Callable[..., Any], *args: Any) -> None:
        self.f, self.args = cl.compile(f), args

    def first(self) -> None:
        out = self.f(*self.args)
        leaves = list(out.parameters().values()) if isinstance(out, cl.nn.Module) else [out]
        self.check = float(sum(np.sum(np.square(np.asarray(v), dtype=np.float64)) for v in leaves))

    def call(self) -> None:
        self.f(*self.args)


def hvp(row: w.Workload, x: Any, y: Any, weights: Any, order: Any) -> Runner:
    def product(model: Any, vector: Any, x: Any, y: Any) -> Any:
        return cl.hvp(lambda m: cl.nn.mse(m(x), y), model, vector)

    return Compiled(product, network(row, weights), network(row, w.direction(row)), cl.tensor(x), cl.tensor(y))


def hessian(row: w.Workload, x: Any, y: Any, weights: Any, order: Any) -> Runner:
    """The whole matrix, of the parameters as one vector."""
    shapes = [v.shape for pair in weights for v in pair]
    flat = np.concatenate([v.ravel() for pair in weights for v in pair])

    def loss(theta: Any, x: Any, y: Any) -> Any:
        parts, at = [], 0
        for shape in shapes:
            size = int(np.prod(shape))
            parts.append(cl.reshape(theta[at : at + size], shape))
            at += size
        h = x
        for k in range(0, len(parts), 2):
            h = h @ parts[k] + parts[k + 1]
            h = cl.tanh(h) if k + 2 < len(parts) else h
        return cl.nn.mse(h, y)

    return Compiled(lambda theta, x, y: cl.hessian(loss)(theta, x, y), cl.tensor(flat), cl.tensor(x), cl.tensor(y))


def per_example(row: w.Workload, x: Any, y: Any, weights: Any, order: Any) -> Runner:
    def loss(model: Any, x: Any, y: Any) -> Any:
        return cl.nn.cross_entropy(model(x), y)

    return Compiled(
        lambda model, x, y: cl.per_example_grad(loss)(model, x, y), network(row, weights), cl.tensor(x), cl.tensor(y)
    )


FORMS: dict[str, Any] = {"loop": Loop, "step": Step, w.HVP: hvp, w.HESSIAN: hessian, w.PER_EXAMPLE: per_example}


# ----------------------------------------------------------------------------------------------------- eager
class EagerLoss(Runner):
    """`.backward()` of the loss of one batch; leaves are those of the learner's loop."""

    def __init__(self, row: w.Workload, x: Any, y: Any, weights: Any, order: Any) -> None:
        self.row, self.x, self.y = row, cl.tensor(x[order[0]]), cl.tensor(y[order[0]])
        self.leaves = [cl.tensor(v, requires_grad=True) for pair in weights for v in pair]

    def _loss(self) -> Any:
        w1, b1, w2, b2 = self.leaves
        return cl.nn.cross_entropy(cl.relu(self.x @ w1 + b1) @ w2 + b2, self.y)

    def call(self) -> float:
        start = self.clock()
        loss = self._loss()
        middle = self.clock()
        loss.backward()
        end = self.clock()
        self.check = float(sum(np.sum(np.square(np.asarray(v.grad), dtype=np.float64)) for v in self.leaves))
        for leaf in self.leaves:
            leaf.grad = None
        return end - (start if self.row.whole else middle)


class Chain(Runner):
    """`.backward()` through 1,000 scalar operations."""

    def __init__(self, row: w.Workload) -> None:
        self.row = row
        self.start = cl.tensor(np.float32(w.CHAIN_START), requires_grad=True)
        self.scale = cl.tensor(np.float32(1), requires_grad=True)

    def call(self) -> float:
        start = self.clock()
        x, s = self.start, self.scale
        for _ in range(w.CHAIN_LINKS):
            x = x * 1.01
            x = x + 0.001
            x = cl.tanh(x)
            x = x * s
        middle = self.clock()
        x.backward()
        end = self.clock()
        self.check = float(self.start.grad) + float(self.scale.grad)
        self.start.grad = self.scale.grad = None
        return end - (start if self.row.whole else middle)
