"""An ensemble as one run: the networks of several runs of one table, of which it is told what they answer on average.

Each member has seen other rows, so it has an encoding of its own.  The run of the ensemble encodes a table in all these
ways, side by side, and its network gives every member its own part (`nn.Ensemble`): what predicts, evaluates, explains
and exports a run does so for an ensemble.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from clearprop import nn
from clearprop.data.encodings import ClassTarget, NumberTarget
from clearprop.data.joint_target import JointTarget
from clearprop.data.parts import sample_rows
from clearprop.data.preprocessing import Preprocessing
from clearprop.data.training_data import Prepared, sample_weights
from clearprop.errors import DataError
from clearprop.files.tree_arrays import to_bytes
from clearprop.nn.losses import has_log_link, is_binary
from clearprop.runs.folder import RunFolder, Summary
from clearprop.train.baselines import rows_to_measure
from clearprop.train.evaluation import evaluate_part
from clearprop.train.intervals import ErrorQuantiles
from clearprop.train.job import Job, fit_to_model
from clearprop.train.metrics import METRICS, find_metrics
from clearprop.train.planning import job_for
from clearprop.train.run import Run
from clearprop.train.training import JobAtHand, config_of, evaluate_test, train_fork
from clearprop.train.workings import Workings


def encoding_of(runs: Sequence[Run]) -> Preprocessing:
    """How a table is encoded for all members.  Raises DataError where they know other classes."""
    each = [run.preprocessing for run in runs if run.preprocessing is not None]
    targets = [fitted.target for fitted in each]
    for k, target in enumerate(targets):
        if isinstance(target, ClassTarget) and target.classes != targets[0].classes:  # type: ignore[union-attr]  # alike
            raise DataError(
                "the members of the ensemble know different classes",
                expected=", ".join(targets[0].classes),  # type: ignore[union-attr]  # as above
                got=f"member {k + 1}: {', '.join(target.classes)}",
                where=runs[0].config.data.source,
                try_="without classes of a few rows, or without --members and --time",
            )
    return Preprocessing.side_by_side(each)


def network_of(runs: Sequence[Run], fitted: Preprocessing) -> nn.Ensemble:
    """The networks of all members as one, whose outputs are those of the first: in the unit of its target."""
    each = [run.preprocessing for run in runs if run.preprocessing is not None]
    loss = runs[0].config.settings.loss
    widths = [len(one.feature_names) for one in each]
    models = [run.model for run in runs]
    if fitted.of_classes:
        return nn.Ensemble(models, "sigmoid" if is_binary(loss) else "softmax", widths)
    centres, scales = (np.array([_of_numbers(one, field) for one in each]) for field in ("centre", "scale"))
    if has_log_link(loss):
        means = np.where(centres == 0, 1.0, centres)  # as `TargetUnit` has it
        return nn.Ensemble(models, "logs", widths, shift=np.log(means / means[0]))
    return nn.Ensemble(models, "values", widths, scales / scales[0], (centres - centres[0]) / scales[0])


def _of_numbers(fitted: Preprocessing, field: str) -> list[float]:
    """The centre or the scale of each target."""
    target = fitted.target
    parts = target.numbers if isinstance(target, JointTarget) else (target,)
    return [float(getattr(part, field)) for part in parts if isinstance(part, NumberTarget)]


def join_runs(
    runs: Sequence[Run], data: Prepared, command: dict[str, object] | None, seconds: float, out: Path | None = None
) -> Run:
    """The run of an ensemble, on all rows that some member may learn from and those that test.

    data     encoded by `encoding_of(runs)`
    command  the options that repeat it, with the number of members; None where none do
    out      the folder that holds the folders of the members, and becomes a run folder itself

    The test rows are those of every member.  `validation` is the mean over the members, each on its own rows; intervals
    are made of the errors of single members on rows that they did not learn, which are a little larger than those of
    the ensemble.  Raises DataError where members do not fit together.
    """
    fitted = data.preprocessing
    assert fitted is not None  # a table's
    first = runs[0]
    job = _job_of(runs, data, network_of(runs, fitted), command)
    config = config_of(job)
    at_hand = JobAtHand(job)
    plan = at_hand.plan()
    number = rows_to_measure(job.data.table)
    rows = sample_rows(job.data.table, number)
    tested = evaluate_test(job, job.model, plan.metrics)
    summary = Summary(
        status="done",
        epochs=0,
        steps=0,
        best_epoch=None,
        train=evaluate_part(job.model, rows, job.loss, plan.metrics, sample_weights(job.data, number)),
        validation=_mean_results([run.summary.validation for run in runs]),
        test=tested,
        seconds=round(seconds, 3),
        stopped_by=None,
        baseline=first.summary.baseline if tested is not None else None,
        errors=_pooled_errors([run.summary.errors for run in runs]),
        train_rows=number,
        members=len(runs),
    )
    if out is not None:
        RunFolder.complete(out, config, fitted, summary, to_bytes(job.model))
    workings = Workings(job.optimizer, job.loss, plan.metrics, at_hand.plan, job=at_hand, fork=train_fork)
    return Run(job.model, job.model, [], summary, config, fitted, out, workings)


def _job_of(runs: Sequence[Run], data: Prepared, model: Any, command: dict[str, object] | None) -> Job:
    """The job of the first member, but for what each member has decided for itself."""
    first = runs[0].config.settings
    thresholds = [run.threshold for run in runs if run.threshold is not None]
    settings = replace(
        first,
        calibration=None,
        costs=first.costs if runs[0].threshold is None else None,
        patience=None,
        threshold=float(np.mean(thresholds)) if thresholds else None,
    )
    metrics = find_metrics([name for name in first.metrics if name in METRICS])
    workings = runs[0].workings
    optimizer = None if workings is None else workings.optimizer
    job = job_for(data, settings, model, optimizer=optimizer, metrics=metrics, command=command)
    return fit_to_model(replace(job, settings=replace(job.settings, costs=first.costs)))


def _mean_results(results: Sequence[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """The mean of each loss and metric over the members; None where one was not measured."""
    known = [values for values in results if values]
    if len(known) < len(results):
        return None
    return {name: float(np.mean([float(values[name]) for values in known])) for name in known[0]}


def _pooled_errors(records: Sequence[Mapping[str, Any] | None]) -> dict[str, object] | None:
    """The errors of the members on rows that they did not learn, as those of as many rows as the fewest have."""
    known = [record for record in records if record is not None]
    if len(known) < len(records):
        return None
    rows = min(int(record["rows"]) for record in known)
    errors = ErrorQuantiles.of(np.concatenate([np.asarray(record["quantiles"]) for record in known]))
    return {**asdict(replace(errors, rows=rows)), "quantiles": list(errors.quantiles)}


def members_of(run: Run) -> list[Summary]:
    """How each member of a run's ensemble ended, in their order: also those that diverged and were left out.

    Empty for a run that is no ensemble, or has no folder.
    """
    if run.summary.members is None or run.folder is None:
        return []
    found = list[Summary]()
    while (folder := run.folder / str(len(found) + 1)).is_dir():
        summary = RunFolder(folder).summary()
        if summary is None:
            break
        found.append(summary)
    return found
