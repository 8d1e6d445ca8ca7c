"""Intervals around predictions of numbers: how far off the validation rows were says how far off others will be.

Split conformal prediction (Vovk, Gammerman & Shafer 2005; Lei, G'Sell, Rinaldo, Tibshirani & Wasserman 2018).  With the
errors |y − ŷ| of n rows that no step of the training saw, an interval ŷ ± w, w the ⌈(n + 1)·level⌉-th smallest of them,
holds the target of a new row with probability `level` or more, whatever the network and the distribution are, as long
as rows come in no order.  The same rows chose the best epoch, which makes their errors a little small where there are
few of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.parts import Part, sample_rows
from clearprop.data.target_transforms import TargetTransform
from clearprop.errors import ArgumentError, user_line
from clearprop.files.strict_json import read_record
from clearprop.train.baselines import rows_to_measure
from clearprop.train.metrics import TargetUnit, outputs_of

QUANTILES = 200
"""So many quantiles of the errors are kept at most: widths are told to half a percent of the rows, upwards."""


@dataclass(frozen=True)
class ErrorQuantiles:
    """Errors of `rows` rows: the smallest one that a share of 1/m, 2/m, … of them does not exceed, m as many as kept.

    >>> errors = ErrorQuantiles.of(np.array([3.0, 1.0, 2.0]))
    >>> errors.quantiles, errors.half_width(0.6)
    ((1.0, 2.0, 3.0), 3.0)
    """

    rows: int
    quantiles: tuple[float, ...]

    @classmethod
    def of(cls, errors: NDArray[np.float64]) -> ErrorQuantiles:
        """The quantiles of errors `(rows,)`."""
        rows, kept = len(errors), min(len(errors), QUANTILES)
        ranks = -(-np.arange(1, kept + 1) * rows // kept)
        return cls(rows, tuple(np.sort(errors)[ranks - 1].tolist()))

    def half_width(self, level: float) -> float:
        """The half width w of an interval that holds a new target with probability `level`.

        Raises ArgumentError for a level that is none, or that so few rows cannot promise.
        """
        if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1:
            raise ArgumentError(
                "an interval has a probability",
                expected="a level above 0 and below 1",
                got=repr(level),
                where=user_line(),
                try_="level=0.9",
            )
        rank = math.ceil((self.rows + 1) * level - 1e-9)  # 10 · 0.9 is 9, in binary, too
        if rank > self.rows:
            raise ArgumentError(
                "too few validation rows for such an interval",
                expected=f"{math.ceil(level / (1 - level) - 1e-9):,} rows or more for a level of {level:g}",
                got=f"{self.rows:,}",
                where=user_line(),
                try_=f"level={math.floor(100 * self.rows / (self.rows + 1)) / 100:g}, or a larger validation part",
            )
        return self.quantiles[-(-rank * len(self.quantiles) // self.rows) - 1]


def validation_errors(model: Any, part: Part, unit: TargetUnit | None) -> dict[str, object] | None:
    """The quantiles of a network's errors over a part, in the unit of the data, as `summary.json` holds them.

    Where a transform t of the target is learned they are errors of t(y), so that intervals are wide where values are.
    Of a large part rows are taken that are evenly spread.  None for more than one target a row.
    """
    x, y = sample_rows(part, rows_to_measure(part))
    outputs = outputs_of(model, x)
    if y.size != len(y) or outputs.size != len(y):
        return None
    said, known = (np.asarray(a, dtype=np.float64).reshape(-1) for a in (outputs, y))
    if unit is not None:
        said, known = np.asarray(unit.of_outputs(said)), np.asarray(unit.of_targets(known))
    if unit is not None and unit.transform is not None:
        said, known = unit.transform.forward(said), unit.transform.forward(known)
    errors = np.abs(said - known)
    if not np.isfinite(errors).all():
        return None
    found = ErrorQuantiles.of(errors)
    return {"rows": found.rows, "quantiles": list(found.quantiles)}


def interval_around(
    values: NDArray[Any],
    stored: Mapping[str, Any] | None,
    level: float,
    where: str,
    transform: TargetTransform | None = None,
) -> NDArray[Any]:
    """The lower and the upper end `(rows, 2)` around predictions `(rows,)`.

    `stored` is what `validation_errors` gave, with the `transform` of the target if it has one.  Raises ArgumentError
    for a run that has none, or a level that it cannot promise; RunError for a record that cannot be read.
    """
    if stored is None:
        raise ArgumentError(
            "this run has no errors to make intervals of",
            expected="a finished run that predicts one number a row, with validation rows that count alike",
            got="classes, several targets, quantiles or rows with weights, no validation, or a run of an older version",
            where=user_line(),
            try_="a run with validation, such as `clearprop train DATA --val 0.15`",
        )
    width = read_record(ErrorQuantiles, dict(stored), "the errors of the run", where).half_width(level)
    if transform is None:
        return np.stack([values - width, values + width], axis=1)
    return transform.around(values, width)
