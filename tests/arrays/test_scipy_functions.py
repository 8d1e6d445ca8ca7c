"""Functions of SciPy, scikit-learn, array-api-extra on tensors: values, derivatives, or our own error."""

import os
import subprocess
import sys

import pytest

CODE = """
import warnings
import numpy as np, sklearn, clearprop as cl
from scipy import cluster, integrate, special, stats
from scipy.spatial.transform import Rotation
from sklearn import metrics
from sklearn.decomposition import PCA
from sklearn.externals import array_api_extra as extra
warnings.simplefilter("ignore")
X, D = np.random.default_rng(0).normal(size=(2, 12, 3))

def differentiated(f):
    w = np.random.default_rng(1).normal(size=np.shape(f(X)))
    loss = lambda a: cl.sum(f(a) * w)
    slope = float(loss(X + 1e-6 * D) - loss(X - 1e-6 * D)) / 2e-6
    return np.isclose(np.sum(np.asarray(cl.grad(loss)(X)) * D), slope, rtol=1e-4)

for f in (
    lambda a: special.softmax(a, axis=1), lambda a: special.xlogy(a * a, a * a + 1), lambda a: stats.gmean(a * a + 1),
    lambda a: stats.hmean(a * a + 1), lambda a: stats.pmean(a * a + 1, 2), stats.kurtosis, stats.sem,
    lambda a: stats.directional_stats(a).mean_direction, integrate.trapezoid,
    lambda a: Rotation.from_rotvec(a).as_quat(),
    lambda a: extra.atleast_nd(a, ndim=3), extra.cov, lambda a: extra.expand_dims(a, axis=(0, 2)),
    lambda a: extra.kron(a, a), extra.sinc, extra.nan_to_num, lambda a: extra.partition(a, 1, axis=0),
):
    assert np.allclose(np.asarray(f(cl.tensor(X))), f(X)) and differentiated(f)
for f in (special.expit, lambda a: special.gammaln(a * a + 1), lambda a: stats.entropy(a * a)):  # by way of NumPy
    assert isinstance(f(cl.tensor(X)), cl.Tensor) and np.allclose(np.asarray(f(cl.tensor(X))), f(X))
    try:
        differentiated(f)
    except cl.errors.GradientError as told:
        assert "would cut off a derivative" in str(told)
    else:
        raise AssertionError("a derivative was cut off silently")
for f in (extra.nunique, lambda a: extra.isin(a, a[:2]), lambda a: extra.setdiff1d(a[0], a[1])):
    assert np.array_equal(np.asarray(f(cl.tensor(X))), f(X))
for f in (
    special.logsumexp, stats.zscore, cluster.vq.whiten, lambda a: extra.at(a)[0].set(0.0), lambda a: extra.pad(a, 1),
):  # they write into an array
    try:
        f(cl.tensor(X))
    except cl.errors.ArgumentError as told:
        assert "a tensor never changes" in str(told)
    else:
        raise AssertionError("it works by now: docs/array-api.md should say so")
with sklearn.config_context(array_api_dispatch=True):
    pca = PCA(2, svd_solver="full").fit(cl.tensor(X))
    assert isinstance(pca.components_, cl.Tensor)
    assert np.allclose(abs(np.asarray(pca.components_)), abs(PCA(2, svd_solver="full").fit(X).components_))
    assert np.isclose(metrics.mean_squared_error(cl.tensor(X), cl.tensor(D)), metrics.mean_squared_error(X, D))
"""


@pytest.mark.verify
def test_those_of_the_page_work_and_are_differentiated():
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
