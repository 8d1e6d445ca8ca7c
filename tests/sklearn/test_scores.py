"""What an estimator's score takes: looked at as what it is fitted on."""

import numpy as np
import pandas as pd
import pytest

from clearprop.errors import DataError
from clearprop.sklearn import MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor

K = np.arange(40)
X, Y = np.stack([K % 7, K % 5], 1).astype(float), K % 2
FITTED = {
    "MLPClassifier": MLPClassifier(3, max_iter=1, random_state=0),
    "MLPRegressor": MLPRegressor(hidden_layer_sizes=3, max_iter=1, random_state=0),
    "TabularClassifier": TabularClassifier(hidden=(3,), epochs=1),
    "TabularRegressor": TabularRegressor(hidden=(3,), epochs=1),
}
WRONG = {
    "masked targets": ((X, np.ma.masked_equal(K % 3, 2)), "y holds masked values"),
    "masked rows": ((np.ma.masked_equal(X, 2), Y), "X holds masked values"),
    "masked weights": ((X, Y, np.ma.masked_equal(K, 2)), "sample_weight holds masked values"),
    "another index": ((pd.DataFrame(X, columns=["a", "b"]), pd.Series(Y, index=K[::-1])), "labelled otherwise"),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", FITTED)
def test_what_does_not_belong_together_is_not_scored(name):
    estimator = FITTED[name].fit(X, Y)
    whole = estimator.score(X, Y, sample_weight=np.ones(40))
    assert whole == pytest.approx(estimator.score(X, Y))
    for arguments, said in WRONG.values():
        with pytest.raises(DataError, match=said):
            estimator.score(*arguments)
