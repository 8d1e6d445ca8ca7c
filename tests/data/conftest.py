"""What the tests of data take from those of training: a small network, and the executor that needs no compiler."""

from tests.train.conftest import data, eager, network

__all__ = ["data", "eager", "network"]
