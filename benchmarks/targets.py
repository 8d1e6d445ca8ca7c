"""What must be shown, as data, and how a measured row is judged by it."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.measure import Result
from benchmarks.workloads import CHAIN, WORKLOADS

Row = dict[str, Result]
Rows = dict[str, Row]


@dataclass(frozen=True)
class Target:
    """`figure(rows)` must be `at_least` (or `at_most`) the bound; `goal` is what we would like."""

    row: str
    text: str
    figure: Callable[[Rows], float | None]
    bound: float
    goal: float | None = None
    at_most: bool = False
    unit: str = "×"

    def judged(self, rows: Rows) -> dict[str, Any]:
        """The figure with its verdict: reached, goal, missed, or not measured."""
        value = self.figure(rows)
        verdict = "not measured" if value is None else "missed"
        if value is not None and self._holds(value, self.bound):
            verdict = "goal" if self.goal is not None and self._holds(value, self.goal) else "reached"
        return {
            "row": self.row, "text": self.text, "bound": self.bound, "goal": self.goal, "at_most": self.at_most,
            "unit": self.unit, "value": value, "verdict": verdict,
        }  # fmt: skip

    def _holds(self, value: float, bound: float) -> bool:
        return value <= bound if self.at_most else value >= bound


def ours(row: Row) -> float | None:
    """Our best form in a row; of W8, the warm one."""
    if "clearprop.warm" in row:
        return row["clearprop.warm"].median
    return _least(r.median for n, r in row.items() if n.startswith("clearprop."))


def _least(values: Any) -> float | None:
    known = [v for v in values if v is not None]
    return min(known) if known else None


def _ratio(other: float | None, own: float | None) -> float | None:
    return other / own if other is not None and own else None


def against(row: str, prefix: str, own: Callable[[Row], float | None] = ours) -> Callable[[Rows], float | None]:
    """The best form whose name begins with the prefix, divided by ours: how many times faster we are."""

    def figure(rows: Rows) -> float | None:
        r = rows.get(row, {})
        return _ratio(_least(v.median for n, v in r.items() if n.startswith(prefix)), own(r))

    return figure


def against_all(row: str, own: Callable[[Row], float | None] = ours) -> Callable[[Rows], float | None]:
    """The fastest peer divided by ours."""

    def figure(rows: Rows) -> float | None:
        r = rows.get(row, {})
        peers = (v.median for n, v in r.items() if not n.startswith(("clearprop.", "floor.")))
        return _ratio(_least(peers), own(r))

    return figure


def against_in_median(kind: str, peer: str) -> Callable[[Rows], float | None]:
    """The median over the rows of a kind of how many times faster we are than a peer; None unless all were run."""

    def figure(rows: Rows) -> float | None:
        ratios = [against(w.name, f"{peer}.")(rows) for w in WORKLOADS if w.kind == kind]
        return statistics.median(r for r in ratios if r) if all(ratios) else None

    return figure


def over_floor(row: str, floor: str = "floor.numpy") -> Callable[[Rows], float | None]:
    return lambda rows: _ratio(ours(rows.get(row, {})), _median(rows, row, floor))


def over_best_threads(row: str) -> Callable[[Rows], float | None]:
    """What `cl.fit` takes by default over the better of one thread and two."""

    def figure(rows: Rows) -> float | None:
        chosen = _least(_median(rows, row, f"clearprop.{n}") for n in ("one", "two"))
        return _ratio(_median(rows, row, "clearprop.fit"), chosen)

    return figure


def scaled(figure: Callable[[Rows], float | None], factor: float) -> Callable[[Rows], float | None]:
    """A figure in another unit."""

    def other(rows: Rows) -> float | None:
        value = figure(rows)
        return None if value is None else value * factor

    return other


def modes(row: str, name: str) -> Callable[[Rows], float | None]:
    """The slowest process over the fastest: one mode or several."""

    def figure(rows: Rows) -> float | None:
        result = rows.get(row, {}).get(name)
        return max(result.modes) / min(result.modes) if result and len(result.modes) > 1 else None

    return figure


def memory(row: str, peer: str) -> Callable[[Rows], float | None]:
    """Our peak over the peer's least."""

    def figure(rows: Rows) -> float | None:
        r = rows.get(row, {})
        theirs = [v.memory for n, v in r.items() if n.startswith(peer) and v.memory]
        return _ratio(r["clearprop.loop"].memory or None, min(theirs)) if theirs and "clearprop.loop" in r else None

    return figure


