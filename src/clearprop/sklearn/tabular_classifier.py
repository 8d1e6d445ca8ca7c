"""A classifier of tables as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from clearprop.data.encodings import ClassTarget
from clearprop.data.training_data import Prepared
from clearprop.errors import checked_methods
from clearprop.sklearn.parameters import ScoresRows
from clearprop.sklearn.tabular import Tabular
from clearprop.sklearn.tabular_parameters import with_settings
from clearprop.train import chosen_by, require_choice


@checked_methods
@with_settings(classes=True)
class TabularClassifier(ScoresRows, ClassifierMixin, Tabular):  # type: ignore[misc]  # scikit-learn has no types
    """Classes from a table as it is: text, dates, gaps and numbers, with what `clearprop train` does inside.

    X is a data frame (pandas, polars, pyarrow) or an array.  Columns are inferred, filled, standardised and encoded as
    the command line does it, and what is not asked for suits the data: the same preprocessing and recipe, fitted on the
    training part alone.  A share of the rows, `validation`, chooses the best epoch.

    hidden, activation, dropout, recipe, pieces  the network
    loss, class_weight, metric, optimizer, learning_rate, epochs, batch_size, l1, l2, patience, seed  the training
    threshold  of two classes: above which probability the second of `classes_` is predicted; "auto" finds one on the
        rows that `validation` set aside
    costs     {class: what it costs to take a row of it for another}, or {true class: {chosen class: cost}}: of two
        classes a threshold is found for them, of more the class of least expected cost is predicted
    calibration  "temperature": `predict_proba` fits the rows that `validation` set aside best
    validation, split, group  how rows are set aside: a share, and random, time:COL, group:COL or column:COL
    drop, only, kind, missing  columns to leave out or to use, what they are, words for missing values
    threads   at most so many threads while it trains
    baseline  measure the constant answer and a linear model beside the network, for `run_.headline`
    verbose   print what was inferred and how training goes

    All are settings of `clearprop train`, which `clearprop config` explains, and None stands for what suits the data.

    Attributes: `classes_`, `n_features_in_`, `feature_names_in_` where X has names, the number of epochs `n_iter_`, and
    `run_`, the run with everything that clearprop tells of one.

    >>> import clearprop as cl
    >>> import polars as pl
    >>> sizes, kinds = [1.0, 2.0, None, 8.0, 9.0, 7.5], ["a", "a", "b", "b", "a", None]
    >>> frame = pl.DataFrame({"size": sizes * 9, "kind": kinds * 9})
    >>> large = ["no", "no", "no", "yes", "yes", "yes"] * 9
    >>> classifier = cl.sklearn.TabularClassifier(hidden=16, epochs=60).fit(frame, large)
    >>> classifier.predict(frame[:4]).tolist(), classifier.predict_proba(frame).shape
    (['no', 'no', 'no', 'yes'], (54, 2))
    """

    _task = "classification"

    def _require_targets(self, y: NDArray[Any]) -> None:
        check_classification_targets(y)

    def _learn_target(self, data: Prepared, y: NDArray[Any]) -> None:
        assert data.preprocessing is not None and isinstance(data.preprocessing.target, ClassTarget)
        self.classes_ = np.unique(y)
        self._outputs = data.preprocessing.target.codes_of(self.classes_)

    def predict(self, X: Any) -> NDArray[Any]:
        """The class of each row, (rows,)."""
        shares = self.predict_proba(X)
        require_choice(shares)
        in_order = np.argsort(self._outputs)  # as the network has the classes
        return np.asarray(self.classes_[in_order][chosen_by(shares[:, in_order], self.run_.choice)])

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """The probability of each class, (rows, classes), in the order of `classes_`."""
        check_is_fitted(self)
        shares: NDArray[Any] = self.run_.probabilities(self._features(X, reset=False))[:, self._outputs]
        return shares

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """The logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.predict_proba(X)))
