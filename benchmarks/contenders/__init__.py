"""Who takes part: one line per contender; the module of its family builds what is timed."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks import workloads as w

FAMILIES = ("clearprop", "jax", "torch", "sklearn", "autograd", "tangent", "floor")
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
]


def taking_part(row: w.Workload, families: set[str]) -> list[Contender]:
    return [c for c in CONTENDERS if c.takes(row) and c.family in families]


class Runner:
    """What a family's `build` returns.  `check` is a number that all contenders of a row should agree on."""

    check: float | None = None

    def first(self) -> None:
        """The first call, from the Python function to its result."""
        self.call()

    def call(self) -> float | None:
        """One call, finished when it returns; seconds, where only a part of it counts."""
        raise NotImplementedError
