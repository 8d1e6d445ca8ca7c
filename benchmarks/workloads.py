"""The workloads as data, and the arrays that every contender starts from: NumPy only, the same seeds for all."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.chains import CHAINS

TRAIN, HVP, HESSIAN, PER_EXAMPLE = "train", "hvp", "hessian", "per_example"
EAGER_LOSS, EAGER_CHAIN, FIRST, PROCESS, RECORDED = "eager_loss", "eager_chain", "first", "process", "recorded"
WHOLE, SHORT, FIRST_FIT, BUSY = "whole", "short", "first_fit", "busy"
STEP_CALL, PAIR_CALL = "step_call", "pair_call"
CHAIN = "chain"
"""One of `chains.CHAINS`, compiled."""
SCAN = "scan"
"""A loop of many steps as one call, of the name in `source`; see `loops`."""
COMMAND = "command"
"""`clearprop predict` as a process."""
TO_LOSS = "to_loss"
"""`fit` of an estimator of scikit-learn's form, with as many epochs as a validation loss takes."""
PREDICT = "predict"
"""`predict` of an estimator of scikit-learn's form."""
LAYER, NET = "layer", "net"
"""One layer with its gradients; an epoch of a network of layers, of the name in `source`; see `layers`."""
DOORS = (WHOLE, SHORT, FIRST_FIT, BUSY, NET)
"""Trainings through the door that users take, `cl.fit`, against the peers' own."""


@dataclass(frozen=True)
class Workload:
    """One row.  A *call* is what is timed: `steps` training steps, or one evaluation of `inner` repetitions."""

    name: str
    title: str
    kind: str
    sizes: tuple[int, ...] = ()
    batch: int = 0
    rows: int = 0
    steps: int = 1
    activation: str = "relu"
    layer_norm: bool = False
    loss: str = "cross_entropy"
    optimizer: str = "adam"
    rate: float = 1e-3
    weight_decay: float = 0.0
    clip: float = 0.0
    dropout: float = 0.0
    dtype: str = "float32"
    epochs: int = 1
    """How long a short training is."""
    whole: bool = False
    """Eager rows: forward and backward together, instead of `.backward()` alone."""
    source: str = ""
    """A data set of scikit-learn's in place of computed rows."""
    goal: float = 0.0
    """The validation loss that a training to a loss ends at."""
    processes: int = 1
    """How often all contenders are started afresh: some programs have several modes, one per process."""

    @property
    def unit(self) -> str:
        return {TRAIN: "step", WHOLE: "epoch", NET: "epoch", SCAN: "step"}.get(
            self.kind, "training" if self.kind in (*DOORS, TO_LOSS) else "call"
        )

    @property
    def parts(self) -> int:
        """By how much the time of a call is divided: the units that it has."""
        return self.steps if self.kind in (TRAIN, STEP_CALL, PAIR_CALL, CHAIN, SCAN, PREDICT) else 1


_W1 = Workload("W1", "spiral 2-64-3, batch 300", TRAIN, (2, 64, 3), 300, 3000, 200)
_W2 = Workload("W2", "784-128-128-10, batch 128", TRAIN, (784, 128, 128, 10), 128, 8192, 64)
_NET6 = Workload("", "", HVP, (20, 20, 20, 1), 100, 100, activation="tanh", loss="mse", dtype="float64")

_W0 = Workload("W0", "4-16-3, batch 32", TRAIN, (4, 16, 3), 32, 4096, 1024)
_TRAININGS = [
    _W0,
    _W1,
    _W2,
    Workload("W3", "784-1024-1024-10, batch 512", TRAIN, (784, 1024, 1024, 10), 512, 8192, 16, processes=3),
    Workload(
        "W4", "64-256-256-256-10, LayerNorm, GELU, batch 256", TRAIN, (64, 256, 256, 256, 10), 256, 8192, 32,
        activation="gelu", layer_norm=True,
    ),
    Workload(
        "W5", "32-128-128-1, tanh, MSE, AdamW, clip by global norm, dropout 0.1, batch 64", TRAIN, (32, 128, 128, 1),
        64, 8192, 128, activation="tanh", loss="mse", optimizer="adamw", weight_decay=0.01, clip=1.0, dropout=0.1,
    ),
]  # fmt: skip
_DIGITS = Workload("digits", "64-64-64-10, batch 32, as many rows as digits", SHORT, (64, 64, 64, 10), 32, 1408)
_MANY = {"W1": 38_400}
"""An epoch of W1 has many rows there, so that to order them counts."""


