"""A network judged: loss and metrics over all rows of a part, in memory, on disk, or in blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.parts import Part
from clearprop.data.streaming.sharers import ALONE, Sharers
from clearprop.errors import DataError
from clearprop.program.values import no_grad, raw
from clearprop.train.metrics import Measure, outputs_of


def evaluate(
    model: Any, x: Any, y: Any, loss: Measure, metrics: Sequence[Measure], weight: NDArray[Any] | None = None
) -> dict[str, float]:
    """The loss and the metrics of a model over all rows, by name; by `weight` `(rows,)`, where rows have some.

    Where outputs are NaN all of them are: see `judge`.
    """
    outputs = outputs_of(model, x)
    more = () if weight is None else (weight / weight.mean(dtype=np.float64),)
    return {name: judge(m, outputs, y, *more) for name, m in _by_name(loss, metrics).items()}


def judge(measure: Measure, outputs: NDArray[Any], y: NDArray[Any], *weight: NDArray[Any]) -> float:
    """A measure of outputs; NaN where outputs are: no class is chosen there, and a largest of NaN names the first.

    >>> from clearprop.train.metrics import find_metrics
    >>> judge(find_metrics(["accuracy"])[0], np.array([[np.nan, 1.0], [2.0, 1.0]]), np.array([0, 0]))
    nan
    """
    if _chooses_nothing(outputs):
        return np.nan
    with no_grad():
        return float(raw(measure(outputs, y, *weight)))


def _chooses_nothing(outputs: NDArray[Any]) -> bool:
    return outputs.dtype.kind == "f" and bool(np.isnan(outputs).any())


def _by_name(loss: Measure, metrics: Iterable[Measure]) -> dict[str, Measure]:
    return {"loss": loss, **{m.name: m for m in metrics}}


def evaluate_part(
    model: Any, part: Part, loss: Measure, metrics: Sequence[Measure], weight: NDArray[Any] | None = None
) -> dict[str, float]:
    """`evaluate` for arrays and their weights, or for rows on disk, of which one block at a time is read."""
    if isinstance(part, tuple):
        return evaluate(model, *part, loss, metrics, weight)
    if part.blocks == 1:
        x, y, *own = next(part.batches())
        return evaluate(model, x, y, loss, metrics, *own)
    return evaluate_blocks(model, part.batches(), loss, metrics)


def evaluate_blocks(
    model: Any, blocks: Iterable[tuple[Any, ...]], loss: Measure, metrics: Sequence[Measure]
) -> dict[str, float]:
    """`evaluate` over the rows of all blocks together: means weighted by rows, or from moments.

    Metrics outside need all rows at once: outputs and targets, not the inputs, are kept for them.
    """
    return _merge_shares((_block_shares(model, block, loss, metrics) for block in blocks), loss, metrics)


@dataclass(frozen=True, eq=False)
class _BlockShares:
    """What a block adds: its rows, by weight, the share of each measure, and what metrics outside need of it."""

    rows: float
    shares: dict[str, NDArray[np.float64]]
    kept: tuple[NDArray[Any], ...]


def _block_shares(model: Any, block: tuple[Any, ...], loss: Measure, metrics: Sequence[Measure]) -> _BlockShares:
    x, y, *weight = block
    outputs = outputs_of(model, x)
    rows = float(weight[0].sum(dtype=np.float64)) if weight else len(x)
    shares = {name: _share(m, outputs, y, *weight) for name, m in _by_name(loss, _inside(metrics)).items()}
    return _BlockShares(rows, shares, (outputs, y, *weight) if any(m.outside for m in metrics) else ())


def _merge_shares(blocks: Iterable[_BlockShares], loss: Measure, metrics: Sequence[Measure]) -> dict[str, float]:
    """The loss and the metrics of blocks, added in their order."""
    measures = _by_name(loss, _inside(metrics))
    rows, totals, kept = 0.0, dict[str, NDArray[np.float64]](), list[tuple[NDArray[Any], ...]]()
    for block in blocks:
        rows += block.rows
        for name, share in block.shares.items():
            totals[name] = (measures[name].merge or np.add)(totals[name], share) if name in totals else share
        kept += [block.kept] if block.kept else []
    found = {name: _total(m, totals[name], rows) for name, m in measures.items()}
    return _in_order(metrics, found, kept) if kept else found


def _inside(metrics: Sequence[Measure]) -> list[Measure]:
    return [metric for metric in metrics if not metric.outside]


def evaluate_encoded(
    model: Any,
    blocks: Iterator[tuple[Any, ...]],
    loss: Measure,
    metrics: Sequence[Measure],
    ranks: Sharers = ALONE,
) -> dict[str, float]:
    """`evaluate` over blocks that each have their own memory: of a single one as for arrays, else as in blocks.

    Several `ranks` have blocks of their own each; what comes of them is added in the order of all blocks.
    """
    own = list[tuple[Any, ...]]()
    ranks.each(lambda: own.extend(islice(blocks, 2)))
    known = sum(ranks.each(lambda: len(own)))
    if not known:
        raise DataError("no row can be evaluated", expected="a value in the target", got="none in all rows")
    if known == 1:
        found = ranks.each(lambda: [evaluate(model, x, y, loss, metrics, *w) for x, y, *w in own])
        return next(each[0] for each in found if each)
    if ranks.size == 1:
        return evaluate_blocks(model, chain(own, blocks), loss, metrics)
    shares = ranks.each(lambda: [_block_shares(model, block, loss, metrics) for block in chain(own, blocks)])
    return _merge_shares(chain.from_iterable(shares), loss, metrics)


def _total(measure: Measure, total: NDArray[np.float64], rows: float) -> float:
    return measure.unit * measure.of_moments(total) if measure.of_moments else float(total[0] / rows)


def _in_order(
    metrics: Sequence[Measure], found: dict[str, float], kept: list[tuple[NDArray[Any], ...]]
) -> dict[str, float]:
    """The loss and all metrics in their order, those outside computed from the outputs and targets of all rows."""
    arrays = [np.concatenate(parts) for parts in zip(*kept, strict=True)]
    measured = {m.name: judge(m, *arrays) if m.outside else found[m.name] for m in metrics}
    return {"loss": found["loss"], **measured}


def _share(measure: Measure, outputs: NDArray[Any], y: NDArray[Any], *weight: NDArray[Any]) -> NDArray[np.float64]:
    if measure.moments is not None:
        more = {"sample_weight": weight[0].astype(np.float64)} if weight else {}
        moments = measure.moments(outputs.astype(np.float64), y.astype(np.float64), **more)
        return np.full_like(moments, np.nan) if _chooses_nothing(outputs) else moments
    return np.array([len(y) * judge(measure, outputs, y, *weight)])
