"""What the tests of training share: tiny data, and the executor that needs no compiler."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.train import job
from clearprop.train.executor import eager_executor


@pytest.fixture
def eager(monkeypatch):
    """Training runs operation by operation: nothing is compiled for a test of three steps."""
    monkeypatch.setattr(job, "choose_executor", eager_executor)


@pytest.fixture
def data():
    """Two clouds in four dimensions, 40 rows."""
    rng = np.random.default_rng(1)
    y = np.arange(40) % 2
    return (rng.normal(size=(40, 4)) + 1.5 * y[:, None]).astype(np.float32), y


@pytest.fixture
def network():
    return network_of("float32")


def network_of(dtype):
    """A network with everything that has state or draws random numbers."""
    return cl.nn.Sequential(
        cl.nn.Dense(4, 6, bias=False, rng=1, dtype=dtype),
        cl.nn.BatchNorm(6, dtype=dtype),
        "relu",
        cl.nn.Dropout(0.2),
        cl.nn.Dense(6, 2, rng=2, dtype=dtype),
    )


def bits(tree):
    """The bytes of all arrays of a tree, by path."""
    from clearprop.files.tree_arrays import tree_arrays

    return {path: (a.dtype.str, a.shape, a.tobytes()) for path, a in tree_arrays(tree).items()}
