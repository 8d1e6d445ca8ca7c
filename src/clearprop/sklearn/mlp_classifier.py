"""A multilayer perceptron for classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import unique_labels
from sklearn.utils.validation import validate_data

from clearprop.data.array_checks import require_unmasked
from clearprop.errors import ArgumentError, checked_call, checked_methods, user_line
from clearprop.rules.activations import sigmoid
from clearprop.sklearn.parameters import ScoresRows, check_parameters, columns_of
from clearprop.sklearn.perceptron import RULES, Perceptron, dense, has_epochs
from clearprop.train import require_choice, shares_of_rows


@checked_methods
class MLPClassifier(ScoresRows, ClassifierMixin, Perceptron):  # type: ignore[misc]  # scikit-learn has no types
    """A multilayer perceptron for classes: scikit-learn's `MLPClassifier`, trained by clearprop.

    Parameters and attributes have the names and meanings of `sklearn.neural_network.MLPClassifier` (Pedregosa et al.
    2011): cross-entropy plus alpha/(2·batch)·Σw², by mini-batches with Adam or SGD, or as a whole by L-BFGS.  Two
    classes or several labels at once have logistic outputs, more classes a softmax.

    `class_weight` is {class: weight}, or "balanced": rows/(classes · rows of the class); of several labels a list with
    one for each, which multiply (King & Zeng 2001).  It multiplies `sample_weight`.

    It differs in these points: batches are drawn in clearprop's order, so the bits differ; `momentum` is below 1;
    sparse rows are made dense; `run_`, after `adam` and `sgd`, is the run with everything that clearprop tells of one.

    >>> import clearprop as cl
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = cl.sklearn.MLPClassifier(32, learning_rate_init=0.01, max_iter=300, random_state=0).fit(X, y)
    >>> bool(classifier.score(X, y) > 0.95), classifier.predict_proba(X[:2]).shape
    (True, (2, 3))
    """

    # scikit-learn reads parameters off the signature, so that all stand here once more
    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        class_weight: Any = None,
    ) -> None:
        self.class_weight = class_weight
        super().__init__(
            hidden_layer_sizes,
            activation,
            solver=solver,
            alpha=alpha,
            batch_size=batch_size,
            learning_rate=learning_rate,
            learning_rate_init=learning_rate_init,
            power_t=power_t,
            max_iter=max_iter,
            shuffle=shuffle,
            random_state=random_state,
            tol=tol,
            verbose=verbose,
            warm_start=warm_start,
            momentum=momentum,
            nesterovs_momentum=nesterovs_momentum,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            n_iter_no_change=n_iter_no_change,
            max_fun=max_fun,
        )

    def _checked(self, X: Any, y: Any, *, more: bool, reset: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        X, y = validate_data(
            self, X, y, accept_sparse=["csr", "csc"], multi_output=True, dtype=(np.float64, np.float32), reset=reset
        )
        y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
        if not hasattr(self, "classes_") or not (self.warm_start or more):
            self._labels = LabelBinarizer().fit(y)
            self.classes_ = self._labels.classes_
            if y.ndim == 1 and self._labels.y_type_ == "multiclass":  # all of them are known, so they are found at once
                return dense(X), np.searchsorted(self.classes_, y).astype(np.int64, copy=False)
        else:
            self._require_known(unique_labels(y))
        coded = self._labels.transform(y)
        if coded.shape[1] == 1 or self._several:
            return dense(X), np.asarray(coded, X.dtype)
        return dense(X), np.asarray(coded.argmax(axis=1), np.int64)

    def _require_known(self, classes: Any) -> None:
        if self.warm_start and set(classes) != set(self.classes_):
            raise ArgumentError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {classes}",
                where=user_line(),
            )
        if len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ArgumentError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}.",
                where=user_line(),
            )

    def _by_class(self, weight: Any, y: NDArray[Any], dtype: Any, *, more: bool) -> Any:
        if self.class_weight is None:
            return weight
        if more and "balanced" in (self.class_weight if isinstance(self.class_weight, list) else [self.class_weight]):
            raise ArgumentError(
                "partial_fit sees a part of the rows, by which classes cannot be balanced",
                expected="class_weight: {class: weight}",
                got="class_weight = 'balanced'",
                where=user_line(),
                try_="sklearn.utils.class_weight.compute_class_weight('balanced', classes=..., y=...) with all targets",
            )
        if isinstance(self.class_weight, Mapping):
            self._require_classes(self.class_weight)
        labels = y.astype(int) if self._several else self.classes_[y.reshape(len(y)).astype(int)]
        by_class = compute_sample_weight(self.class_weight, labels)
        return (by_class if weight is None else by_class * weight).astype(dtype)

    def _require_classes(self, named: Mapping[Any, float]) -> None:
        others = [name for name in named if name not in self.classes_]
        if others:
            raise ArgumentError(
                "class_weight names what is no class",
                expected=f"classes: {', '.join(map(repr, self.classes_.tolist()))}",
                got=", ".join(map(repr, others)),
                where=user_line(),
            )

    @property
    def _several(self) -> bool:
        """Whether a row has several labels."""
        return bool(self._labels.y_type_.startswith("multilabel"))

    def _output_kind(self, y: NDArray[Any]) -> str:
        return "softmax" if y.ndim == 1 else "logistic"

    def _loss_kind(self) -> str:
        return "labels" if self._several else self.out_activation_

    def _strata(self, y: NDArray[Any]) -> Any:
        return None if self._several else self.classes_[y.reshape(len(y)).astype(int)]

    @available_if(has_epochs)  # type: ignore[untyped-decorator]  # likewise
    @checked_call
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train one epoch more on these rows.  The first call names all `classes`."""
        check_parameters(self, RULES)
        require_unmasked(y=y)
        self._take_classes(y, classes)
        return self._fit(X, y, sample_weight, more=True)

    def _take_classes(self, y: Any, classes: Any) -> None:
        known = getattr(self, "classes_", None)
        if known is None and classes is None:
            raise ArgumentError(
                "classes must be passed on the first call to partial_fit.",
                expected="classes: all labels that will come",
                where=user_line(),
                try_="partial_fit(X, y, classes=np.unique(y))",
            )
        if known is None:
            self._labels = LabelBinarizer().fit(y if columns_of(y) > 1 else classes)
            self.classes_ = self._labels.classes_
        elif classes is not None and not np.array_equal(known, unique_labels(classes)):
            raise ArgumentError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {known!r}",
                where=user_line(),
            )

    def predict(self, X: Any) -> NDArray[Any]:
        """The class of each row, (rows,); several labels as 0 and 1, (rows, classes)."""
        outputs = self._outputs(X)
        if self._several:
            require_choice(outputs)
            return np.asarray(self._labels.inverse_transform(np.asarray(outputs > 0, int)))
        if len(self.classes_) == 1:
            return np.repeat(self.classes_, len(outputs))
        require_choice(outputs)
        chosen = outputs.argmax(axis=1) if outputs.shape[1] > 1 else (outputs[:, 0] > 0).astype(int)
        return np.asarray(self.classes_[chosen])

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """The probability of each class, (rows, classes), in the order of `classes_`."""
        outputs = self._outputs(X)
        if self.out_activation_ == "softmax":
            return shares_of_rows(outputs)
        shares = np.asarray(sigmoid(outputs))
        return shares if shares.shape[1] > 1 else np.hstack([1 - shares, shares])

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """The logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.predict_proba(X)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
