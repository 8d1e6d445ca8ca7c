"""A training in which a rank breaks at a step, in a way that is asked for: `broken.py HOW FOLDER`.

That is rank 1 at step 12, if BREAK_RANK and BREAK_STEP say nothing else.  A run that is in the folder goes on.
HOW is `command` where the rank goes on and the command BREAK_COMMAND breaks something else, as a link.
"""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

import clearprop as cl
from clearprop.train.sharded_executor import _ShardedSteps

RANK = os.environ.get("PMI_RANK") or os.environ.get("OMPI_COMM_WORLD_RANK")  # of MPICH, of Open MPI
BREAKS, STEP = os.environ.get("BREAK_RANK", "1") == RANK, int(os.environ.get("BREAK_STEP", "12"))
WAITING = ("SIGSTOP", "command")
"""Ways to break after which others wait for what does not come."""
FIRST = 3
"""A process that has taken so many steps compiles nothing more, and waits no longer than it was asked to."""
advance = _ShardedSteps._advance


def rows(how=""):
    """Two clouds; or on rank 1 fewer rows, or one batch less of an iterable."""
    rng = np.random.default_rng(1)
    y = np.arange(80) % 2
    x = (rng.normal(size=(80, 4)) + 1.5 * y[:, None]).astype(np.float32)
    if how == "batches":
        return [(x[i : i + 16], y[i : i + 16]) for i in range(0, 64 if BREAKS else 80, 16)]
    return (x[:72], y[:72]) if how == "data" and BREAKS else (x, y)


def train(data=None, how="", **more):
    """The training that all tests of breaks do, with its sums in the order that BREAK_REDUCE says.

    Only where the others are to wait in vain is it short how long they do: on a busy machine every rank waits for long.
    """
    options = {
        "epochs": 6,
        "reduce": os.environ.get("BREAK_REDUCE", "exact"),
        "batch_size": 16,
        "grad_shards": 4,
        "rank_timeout": 3.0 if how in WAITING else 600.0,
        "checkpoint_seconds": 0.0,
    }
    return cl.fit(cl.nn.mlp([4, 6, 2], dropout=0.2, seed=0), data or rows(), **options, **more)


def break_by(how):
    """A step of the training that breaks."""

    def step(self, state, *rest):
        if state.step == STEP:
            Path(f"{sys.argv[2]}.broke").touch()  # when it was
            if how == "exception":
                raise ValueError("something broke")
            if how == "exit":
                sys.exit(3)
            if how == "command":
                subprocess.run(shlex.split(os.environ["BREAK_COMMAND"]), check=True)
            if how.startswith("SIG"):
                os.kill(os.getpid(), getattr(signal, how))
            if how == "weights":  # as on a machine that computes otherwise
                state.model.parameters()["layers[0].weight"].value[0, 0] += 1
        return advance(self, state, *rest)

    return step


if __name__ == "__main__":
    how, out = sys.argv[1:3]
    if BREAKS:
        _ShardedSteps._advance = break_by(how)
    run = train(rows(how), how, **{"resume" if Path(out).is_dir() else "out": out})
    sys.stdout.write(f"steps {run.steps}\n")  # at once: several ranks write on one terminal
