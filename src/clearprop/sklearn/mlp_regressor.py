"""A multilayer perceptron for numbers."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from clearprop.errors import ArgumentError, checked_call, checked_methods, user_line
from clearprop.sklearn.parameters import ScoresRows, check_parameters
from clearprop.sklearn.perceptron import RULES, Perceptron, dense, has_epochs


@checked_methods
class MLPRegressor(ScoresRows, RegressorMixin, Perceptron):  # type: ignore[misc]  # scikit-learn has no types
    """A multilayer perceptron for numbers: scikit-learn's `MLPRegressor`, trained by clearprop.

    It minimises ½·mean (ŷ − y)², or the Poisson loss of exp(z), plus alpha/(2·batch)·Σw².  Parameters and attributes
    have the names and meanings of `sklearn.neural_network.MLPRegressor` (Pedregosa et al. 2011), with the differences
    that `MLPClassifier` names.

    >>> import clearprop as cl
    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(200, 5, random_state=0)
    >>> regressor = cl.sklearn.MLPRegressor(hidden_layer_sizes=8, solver="lbfgs", max_iter=2000, random_state=0)
    >>> regressor = regressor.fit(X, y / 100)
    >>> bool(regressor.score(X, y / 100) > 0.99)
    True
    """

    # scikit-learn reads parameters off the signature, so that all stand here once more
    def __init__(
        self,
        loss: str = "squared_error",
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
        self.loss = loss
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
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=True,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
        if self.loss == "poisson" and np.any(y < 0):
            raise ArgumentError(
                "the Poisson loss is for counts and amounts",
                expected="targets of 0 or more",
                got=f"{float(np.min(y)):g}",
                where=user_line(),
                try_='loss="squared_error"',
            )
        return dense(X), np.asarray(y, X.dtype).reshape(len(y), -1)

    def _output_kind(self, y: NDArray[Any]) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    def _loss_kind(self) -> str:
        return str(self.out_activation_)

    def _strata(self, y: NDArray[Any]) -> None:
        return None

    @available_if(has_epochs)  # type: ignore[untyped-decorator]  # likewise
    @checked_call
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train one epoch more on these rows."""
        check_parameters(self, RULES)
        return self._fit(X, y, sample_weight, more=True)

    def predict(self, X: Any) -> NDArray[Any]:
        """The value of each row, (rows,), or (rows, outputs) for several."""
        outputs = self._outputs(X)
        values = np.exp(outputs) if self.out_activation_ == "exp" else outputs
        return values[:, 0] if values.shape[1] == 1 else values