def _whole(w: Workload) -> Workload:
    """The second line of a training: all of it, through the door."""
    title = f"{w.title}: whole training through the door, epoch of {_MANY.get(w.name, w.rows):,} rows"
    return replace(
        w, name=f"{w.name}f", title=title, kind=WHOLE, rows=_MANY.get(w.name, w.rows), processes=1
    )  # fmt: skip


def _short(w: Workload, epochs: int) -> Workload:
    """A short training, with everything that it takes to set it up."""
    title = f"{w.title}: {epochs} epoch{'s' * (epochs > 1)} with set-up"
    return replace(w, name=f"{w.name}e{epochs}", title=title, kind=SHORT, epochs=epochs)


def _convolution(name: str, *sizes: int) -> Workload:
    """A convolution with its gradients; sizes are images, height, channels before and behind, kernel, groups."""
    n, h, inputs, outputs, k, groups = sizes
    kind = f"{inputs} → {outputs}" if groups == 1 else f"{inputs} by themselves"
    title = f"convolution {k}×{k} of {n} images {h}×{h}, channels {kind}: value and both gradients"
    return Workload(name, title, LAYER, sizes, source="convolution", processes=3)


def _net(name: str, title: str, source: str, batch: int, steps: int, loss: str = "cross_entropy") -> Workload:
    """An epoch of so many steps, through the door."""
    return Workload(name, title, NET, batch=batch, rows=batch * steps, loss=loss, source=source)


def _loops(name: str, title: str, source: str) -> list[Workload]:
    """A loop of 10,000 steps, and its gradient by the first array."""
    value = Workload(
        name, f"{title}, float64, 10,000 steps", SCAN, rows=10_000, steps=10_000, dtype="float64", source=source
    )
    return [value, replace(value, name=f"{name}g", title=f"gradient of {name}", source=f"{source}, gradient")]


WORKLOADS = [
    *(line for w in _TRAININGS for line in (w, _whole(w))),
    *(_short(w, epochs) for w in (_W0, _W1, _W2, _DIGITS) for epochs in (1, 10, 100)),
    replace(_whole(_W1), name="K1", title="ten epochs of W1f, the first of a process", kind=FIRST_FIT, epochs=10),
    Workload("B1", "a machine whose processors are all busy: 305-128-64-1, batch 32, 5 epochs", BUSY,
             (305, 128, 64, 1), 32, 4096, loss="mse", epochs=5),
    replace(_W0, name="C0", title="a compiled step of W0, called in a loop", kind=STEP_CALL, steps=100),
    Workload("C2", "a compiled function of two arrays of eight numbers", PAIR_CALL, steps=100),
    replace(_NET6, name="W6v", title="Hessian-vector product, 20-20-20-1 tanh, float64, batch 100"),
    replace(_NET6, name="W6h", title="full Hessian (861 x 861), 20-20-20-1 tanh, float64, batch 100", kind=HESSIAN),
    Workload("W7", "per-example gradients, 784-128-10, batch 128", PER_EXAMPLE, (784, 128, 10), 128, 128),
    Workload("W8", "a process from start to exit: digits, 64-64-64-10, to 97 %", PROCESS, (64, 64, 64, 10), 32),
    Workload("S1", "digits, 64-100-10, batch 200: `MLPClassifier.fit` to a validation loss of 0.1", TO_LOSS,
             (64, 100, 10), 200, source="digits", goal=0.1),
    Workload("S2", "100,000 rows, 50-100-2, batch 200: `MLPClassifier.fit` to a validation loss of 0.02", TO_LOSS,
             (50, 100, 2), 200, 125_000, goal=0.02),
    replace(_W1, name="W9l", title="eager: backward of the W1 loss", kind=EAGER_LOSS, steps=1),
    replace(_W1, name="W9L", title="eager: forward and backward of the W1 loss", kind=EAGER_LOSS, steps=1, whole=True),
    Workload("W9c", "eager: backward of a chain of 1,000 scalar operations", EAGER_CHAIN),
    Workload("W9C", "eager: forward and backward of a chain of 1,000 scalar operations", EAGER_CHAIN, whole=True),
    *_loops("L1", "a loop: scalar recurrence", "recurrence"),
    *_loops("L2", "a loop: recurrent network of 32 units", "network"),
    *_loops("L3", "a loop: Kalman filter of four numbers", "kalman"),
    _convolution("C1i", 64, 14, 16, 32, 3, 1),
    _convolution("C2i", 128, 28, 1, 16, 5, 1),
    _convolution("C3i", 64, 16, 32, 64, 3, 1),
    _convolution("C4i", 64, 16, 64, 64, 3, 64),
    Workload("P", "the largest of 2×2 of 128 images 28×28, 16 channels: value and gradient", LAYER, (128, 28, 16),
             source="pool"),
    _net("N1", "conv 16, pool, conv 32, pool, dense 10 of 28×28, batch 128: 16 steps", "images", 128, 16),
    _net("R1", "LSTM 64 of 50 steps of 16 numbers, batch 64: 16 steps", "cells", 64, 16),
    _net("T1", "transformer block, width 64, 4 heads, 64 elements, batch 32: 16 steps", "block", 32, 16, "mse"),
    _net("R2", "characters by an LSTM of 256, 128 a row, batch 32: 4 steps of 4,096", "letters by cells", 32, 4),
    _net("T2", "characters by a transformer, 3 blocks of 128, 128 a row, batch 32: 4 steps of 4,096", "letters", 32, 4),
    Workload("P0", "a process from start to exit: ten rows of a file, predicted by digits' 64-64-64-10", COMMAND),
    Workload("P1", "784-128-128-10: `MLPClassifier.predict` of one row", PREDICT, (784, 128, 128, 10), 0, 1, 100),
    Workload("P6", "20-64-64-10: `MLPClassifier.predict` of 10⁶ rows", PREDICT, (20, 64, 64, 10), rows=1_000_000),
    replace(_W2, name="F3", title="first call, three layers: 784-128-128-10", kind=FIRST, steps=1),
    Workload("R", "300 epochs of digits with and without a run folder", RECORDED, (64, 64, 64, 10), 32),
    Workload("F50", "first call, fifty layers of 64", FIRST, (64,) * 50 + (10,), 128, 1024, 1),
    *(Workload(f"E{k:02}", f"{chain.title}, 128 × 128", CHAIN, steps=20) for k, chain in enumerate(CHAINS, 1)),
]  # fmt: skip
OTHER = Workload("F0", "another network, which fills the kernel cache", FIRST, (784, 256, 192, 96, 10), 100, 500, 1)


