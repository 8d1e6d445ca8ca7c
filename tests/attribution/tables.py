"""Runs on bundled tables, each trained once."""

import functools
from pathlib import Path

import polars as pl

import clearprop
from clearprop.data.training_data import from_source
from clearprop.nn.losses import task_under
from clearprop.train.planning import job_for, with_defaults
from clearprop.train.training import train


@functools.cache
def bundled(source, **asked):
    """A short run on a bundled set, and the table as it is."""
    task = task_under("auto", asked.get("loss"))
    data = from_source(source, None, task, validation=0.15, test=0.15, seed=0)
    run = train(job_for(data, with_defaults({"epochs": 15, **asked}, data)))
    if source == "penguins":
        path = Path(clearprop.__file__).parent / "data/datasets/penguins.csv"
        return run, pl.read_csv(path, null_values=["NA"])
    import sklearn.datasets

    frame = getattr(sklearn.datasets, f"load_{source}")(
        as_frame=True, **({"scaled": False} if source == "diabetes" else {})
    )
    return run, pl.from_pandas(frame.frame)
