"""A regressor of tables as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from clearprop.sklearn.tabular import Tabular
from clearprop.sklearn.tabular_parameters import with_settings


@with_settings(classes=False)
class TabularRegressor(RegressorMixin, Tabular):  # type: ignore[misc]  # scikit-learn has no types
    """A number from a table as it is: text, dates, gaps and numbers, with what `clearprop train` does inside.

    Parameters and attributes are those of `TabularClassifier`, but for `class_weight` and `classes_`.  The loss is that
    of a standardised target; predictions are in the target's own unit.

    >>> import clearprop as cl
    >>> import polars as pl
    >>> frame = pl.DataFrame({"size": [float(i % 30) for i in range(120)], "kind": ["a", "b", None] * 40})
    >>> price = 100.0 + 10.0 * frame["size"] + 50.0 * (frame["kind"] == "b").fill_null(False)
    >>> regressor = cl.sklearn.TabularRegressor(hidden=16, epochs=100, dropout=0.0).fit(frame, price)
    >>> bool(regressor.score(frame, price) > 0.9)
    True
    """

    _task = "regression"

    def predict(self, X: Any) -> NDArray[np.float64]:
        """The value of each row, (rows,), in the unit of y."""
        check_is_fitted(self)
        values: NDArray[np.float64] = self.run_.predict(self._features(X, reset=False))
        return values
