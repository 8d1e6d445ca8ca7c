"""A regressor of tables as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.metrics import d2_pinball_score
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.validation import check_is_fitted

from clearprop.errors import checked_methods
from clearprop.nn.losses import several_quantiles_of
from clearprop.sklearn.parameters import ScoresRows, columns_of, require_arrays_of_rows
from clearprop.sklearn.tabular import Tabular
from clearprop.sklearn.tabular_parameters import with_settings


@checked_methods
@with_settings(classes=False)
class TabularRegressor(ScoresRows, RegressorMixin, Tabular):  # type: ignore[misc]  # scikit-learn has no types
    """A number, or several, from a table as it is: text, dates, gaps, numbers, with what `clearprop train` does inside.

    Parameters and attributes are those of `TabularClassifier`, but for those of classes, and `target_transform`: "log"
    learns log(1 + y), "quantile" normal scores, "auto" what is clearly best on the rows that `validation` set aside.
    `quantiles` such as [0.1, 0.5, 0.9] are learned side by side, and never cross.
    The loss is that of a standardised target; predictions are in the target's own unit.

    >>> import clearprop as cl
    >>> import polars as pl
    >>> frame = pl.DataFrame({"size": [float(i % 30) for i in range(120)], "kind": ["a", "b", None] * 40})
    >>> price = 100.0 + 10.0 * frame["size"] + 50.0 * (frame["kind"] == "b").fill_null(False)
    >>> regressor = cl.sklearn.TabularRegressor(hidden=16, epochs=100, dropout=0.0).fit(frame, price)
    >>> bool(regressor.score(frame, price) > 0.9)
    True
    """

    _task = "regression"

    def _targets(self, y: Any) -> NDArray[Any]:
        """The targets `(rows,)`, or several of them `(rows, targets)`."""
        several = columns_of(y) > 1
        return np.asarray(check_array(y, dtype=np.float64) if several else column_or_1d(y, warn=True))

    def predict(self, X: Any) -> NDArray[np.float64]:
        """The value of each row, (rows,), in the unit of y; of several targets or quantiles (rows, several)."""
        check_is_fitted(self)
        values: NDArray[np.float64] = self.run_.predict(self._features(X, reset=False))
        return values

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R²; of several `quantiles` the mean of their D², 1 − pinball loss / that of the constant quantile."""
        check_is_fitted(self)
        quantiles = several_quantiles_of(self.run_.config.settings.loss)
        if not quantiles:
            return super().score(X, y, sample_weight)
        require_arrays_of_rows(X, y, sample_weight, "score")
        said = self.predict(X)
        each = enumerate(quantiles)
        return float(np.mean([d2_pinball_score(y, said[:, k], alpha=q, sample_weight=sample_weight) for k, q in each]))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