def _median(rows: Rows, row: str, name: str) -> float | None:
    result = rows.get(row, {}).get(name)
    return result.median if result else None


def seconds(row: str, name: str) -> Callable[[Rows], float | None]:
    return lambda rows: _median(rows, row, name)


def _cold(row: Row) -> float | None:
    return row["clearprop.cold"].median if "clearprop.cold" in row else None


def recording(rows: Rows) -> float | None:
    """Training with a run folder over training without."""
    return _ratio(_median(rows, "R", "clearprop.recorded"), _median(rows, "R", "clearprop.plain"))


def _warm_fit(row: Row) -> float | None:
    return row["clearprop.fit.warm"].median if "clearprop.fit.warm" in row else None


SCAN, EAGER, TORCH = "`lax.scan`", "PyTorch eager", "PyTorch (its best form)"
TARGETS = [
    Target("W0", f"faster than {SCAN}", against("W0", "jax.scan"), 3, 4.5),
    Target("W0", f"faster than {EAGER}", against("W0", "torch.eager"), 25),
    Target("W1", f"faster than {SCAN}", against("W1", "jax.scan"), 1.9, 2.8),
    Target("W1", f"faster than {EAGER}", against("W1", "torch.eager"), 10),
    Target("W2", f"faster than {SCAN}", against("W2", "jax.scan"), 1.2, 1.45),
    Target("W2", f"faster than {TORCH}", against("W2", "torch."), 3),
    Target("W2", "time over the floor", over_floor("W2"), 1.15, 1.0, at_most=True),
    Target("W3", f"faster than {SCAN}", against("W3", "jax.scan"), 1.0, 1.15),
    Target("W3", f"faster than {TORCH}", against("W3", "torch."), 2),
    Target("W3", "time over the floor", over_floor("W3"), 1.12, 1.0, at_most=True),
    Target("W3", "slowest process over fastest (one mode)", modes("W3", "clearprop.loop"), 1.1, at_most=True),
    Target("W3", "peak memory over PyTorch's", memory("W3", "torch."), 1.0, at_most=True),
    *(
        Target(row, "faster than the fastest peer", against_all(row), 1.0, goal)
        for row, goal in (("W4", 1.5), ("W5", 1.5), ("W6v", 2.0), ("W6h", 2.0), ("W7", 2.0))
    ),
    Target("W0f", f"faster than {SCAN}", against("W0f", "jax.fit"), 3, 4.5),
    Target("W1f", f"faster than {SCAN}", against("W1f", "jax.fit"), 1.9, 2.5),
    Target("W2f", f"faster than {SCAN}", against("W2f", "jax.fit"), 1.15, 1.45),
    Target("W2f", "time over the floor", over_floor("W2f", "floor.epochs"), 1.15, 1.0, at_most=True),
    Target("W3f", f"faster than {SCAN}", against("W3f", "jax.fit"), 1.0, 1.1),
    Target("W3f", f"faster than {TORCH}, or at the floor", against("W3f", "torch."), 2),
    Target("W3f", "time over the floor", over_floor("W3f", "floor.epochs"), 1.0, at_most=True),
    Target("W4f", "faster than the fastest peer", against_all("W4f"), 1.3, 1.5),
    Target("W5f", "faster than the fastest peer", against_all("W5f"), 1.9, 2.5),
    *(
        Target(f"{name}e{epochs}", "faster than scikit-learn", against(f"{name}e{epochs}", "sklearn."), 1.0)
        for name in ("W0", "W1", "W2", "digits")
        for epochs in (1, 10, 100)
    ),
    Target("S1", "faster than scikit-learn to one validation loss", against("S1", "sklearn."), 3.0),
    Target("S2", "faster than scikit-learn to one validation loss", against("S2", "sklearn."), 3.0),
    Target("P0", "a process for ten rows: faster than scikit-learn", against("P0", "sklearn."), 1.0),
    Target("P1", "one row: faster than scikit-learn", against("P1", "sklearn."), 1.0),
    Target("P6", "10⁶ rows: faster than scikit-learn", against("P6", "sklearn."), 1.0),
    Target("K1", "kernels cached: faster than JAX", against("K1", "jax.", _warm_fit), 1.0, 2.0),
    Target("B1", "time over the better of one thread and two", over_best_threads("B1"), 1.15, at_most=True),
    Target("C0", "a call", scaled(seconds("C0", "clearprop.call"), 1e6), 18, 12, at_most=True, unit=" µs"),
    Target("C2", "a call", scaled(seconds("C2", "clearprop.call"), 1e6), 6, at_most=True, unit=" µs"),
    *(
        Target(row, f"faster than {SCAN}", against(row, "jax.loop"), 1.0)
        for row in ("L1", "L1g", "L2", "L2g", "L3", "L3g")
    ),
    *(
        Target(row, "time over the loop written by hand", over_floor(row, "floor.by_hand"), 1.2, at_most=True)
        for row in ("L1", "L2", "L3")
    ),
    Target("W9L", f"faster than {EAGER}", against("W9L", "torch.eager"), 1.0, 1.3),
    Target("W9C", f"faster than {EAGER}", against("W9C", "torch.eager"), 1.0, 1.3),
    Target("W8", "warm cache: faster than the fastest peer", against_all("W8"), 1.0),
    Target("W8", "cold cache: faster than PyTorch", against("W8", "torch", _cold), 1.0),
    Target("W8", "cold cache: faster than the fastest peer", against_all("W8", _cold), 1.0),
    *(
        Target(row, f"faster than {name}", against(row, prefix), bound)
        for row in ("W9l", "W9c")
        for name, prefix, bound in ((EAGER, "torch.eager", 1.0), ("autograd", "autograd.", 3.0))
    ),
    *(
        Target(row, "faster than the fastest peer", against_all(row), bound, goal)
        for row, bound, goal in (
            ("C1i", 1.05, 1.2), ("C2i", 1.5, 2.1), ("C3i", 0.95, 1.05), ("C4i", 1.3, 1.6), ("P", 2.5, 4.0),
            ("N1", 2.0, 3.0), ("R1", 1.5, 2.0), ("T1", 1.8, 2.8), ("R2", 1.0, 2.0), ("T2", 1.0, 2.0),
        )
    ),
    Target("R", "time with a run folder over time without", recording, 1.05, at_most=True),
    *(
        Target("E01", f"E01 to E20, the median: faster than {name}", against_in_median(CHAIN, peer), 1.0)
        for peer, name in (("jax", "JAX `jit`"), ("numpy", "NumPy"), ("numexpr", "numexpr"))
    ),
    Target("F3", "first call, cold", seconds("F3", "clearprop.loop.cold"), 2.2, 1.0, at_most=True, unit=" s"),
    Target("F3", "first call, warm", seconds("F3", "clearprop.loop.warm"), 0.3, 0.15, at_most=True, unit=" s"),
    Target(
        "F3", "first call, kernels of another network",
        seconds("F3", "clearprop.loop.warm, kernels of another network"), 0.3, 0.15, at_most=True, unit=" s",
    ),
    Target(
        "F50", "first call of fifty layers, cold",
        seconds("F50", "clearprop.loop.cold"), 3.0, 1.5, at_most=True, unit=" s",
    ),
]  # fmt: skip
