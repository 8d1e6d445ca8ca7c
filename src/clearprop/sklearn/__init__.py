"""Estimators for scikit-learn: its multilayer perceptrons, trained by clearprop.

`parameters` says what parameters may be, `training` makes a training of ours from them, `whole_batch` is the solver
lbfgs; `perceptron` holds what both estimators share.
"""

from clearprop.sklearn.mlp_classifier import MLPClassifier
from clearprop.sklearn.mlp_regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
