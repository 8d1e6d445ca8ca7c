"""What the perceptrons share: the parameters of scikit-learn, training from them, and the attributes it leaves."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from clearprop.attribution import PredictionExplanation
from clearprop.compiler import expect_training
from clearprop.data.array_checks import require_unmasked
from clearprop.errors import ArgumentError, RunError, checked_methods, user_line, warn_user
from clearprop.runs.checkpoints import Standing
from clearprop.runs.state import State
from clearprop.sklearn.parameters import (
    CLASS_WEIGHT,
    FLAG,
    INFINITE,
    SEED,
    SIZES,
    VERBOSE,
    Rule,
    check_parameters,
    checked_weights,
    either,
    layer_sizes,
    number_in,
    one_of,
    require_arrays_of_rows,
    whole_from,
)
from clearprop.sklearn.perceptron_training import (
    ACTIVATIONS,
    Task,
    Watch,
    drawn_layers,
    layers_of,
    network_of,
    train_perceptron,
)
from clearprop.sklearn.whole_batch import minimise
from clearprop.train import Run, outputs_of

RULES: Mapping[str, Rule] = {
    "hidden_layer_sizes": SIZES,
    "activation": one_of(*ACTIVATIONS),
    "solver": one_of("lbfgs", "sgd", "adam"),
    "alpha": number_in(0),
    "batch_size": either(one_of("auto"), whole_from(1)),
    "learning_rate": one_of("constant", "invscaling", "adaptive"),
    "learning_rate_init": number_in(0, low_too=False),
    "power_t": number_in(0),
    "max_iter": whole_from(1),
    "shuffle": FLAG,
    "random_state": SEED,
    "tol": number_in(0),
    "verbose": VERBOSE,
    "warm_start": FLAG,
    "momentum": number_in(0, 1),
    "nesterovs_momentum": FLAG,
    "early_stopping": FLAG,
    "validation_fraction": number_in(0, 1),
    "beta_1": number_in(0, 1),
    "beta_2": number_in(0, 1),
    "epsilon": number_in(0, low_too=False),
    "n_iter_no_change": either(whole_from(1), INFINITE),
    "max_fun": whole_from(1),
    "loss": one_of("log_loss", "squared_error", "poisson"),
    "class_weight": CLASS_WEIGHT,
}
"""What each parameter may be."""

FEW = 1 << 14
"""Up to so many numbers the questions that are asked of an array take longer than to look at all of them."""
_TAKEN = (np.dtype(np.float64), np.dtype(np.float32))


@dataclass(frozen=True)
class _Known:
    """A network, and the weights and biases that it is of."""

    network: Any
    arrays: tuple[Any, ...]
    activation: str

    def is_of(self, arrays: tuple[Any, ...], activation: str) -> bool:
        """Whether these are the same arrays."""
        return (
            self.activation == activation
            and len(arrays) == len(self.arrays)
            and all(map(operator.is_, arrays, self.arrays))
            and all(map(_is_shared, arrays))
        )


def _is_shared(array: Any) -> bool:
    """Whether a network has the memory of an array for its own, and no copy."""
    return type(array) is np.ndarray and array.dtype in _TAKEN


_NETWORKS: WeakKeyDictionary[Any, _Known] = WeakKeyDictionary()
"""Of each estimator the network that it predicted with last: one row takes less time than to make it."""


def has_epochs(estimator: Any) -> bool:
    """Whether an estimator can go on by one epoch.  Raises AttributeError for the solver lbfgs, which cannot."""
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit is for the solvers sgd and adam, which go on from where they are")
    return True


@checked_methods
class Perceptron(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What both perceptrons share."""

    loss = "log_loss"
    class_weight: Any = None
    _no_improvement_count = 0
    _standing: Standing | None = None
    _rate: float | None = None

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
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun

    # ------------------------------------------------------------------------------------------------- training
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on rows X (rows, features) with targets y; from the last network where `warm_start` is set."""
        check_parameters(self, RULES)
        expect_training()
        return self._fit(X, y, sample_weight, more=False)

    def _fit(self, X: Any, y: Any, weight: Any, *, more: bool) -> Self:
        require_arrays_of_rows(X, y, weight)
        anew = not hasattr(self, "coefs_") or not (self.warm_start or more)
        if more and self.early_stopping:
            raise ArgumentError(
                "partial_fit does not support early_stopping=True",
                expected="early_stopping=False, or fit, which sees all rows at once",
                where=user_line(),
            )
        X, y = self._checked(X, y, more=more, reset=anew)
        weight = None if weight is None else checked_weights(weight, len(X), X.dtype)
        weight = self._by_class(weight, y, X.dtype, more=more)
        rng = check_random_state(self.random_state)
        if anew:
            self._begin(X, y, rng)
        seed = getattr(self, "_seed", None) if more and not anew else None
        self._seed = int(rng.randint(np.iinfo(np.int32).max)) if seed is None else seed
        if self.solver == "lbfgs":
            self._fit_whole(X, y, weight)
        else:
            self._fit_by_batches(X, y, weight, rng, more=more)
        return self

    def _by_class(self, weight: Any, y: NDArray[Any], dtype: Any, *, more: bool) -> Any:
        """The weights of rows, times those of their classes."""
        return weight

    def _begin(self, X: NDArray[Any], y: NDArray[Any], rng: Any) -> None:
        """Draw the network, and forget what was."""
        outputs = y.shape[1] if y.ndim > 1 else len(self.classes_)
        sizes = [X.shape[1], *map(int, layer_sizes(self.hidden_layer_sizes)), outputs]
        self.n_outputs_, self.n_layers_ = outputs, len(sizes)
        self.out_activation_ = self._output_kind(y)
        self.coefs_, self.intercepts_ = drawn_layers(rng, sizes, self.activation, X.dtype)
        self.n_iter_ = self.t_ = 0
        self.loss_curve_: list[float] = []
        self.best_loss_ = None if self.early_stopping else math.inf
        self.validation_scores_: list[float] | None = [] if self.early_stopping else None
        self.best_validation_score_ = -math.inf if self.early_stopping else None
        self._no_improvement_count, self._standing, self._rate = 0, None, None

    def _fit_by_batches(self, X: Any, y: Any, weight: Any, rng: Any, *, more: bool) -> None:
        rows: tuple[Any, ...] = (X, y) if weight is None else (X, y, weight)
        rows, aside = self._set_aside(rows, rng) if self.early_stopping else (rows, None)
        if self.early_stopping and self.validation_scores_ is None:  # a warm start that stopped by the loss before
            self.validation_scores_, self.best_validation_score_, self._no_improvement_count = [], -math.inf, 0
        batch = self._batch_rows(len(rows[0]))
        weight_of_batch = batch if weight is None else batch * float(rows[2].mean(dtype=np.float64))
        watch = Watch(
            tol=float(self.tol),
            most=math.inf if more else float(self.n_iter_no_change),
            by_score=bool(self.early_stopping),
            l2=float(self.alpha) / 2 / weight_of_batch,
            verbose=bool(self.verbose),
            curve=self.loss_curve_,
            scores=getattr(self, "validation_scores_", None),
            best=self._best(),
            waited=self._no_improvement_count,
        )
        if not more:
            self._standing, self._rate = None, None
        coefs, intercepts = (list(map(np.copy, a)) for a in (self.coefs_, self.intercepts_))  # the run keeps them
        network = network_of(coefs, intercepts, self.activation)
        task = Task(network, self._loss_kind(), rows, aside, self._seed, batch)
        rate = float(self.learning_rate_init if self._rate is None else self._rate)
        epochs = 1 if more else int(self.max_iter)
        run, self._rate = train_perceptron(self, task, watch, self._from_here(network), rate, epochs)
        self._take(run, watch, len(rows[0]), more=more)

    def _from_here(self, network: Any) -> Standing | None:
        """Where the last training ended, with this network; None before the first."""
        if self._standing is None:
            return None
        state = self._standing.state
        return Standing(State(network, state.optimizer, state.step, state.epoch))

    def _best(self) -> float:
        """What an epoch is compared with: the best score so far, or the best loss, negative."""
        if self.early_stopping:
            return -math.inf if self.best_validation_score_ is None else self.best_validation_score_
        return -math.inf if self.best_loss_ is None else -self.best_loss_

    def _take(self, run: Run, watch: Watch, rows: int, *, more: bool) -> None:
        """What training gave becomes the attributes of the estimator."""
        self.run_, self._no_improvement_count = run, watch.waited
        self._standing = None if run.workings is None else run.workings.standing
        self.n_iter_, self.t_ = watch.epochs, self.t_ + watch.epochs * rows
        if run.status == "diverged":
            if not self.early_stopping:
                raise _divergence()
            self.validation_scores_ = [*(watch.scores or ()), math.nan]
        self.coefs_, self.intercepts_ = layers_of(run.model)
        if self.early_stopping:
            self.best_validation_score_ = watch.best
        else:
            self.best_loss_ = -watch.best
        self.loss_ = watch.curve[-1] if watch.curve else math.nan
        if not more and not watch.asked and run.status == "done":
            warn_user(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
                "converged yet.",
                ConvergenceWarning,
            )

    def _fit_whole(self, X: Any, y: Any, weight: Any) -> None:
        network = network_of(self.coefs_, self.intercepts_, self.activation)
        found = minimise(self._loss_kind(), network, (X, y, weight), self)
        self.coefs_, self.intercepts_ = layers_of(found.network)
        self.loss_, self.n_iter_, self.t_ = found.loss, found.steps, self.t_ + found.steps * len(X)
        self.__dict__.pop("run_", None)

    def _set_aside(self, rows: tuple[Any, ...], rng: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        split = train_test_split(
            *rows, random_state=rng, test_size=self.validation_fraction, stratify=self._strata(rows[1])
        )
        if len(split[1]) < 2:
            raise ArgumentError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset.",
                expected="at least 2 rows to choose the epoch by",
                got=f"{len(split[1])} of {len(rows[0])} rows",
                where=user_line(),
            )
        return tuple(split[::2]), tuple(split[1::2])

    def _batch_rows(self, rows: int) -> int:
        if isinstance(self.batch_size, str):
            return min(200, rows)
        if self.batch_size > rows:
            warn_user("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", UserWarning)
        return min(int(self.batch_size), rows)

    # ------------------------------------------------------------------------------------------------ using it
    def _outputs(self, X: Any) -> NDArray[Any]:
        if not self._is_plain(X):
            check_is_fitted(self)
            require_unmasked(X=X)
            X = dense(validate_data(self, X, accept_sparse=["csr", "csc"], dtype=(np.float64, np.float32), reset=False))
        network = self._network()
        return np.asarray(outputs_of(network, X.astype(self.coefs_[0].dtype, copy=False)))

    def _is_plain(self, X: Any) -> bool:
        """Whether the estimator is fitted and `validate_data` would take these few rows as they are.

        Its questions take longer than the answers; rows that it would change, refuse or warn of are left to it.
        """
        return (
            type(X) is np.ndarray
            and X.ndim == 2
            and X.dtype in _TAKEN
            and 0 < X.size <= FEW
            and X.shape[1] == self.__dict__.get("n_features_in_")
            and "feature_names_in_" not in self.__dict__
            and bool(np.isfinite(X).all())
        )

    def _network(self) -> Any:
        """The network of the weights; the last one again while they are the same arrays, whose memory it shares."""
        arrays = (*self.coefs_, *self.intercepts_)
        known = _NETWORKS.get(self)
        if known is not None and known.is_of(arrays, self.activation):
            return known.network
        network = network_of(self.coefs_, self.intercepts_, self.activation)
        _NETWORKS[self] = _Known(network, arrays, self.activation)
        return network

    def explain(self, X: Any, row: int = 0) -> PredictionExplanation:
        """The prediction for a row of X as a sum: what each feature adds on the way from the mean row of X.

        Raises RunError for an estimator without a run: of the solver lbfgs, or one that was loaded.
        """
        require_unmasked(X=X)
        X = dense(validate_data(self, X, accept_sparse=["csr", "csc"], dtype=(np.float64, np.float32), reset=False))
        if not hasattr(self, "run_"):
            raise RunError(
                "this estimator has no run to explain",
                expected="one that was fitted by adam or sgd in this process: a file holds the network, not the data",
                got=f"solver = {self.solver!r}",
                where=user_line(),
                try_="fit it again, or cl.explain on the network",
            )
        told = self.run_.explain_prediction(X[row], beside=X)
        names = {f"x[{j}]": name for j, name in enumerate(getattr(self, "feature_names_in_", ()))}
        named = (replace(part, column=names.get(part.column, part.column)) for part in told.contributions)
        return replace(told, contributions=tuple(named))

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the run, which holds the rows it learned from."""
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "run_"}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def dense(X: Any) -> NDArray[Any]:
    """The rows as a dense array."""
    return X if isinstance(X, np.ndarray) else np.ascontiguousarray(X.toarray())


def _divergence() -> ArgumentError:
    return ArgumentError(
        "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
        "preprocessed.",
        expected="a loss that stays finite",
        got="a loss that is no number",
        where=user_line(),
        try_="StandardScaler before the network, or a smaller learning_rate_init",
    )
