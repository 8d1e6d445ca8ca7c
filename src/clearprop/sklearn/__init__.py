"""Estimators for scikit-learn: its multilayer perceptrons trained by clearprop, and tables as they are.

`parameters` says what parameters may be.  Perceptrons: `training` makes a training of ours from them, `whole_batch` is
the solver lbfgs, `perceptron` holds what both share.  Tables: `tabular_parameters` makes parameters of the settings of
a run, `tabular` trains as the command line does.
"""

from clearprop.sklearn.mlp_classifier import MLPClassifier
from clearprop.sklearn.mlp_regressor import MLPRegressor
from clearprop.sklearn.tabular_classifier import TabularClassifier
from clearprop.sklearn.tabular_regressor import TabularRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "TabularClassifier", "TabularRegressor"]


def __dir__() -> list[str]:
    """What completion shows."""
    return __all__