def chosen(names: str | None) -> list[Workload]:
    """`W0,W6`: rows by name, or by the beginning of their names where no row has that name; None: all."""
    if not names:
        return list(WORKLOADS)
    found: list[Workload] = []
    for wanted in (n.strip() for n in names.split(",")):
        some = [w for w in WORKLOADS if w.name == wanted] or [w for w in WORKLOADS if w.name.startswith(wanted)]
        if not some:
            raise SystemExit(f"no row is named {wanted}; there are {', '.join(w.name for w in WORKLOADS)}")
        found += some
    return [w for w in WORKLOADS if w in found]


def named(name: str) -> Workload:
    return next(w for w in [*WORKLOADS, OTHER] if w.name == name)


# ------------------------------------------------------------------------------------------------------ arrays
def dataset(w: Workload) -> tuple[np.ndarray, np.ndarray]:
    """Examples, and labels that a random network of one layer gives them."""
    r = np.random.default_rng(0)
    x = r.standard_normal((w.rows, w.sizes[0])).astype(w.dtype)
    scores = x @ r.standard_normal((w.sizes[0], w.sizes[-1])).astype(w.dtype) / np.sqrt(w.sizes[0]).astype(w.dtype)
    if w.loss == "mse":
        return x, np.tanh(scores)
    return x, np.argmax(scores, axis=1)


def initial(w: Workload) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weight (inputs, outputs) and bias of every layer."""
    r = np.random.default_rng(1)
    return [
        ((r.standard_normal((a, b)) * np.sqrt(1.5 / a)).astype(w.dtype), np.zeros(b, w.dtype))
        for a, b in zip(w.sizes, w.sizes[1:], strict=False)
    ]


def order(w: Workload) -> np.ndarray:
    """The rows of every batch of one call, shape (steps, batch): epochs of shuffled rows, one after another."""
    r = np.random.default_rng(2)
    epochs = -(-w.steps * w.batch // w.rows)
    rows = np.concatenate([r.permutation(w.rows) for _ in range(epochs)])
    return rows[: w.steps * w.batch].reshape(w.steps, w.batch)


def direction(w: Workload) -> list[tuple[np.ndarray, np.ndarray]]:
    """The vector of the Hessian-vector product, shaped like the parameters."""
    r = np.random.default_rng(3)
    return [
        (r.standard_normal(a.shape).astype(w.dtype), r.standard_normal(b.shape).astype(w.dtype)) for a, b in initial(w)
    ]


PAIR = (np.arange(8, dtype=np.float32), np.ones(8, np.float32))
"""Arguments of the compiled function of two arrays, x · y + x."""
CHAIN_START, CHAIN_LINKS = 0.5, 250
"""x <- x * 1.01; x <- x + 0.001; x <- tanh(x); x <- x * s, 250 times: 1,000 operations; s = 1 is a parameter too."""
