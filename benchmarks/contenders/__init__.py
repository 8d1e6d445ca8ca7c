"""Who takes part: one line per contender; the module of its family builds what is timed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import chains
from benchmarks import workloads as w

FAMILIES = ("clearprop", "jax", "torch", "sklearn", "autograd", "tangent", "numexpr", "numpy", "floor")
"""`floor` is no peer: the matrix products and the gather alone."""


@dataclass(frozen=True)
class Contender:
    """`family.form`; it takes part in rows of `kinds`, restricted to `rows` where that is given."""

    name: str
    label: str
    kinds: frozenset[str]
    rows: frozenset[str] | None = None

    @property
    def family(self) -> str:
        return self.name.partition(".")[0]

    @property
    def form(self) -> str:
        return self.name.partition(".")[2]

    def takes(self, row: w.Workload) -> bool:
        return row.kind in self.kinds and (self.rows is None or row.name in self.rows)


def _of(name: str, label: str, *kinds: str, rows: str = "") -> Contender:
    return Contender(name, label, frozenset(kinds), frozenset(rows.split()) if rows else None)


_SECOND = (w.HVP, w.HESSIAN, w.PER_EXAMPLE)
_EAGER = (w.EAGER_LOSS, w.EAGER_CHAIN)
_TRAININGS = (w.WHOLE, w.SHORT, w.FIRST_FIT)
_CALLS = (w.STEP_CALL, w.PAIR_CALL)
_CLASSIFIERS = " ".join(r.name for r in w.WORKLOADS if r.kind in _TRAININGS and r.name not in ("W4f", "W5f"))

CONTENDERS = [
    _of("clearprop.loop", "clearprop, native loop", w.TRAIN, w.FIRST),
    _of("clearprop.step", "clearprop, `cl.compile` per step", w.TRAIN),
    _of("clearprop.compile", "clearprop, `cl.compile`", *_SECOND),
    _of("clearprop.eager", "clearprop, eager", *_EAGER),
    _of("jax.scan", "JAX `lax.scan`", w.TRAIN, w.FIRST),
    _of("jax.step", "JAX `jit` per step", w.TRAIN),
    _of("jax.jit", "JAX `jit`", *_SECOND),
    _of("torch.eager", "PyTorch eager", w.TRAIN, *_SECOND, *_EAGER),
    _of("torch.compile", "`torch.compile` of the loss, fused Adam", w.TRAIN),
    _of("torch.step", "`torch.compile` of the whole step", w.TRAIN, w.FIRST),
    _of("torch.func", "`torch.compile` of `torch.func`", *_SECOND),
    _of("sklearn.fit", "scikit-learn", w.TRAIN, rows="W0 W1 W2 W3"),
    _of("autograd.numpy", "autograd", w.HVP, w.HESSIAN, *_EAGER),
    _of("autograd.train", "autograd", w.TRAIN, rows="W1 W4 W5"),
    _of("tangent.grad", "tangent-ad", *_EAGER, rows="W9L W9C"),
    _of("floor.numpy", "floor: products and gather", w.TRAIN, rows="W2 W3"),
    _of("clearprop.fit", "clearprop, `cl.fit`", *_TRAININGS, w.BUSY, w.NET),
    _of("clearprop.one", "clearprop, `cl.fit`, one thread", w.BUSY),
    _of("clearprop.two", "clearprop, `cl.fit`, two threads", w.BUSY),
    _of("jax.fit", "JAX, `lax.scan` over an epoch", *_TRAININGS, w.NET),
    _of("jax.optax", "JAX, a loop with optax", *_TRAININGS),
    _of("jax.loop_of_steps", "JAX, a loop of jitted steps", w.NET),
    _of("torch.fit", "PyTorch, a loop", *_TRAININGS, w.NET),
    _of("torch.fit_compiled", "PyTorch, a loop with the loss compiled", w.WHOLE, w.NET),
    _of("sklearn.classifier", "scikit-learn, `MLPClassifier.fit`", *_TRAININGS, rows=_CLASSIFIERS),
    _of("clearprop.estimator", "clearprop, `cl.sklearn.MLPClassifier`", w.TO_LOSS),
    _of("sklearn.estimator", "scikit-learn, `MLPClassifier`", w.TO_LOSS),
    _of("clearprop.predict", "clearprop, `cl.sklearn.MLPClassifier`", w.PREDICT),
    _of("sklearn.predict", "scikit-learn, `MLPClassifier`", w.PREDICT),
    _of("floor.epochs", "floor: products and gather", w.WHOLE, rows="W2f W3f"),
    _of("clearprop.call", "clearprop, `cl.compile`", *_CALLS),
    _of("jax.call", "JAX `jit`", *_CALLS),
    _of("torch.call", "`torch.compile`", *_CALLS),
    _of("clearprop.chain", "clearprop, `cl.compile`", w.CHAIN),
    _of("jax.chain", "JAX `jit`", w.CHAIN),
    _of("numpy.chain", "NumPy", w.CHAIN),
    _of("numexpr.chain", "numexpr", w.CHAIN),
    _of("clearprop.layer", "clearprop, `cl.compile`", w.LAYER),
    _of("jax.layer", "JAX `jit`", w.LAYER),
    _of("torch.layer", "PyTorch eager, channels last", w.LAYER),
    _of("torch.layer_compiled", "`torch.compile`, channels last", w.LAYER),
    _of("clearprop.scan", "clearprop, `cl.scan` compiled", w.SCAN),
    _of("jax.loop", "JAX, `lax.scan` jitted", w.SCAN),
    _of("floor.by_hand", "a kernel written by hand (Numba)", w.SCAN, rows="L1 L2 L3"),
]


def taking_part(row: w.Workload, families: set[str]) -> list[Contender]:
    return [c for c in CONTENDERS if c.takes(row) and c.family in families]


class Runner:
    """What a family's `build` returns.  `check` is a number that all contenders of a row should agree on.

    A runner that times parts of its call takes the time from `clock`.
    """

    check: float | None = None
    clock: Callable[[], float] = staticmethod(time.perf_counter)

    def first(self) -> None:
        """The first call, from the Python function to its result."""
        self.call()

    def settle(self) -> None:
        """What is to be found out before anything but the first call is timed."""

    def call(self) -> float | None:
        """One call, finished when it returns; seconds, where only a part of it counts."""
        raise NotImplementedError


class Repeated(Runner):
    """One of the twenty chains, called again and again; `ready` waits for a result that comes later."""

    def __init__(
        self, row: w.Workload, f: Callable[[], Any], ready: Callable[[Any], Any] = lambda value: value
    ) -> None:
        self.f, self.ready, self.steps = f, ready, row.steps

    def first(self) -> None:
        self.check = chains.checked(self.f())

    def call(self) -> None:
        for _ in range(self.steps):
            self.ready(self.f())


def chain_of(row: w.Workload) -> chains.Chain:
    """The chain of a row, by its number."""
    return chains.CHAINS[int(row.name[1:]) - 1]


class Door(Runner):
    """Whole trainings as users start them: `train(epochs)` begins anew, and gives the mean loss of the last epoch."""

    def __init__(self, row: w.Workload, train: Callable[[int], float]) -> None:
        self.row, self.train = row, train
        self.longer = 2

    def first(self) -> None:
        self.check = self.train(1 if self._by_epochs else self.row.epochs)

    def settle(self) -> None:
        if not self._by_epochs:
            return
        epoch = max(self.call() or 0.0, 1e-5)
        self.longer = min(1000, max(2, round(self.LENGTH / epoch)))

    LENGTH = 0.25
    """Seconds by which the longer of two trainings shall be longer, as far as whole epochs allow."""

    @property
    def _by_epochs(self) -> bool:
        return self.row.kind in (w.WHOLE, w.NET)

    def call(self) -> float | None:
        """A training; or an epoch as the difference of two lengths, in which set-up is not counted."""
        if not self._by_epochs:
            self.train(self.row.epochs)
            return None
        start = self.clock()
        self.train(1)
        middle = self.clock()
        self.train(1 + self.longer)
        return ((self.clock() - middle) - (middle - start)) / self.longer


class ToLoss(Runner):
    """`fit` of an estimator with as many epochs as it takes to a loss of the last fifth of the rows.

    How many that are is found before anything is timed, an epoch after another: both libraries are asked for the same
    network, and how good it is is no part of the time.
    """

    MOST = 200
    """After so many epochs a loss counts as out of reach."""

    def __init__(self, row: w.Workload, estimator: Callable[..., Any]) -> None:
        x, y = _rows_of(row)
        held = len(x) // 5
        self.row, self.estimator = row, estimator
        self.rows, self.held = (x[:-held], y[:-held]), (x[-held:], y[-held:])
        self.epochs = 0

    def first(self) -> None:
        classes, trained = np.unique(self.rows[1]), self._afresh(1)
        while not self.epochs or self._loss(trained) > self.row.goal:
            if self.epochs == self.MOST:
                raise RuntimeError(f"{self.row.name}: no validation loss of {self.row.goal} after {self.MOST} epochs")
            trained.partial_fit(*self.rows, classes=classes)
            self.epochs += 1
        self.call()

    def call(self) -> None:
        self._afresh(self.epochs).fit(*self.rows)

    def _afresh(self, epochs: int) -> Any:
        row = self.row
        return self.estimator(
            row.sizes[1:-1], batch_size=row.batch, learning_rate_init=row.rate, max_iter=epochs, tol=0.0,
            n_iter_no_change=10**9, random_state=0,
        )  # fmt: skip

    def _loss(self, trained: Any) -> float:
        x, y = self.held
        shares = trained.predict_proba(x)[np.arange(len(y)), y]
        return float(-np.log(np.maximum(shares, 1e-12)).mean())


class Predictions(Runner):
    """`predict` of an estimator that has the weights of the row; `check` is the mean class."""

    def __init__(self, row: w.Workload, estimator: Callable[..., Any]) -> None:
        self.row, (self.x, _) = row, w.dataset(row)
        few = np.random.default_rng(4).standard_normal((20, row.sizes[0])).astype(row.dtype)
        fitted = estimator(row.sizes[1:-1], max_iter=1, batch_size=20).fit(few, np.arange(20) % row.sizes[-1])
        fitted.coefs_, fitted.intercepts_ = map(list, zip(*w.initial(row), strict=True))
        self.predict = fitted.predict

    def call(self) -> None:
        for _ in range(self.row.steps):
            classes = self.predict(self.x)
        self.check = float(classes.mean())


def _rows_of(row: w.Workload) -> tuple[Any, Any]:
    if not row.source:
        return w.dataset(row)
    import sklearn.datasets

    x, y = getattr(sklearn.datasets, f"load_{row.source}")(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))  # the last rows are of other people
    x, y = x[order], y[order]
    return ((x - x.mean(axis=0)) / (x.std(axis=0) + 1e-6)).astype(row.dtype), y
