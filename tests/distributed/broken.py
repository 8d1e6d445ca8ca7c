"""A training in which rank 1 breaks at step 12, in a way that is asked for: `broken.py HOW FOLDER`."""

import os
import signal
import sys

import numpy as np

import clearprop as cl
from clearprop.train.sharded_executor import _ShardedSteps

BREAKS = os.environ.get("PMI_RANK") == "1"
advance = _ShardedSteps._advance


def rows(how=""):
    """Two clouds; or on rank 1 fewer rows, or one batch less of an iterable."""
    rng = np.random.default_rng(1)
    y = np.arange(80) % 2
    x = (rng.normal(size=(80, 4)) + 1.5 * y[:, None]).astype(np.float32)
    if how == "batches":
        return [(x[i : i + 16], y[i : i + 16]) for i in range(0, 64 if BREAKS else 80, 16)]
    return (x[:72], y[:72]) if how == "data" and BREAKS else (x, y)


def train(data=None, **more):
    """The training that all tests of breaks do."""
    options = {"epochs": 6, "batch_size": 16, "grad_shards": 4, "rank_timeout": 3.0, "checkpoint_seconds": 0.0}
    return cl.fit(cl.nn.mlp([4, 6, 2], dropout=0.2, seed=0), data or rows(), **options, **more)


def break_at_12(how):
    """A step of the training that breaks."""

    def step(self, state, *rest):
        if state.step == 12:
            if how == "exception":
                raise ValueError("something broke")
            if how == "exit":
                sys.exit(3)
            if how.startswith("SIG"):
                os.kill(os.getpid(), getattr(signal, how))
            if how == "weights":  # as on a machine that computes otherwise
                state.model.parameters()["layers[0].weight"].value[0, 0] += 1
        return advance(self, state, *rest)

    return step


if __name__ == "__main__":
    how, out = sys.argv[1:3]
    if BREAKS:
        _ShardedSteps._advance = break_at_12(how)
    run = train(rows(how), **({"resume": out} if how == "resume" else {"out": out}))
    print("steps", run.steps)
