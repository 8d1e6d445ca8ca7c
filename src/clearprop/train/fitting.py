"""`cl.fit`: the public face of training."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from clearprop import nn, optim
from clearprop.data.parts import rows_in
from clearprop.data.readers.reading import Reading, reading_words
from clearprop.data.readers.sources import is_table
from clearprop.data.target_transforms import TRANSFORMS
from clearprop.data.training_data import Prepared, prepare
from clearprop.distributed import World, join_world
from clearprop.errors import ArgumentError, checked_call, unknown_name, user_line
from clearprop.files.atomic import as_path
from clearprop.nn.loss_text import SetLoss, loss_of_quantiles
from clearprop.nn.losses import several_quantiles_of, task_under
from clearprop.nn.networks import AUTO, UnsizedMLP
from clearprop.optim.hyperparameters import Range
from clearprop.optim.inspection import parse, require_transform
from clearprop.program.processes import is_one_of_several
from clearprop.runs.folder import RunFolder
from clearprop.runs.setting_checks import check_arguments, out_of_range, patience_needs_validation
from clearprop.runs.settings import MODELS, REDUCTIONS, UNITS, Settings
from clearprop.train.array_alignment import dtype_of
from clearprop.train.calibration import checked_calibration
from clearprop.train.interrupts import TrainingInterrupted
from clearprop.train.job import Job
from clearprop.train.joint_measures import ends_for
from clearprop.train.loading import as_in_training
from clearprop.train.metrics import METRICS, chosen_among, find_loss, find_metrics, suitable_measures
from clearprop.train.narration import Narrator
from clearprop.train.notebook import notebook_events
from clearprop.train.planning import (
    job_for,
    network_for,
    recipe,
    tailor_optimizer,
    text_of_groups,
    text_of_patterns,
    with_defaults,
)
from clearprop.train.run import Run
from clearprop.train.suitable_loss import sizes_for, suitable_loss
from clearprop.train.target_choice import choose_data
from clearprop.train.thresholds import checked_threshold
from clearprop.train.training import train
from clearprop.train.training_loop import Callback, as_callbacks
from clearprop.train.warm_start import begin_with, with_weights_of


@functools.partial(checked_call, remedy="cl.fit(model, (X, y)): inputs and targets are one argument, a pair")
def fit(
    model: Any,
    data: Any = None,
    *,
    loss: str | Callable[[Any, Any], Any] | None = None,
    quantiles: Sequence[float] | str | None = None,
    class_weight: str | Mapping[Any, float] | None = None,
    sample_weight: Any = None,
    optimizer: Any = None,
    epochs: int = 100,
    batch_size: int = 32,
    buckets: int = 1,
    grad_shards: int = 1,
    reduce: str = "exact",
    validation: Any = None,
    test: Any = None,
    metrics: Sequence[str | Callable[[Any, Any], Any]] | None = None,
    metric: str = "loss",
    threshold: float | str | None = None,
    costs: Mapping[Any, Any] | str | None = None,
    calibration: str | None = None,
    l1: float = 0.0,
    l2: float = 0.0,
    patience: int | None = None,
    min_delta: float = 0.0,
    freeze: str | Sequence[str] | None = None,
    param_groups: str | Mapping[str, Mapping[str, float]] | None = None,
    accumulate: int = 1,
    ema: float | None = None,
    initial_weights: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
    shuffle: bool = True,
    seed: int = 0,
    target: str | Sequence[str] | None = None,
    task: str = "auto",
    split: str = "random",
    group: str | None = None,
    sequence: str | None = None,
    drop: str | Sequence[str] | None = None,
    only: str | Sequence[str] | None = None,
    kind: str | Mapping[str, str] | None = None,
    missing: str | Sequence[str] | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    header: str | bool | None = None,
    size: str | None = None,
    target_transform: str = "none",
    unit: str | None = None,
    context: int = 128,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    checkpoint_seconds: float = 10.0,
    baseline: bool = True,
    progress: bool = True,
    verbose: bool = False,
    world: str = "auto",
    rank_timeout: float = 600.0,
) -> Run:
    """Train a network by mini-batches; `model` itself is not changed.

    `model` is a network, `cl.nn.mlp(hidden=[64, 64])`, whose inputs and outputs the data decide, or
    `cl.nn.mlp("auto")`, of which they decide all sizes; `cl.fit(data)` alone takes the last.  The names "conv"
    (images), "transformer", "lstm", "gru" and "rnn" (running text, sequences) stand for the networks of
    `clearprop train --model`.

    `data` is a pair of arrays `(x, y)`, a data frame (a lazy one, too), columns by name or the path of a file (its last
    column, or `target`, is learned, or several of one kind: ["height", "weight"]; columns are encoded as `clearprop
    train` does it), an iterable of batches `(x, y)`, or a function that gives one anew at each call.  Each step
    minimises the loss plus l1·Σ|w| + l2·Σw² over the weights (parameters with two axes or more).

    loss        a name of `cl.nn.LOSSES` (cross_entropy, focal, mse, mae, poisson, …), perhaps with a setting
                ("huber:2", "quantile:0.9"), or a function of outputs and y; by default what suits the targets:
                cross_entropy for classes, binary_cross_entropy for one output and two classes, mse for numbers
                "gaussian_nll" learns a mean and a deviation, and answers with the mean and the ends of an interval
                that holds 90 % ("gaussian_nll:0.8": 80 %): layers of your own end with `cl.nn.NormalInterval`
    quantiles   numbers between 0 and 1 that rise: they are learned by the pinball loss side by side, an answer each.
                They never cross: layers of your own end with `cl.nn.Increasing`, others get it
    class_weight  "balanced", which is rows / (classes · rows of the class), or {class: weight}: the loss of a row
                counts so much, and the sum is divided by the number of rows, not by their weights
    sample_weight  how much each row counts, 0 or more: numbers `(rows,)` for arrays, the name of a column for a table.
                They are taken in proportion to their mean: a row of weight 2 counts as if it stood there twice, in
                the loss and in every metric
    optimizer   a transform of `cl.optim`, or its name; by default `cl.optim.adam(1e-3)`
    buckets     of sequences of several lengths, whose network begins with `cl.nn.Masked` (before it at most
                `cl.nn.Unflatten((-1, features + 1))`): batches are made of similar lengths, in so many groups, and hold
                no more steps than the longest of their group; the one program of the step serves all of them, called
                batch by batch and not as one native loop
    grad_shards  S, a power of two: the gradient of a batch is the mean over S shards of it, summed in a binary tree;
                random layers draw per shard, and batch statistics are those of a shard.  1 is an ordinary step
    reduce      how processes add gradients: "exact", with the same bits for 1, 2, 4, … processes, or "fast", in the
                order that the MPI library finds best
    validation  None, a fraction of the rows such as 0.2, `(x, y)` or `(x, y, weight)`: it decides which epoch is best
    test        `(x, y)`, `(x, y, weight)`, or of a table a fraction of the rows, evaluated once, after the best epoch
                is restored
    metrics     names (`clearprop train --help` lists them: accuracy, auc, f1, r2, mae, …), or functions of outputs and
                y; those of a regression are told in the target's own unit; by default accuracy, or r2 and mae, for a
                table, and none for arrays
    metric      what of the validation chooses the best epoch: "loss", or the name of a metric
    threshold   for two classes, the probability above which the second one is chosen; "auto" is the one at which the
                validation rows have the most of `metric` if that judges chosen classes, else of F1: `run.threshold`
    costs       {class: what it costs to take a row of it for another}, {true class: {chosen class: cost}}, or the path
                of a CSV file of all; mistakes that are not named cost 1.  Of two classes the threshold is the one at
                which they cost least on the validation rows, of more the class of least expected cost is chosen
    calibration  "temperature": when training has ended, the last layer is divided by the T at which the log loss of the
                validation rows is least: `run.summary.temperature`; every probability is that of the divided outputs
    patience    stop after so many epochs without a validation loss lower by more than `min_delta`
    freeze      patterns of the paths of parameters that stay as they are: "layers[0].*"
    param_groups  settings of the optimizer that differ for the parameters whose paths fit a pattern:
                {"*.bias": {"weight_decay": 0}, "layers[0].*": {"lr": 1e-4}}; "factor" multiplies what a schedule gives
                (`cl.optim.vary_by_group`)
    accumulate  one update for the mean of the gradients of so many batches
    ema         the share that a running average of the weights keeps in each update, such as 0.999: the averages are
                what is evaluated, and what `run.model` has
    initial_weights  the folder of a run whose best weights, and state, the training begins with: its network is the
                same, as are the columns, their order, the classes and what the loss takes outputs for
    callbacks   functions `(event, state)`; one that returns "stop" ends the training after the epoch.  One that keeps
                nothing of the states it is given may say so by `only_looks = True`: short epochs then take less time
    seed        decides the order of the rows and what random layers draw: same seed, same bits
    split       how the rows of a table are divided: random, time:COL, group:COL or column:COL; `group` is short for the
                third
    sequence    "ID:TIME", two columns of a table whose rows are steps: those of one ID, in the order of TIME, are one
                sequence, which has one target.  A network of your own takes it flat, `(steps · (features + 1),)`, the
                last feature of a step a mask: `cl.nn.Unflatten((-1, features + 1))`, then `cl.nn.Masked`
    drop, only, kind, missing  columns of a table to leave out or to use, what they are, words for missing values, as on
                the command line, or as lists and {column: kind}
    encoding, delimiter, decimal, header  of a text file, where they are not what it shows
    size        of pictures in a folder: the height and width to which all are resized, "32x32"
    target_transform  what is learned of a target of numbers of a table: "none", the target itself; "log", which is
                log(1 + y), or "quantile", normal scores, for long tails; "auto", what is clearly best on the validation
                rows if the target is skewed.  Predictions, metrics and intervals are in the unit of the data
    unit        "char" or "word": the file is running text, of which what comes next is learned, each from up to
                `context` before it; as `clearprop train --unit` does it
    out         a new folder for the run (config, weights, history, checkpoints); None writes nothing
    resume      the folder of an interrupted or finished run that is continued, with the same model, data and settings
    checkpoint_seconds  save after an epoch if the last time is so long ago; 0 saves after every epoch
    baseline    measure the constant answer and a linear model beside the network, for a table; `run.headline` says how
                good it is, and compared to what
    progress    in a notebook, show one line that tells how training goes; elsewhere nothing is printed
    world       "auto": the processes that mpiexec or srun started together share the training, of which each has
                `grad_shards` / processes shards (`docs/scale.md`); "none": this process trains alone; "mpi": as "auto",
                whether a launcher is seen or not
    rank_timeout  a process that has waited so many seconds for the others ends all, and prints where it waited
    verbose     print what was inferred and left out, how training goes, and how good the result is

    Labels in an array may be whole numbers, truth values, text, and under a loss of classes floats, `(rows,)` or
    `(rows, 1)`: whole numbers that count the outputs from 0 are learned as they are, others are classes by their
    values, as many as there are outputs.  `run.predict` gives them back as they came.

    Ctrl-C finishes the step, saves, and raises `TrainingInterrupted`, which holds the run; a second one stops at once.
    Raises our errors, before anything is written, for what does not fit together.

    >>> import clearprop as cl
    >>> import numpy as np
    >>> x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> run = cl.fit(cl.nn.mlp([2, 8, 2]), (x, np.array([0, 1, 1, 0])), optimizer=cl.optim.adam(0.05), epochs=60)
    >>> run.predict(x)
    array([0, 1, 1, 0])
    """
    given: dict[str, float] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "buckets": buckets,
        "grad_shards": grad_shards,
    }
    given |= {"accumulate": accumulate, "l1": l1, "l2": l2, "min_delta": min_delta}
    check_arguments(given | {n: v for n, v in (("patience", patience), ("ema", ema)) if v is not None})
    _check_others(checkpoint_seconds, rank_timeout, patience, validation)
    if not isinstance(reduce, str) or reduce not in REDUCTIONS:
        raise unknown_name("reduce", str(reduce), REDUCTIONS, user_line())
    loss = _told_loss(loss_of_quantiles(loss, quantiles))
    checked_threshold(threshold)
    checked_calibration(calibration)
    find_metrics(chosen_among(() if metrics is None else metrics, metric))  # refuses what is wrong before data are read
    model, data = _model_and_data(model, data)
    chosen = _optimizer(optimizer)
    _check_places(out, resume)
    words = reading_words(
        encoding=encoding, delimiter=delimiter, decimal=decimal, header=header, missing=missing, size=size,
        drop=drop, only=only, kind=kind, split=split, group=group, sequence=sequence,
        weight=sample_weight if isinstance(sample_weight, str) else None,
    )  # fmt: skip
    weight = None if isinstance(sample_weight, str) else sample_weight
    before, reading = None if resume is None else Path(resume), Reading.from_words(**words)
    reading = replace(reading, **_text_words(unit, context))
    reading = reading if before is None else as_in_training(reading, RunFolder(before))
    if not isinstance(task, str):
        raise unknown_name("task", task, ("auto", "classification", "regression"), user_line())
    if not isinstance(target_transform, str):
        raise unknown_name("target transform", str(target_transform), TRANSFORMS, "target_transform")
    goal = reading_words(target=target)["target"]

    def read(transform: str) -> Prepared:
        chosen = replace(reading, columns=replace(reading.columns, transform=transform))
        words = goal, task_under(task, loss), chosen, weight
        return prepare(data, validation, test, seed, *words, dtype=_floats_of(model))

    to_choose = target_transform == AUTO and is_table(data)
    prepared = read("none" if to_choose else target_transform)
    usual = _suitable_metrics(prepared, before, loss) if metrics is None else metrics
    measures = find_metrics(chosen_among(usual, metric))
    unsized = isinstance(model, UnsizedMLP) and (unit is not None or (sequence is not None and model.hidden is None))
    if isinstance(model, str) or unsized:
        name = model if isinstance(model, str) else "transformer" if unit is not None else "lstm"
        asked = {"model": name, "seed": seed, "unit": unit, **({"loss": loss} if isinstance(loss, str) else {})}
        model = network_for(with_defaults({**asked, "context": context}, prepared), prepared)
    if isinstance(model, UnsizedMLP):
        model = _size_network(model, prepared, loss)
    _require_rising(model, loss)
    if initial_weights is not None:
        model = with_weights_of(initial_weights, model)
    measured = find_loss(suitable_loss(model, prepared) if loss is None else loss)
    settings = Settings(
        epochs=epochs,
        batch_size=batch_size if isinstance(prepared.train, tuple) else None,
        buckets=buckets,
        grad_shards=grad_shards,
        reduce=reduce,
        l1=float(l1),
        l2=float(l2),
        patience=patience,
        min_delta=float(min_delta),
        metric=metric,
        threshold=checked_threshold(threshold),
        costs=dict(costs) if isinstance(costs, Mapping) else costs,
        calibration=checked_calibration(calibration),
        class_weight=dict(class_weight) if isinstance(class_weight, Mapping) else class_weight,
        freeze=text_of_patterns(freeze),
        param_groups=text_of_groups(param_groups),
        accumulate=accumulate,
        ema=ema if ema is None else float(ema),
        shuffle=bool(shuffle),
        unit=unit,
        context=context,
        seed=seed,
    )
    if to_choose:
        rule = tailor_optimizer(chosen, settings)

        def trial(own: Prepared) -> Job:
            return job_for(own, settings, model, optimizer=rule, loss=measured, metrics=measures)

        prepared = choose_data(prepared, read, trial, measured, metric)
    events, tick = notebook_events(progress)
    narrator = Narrator()
    if verbose:
        events.subscribe(narrator)
    with _joined_ranks(world, rank_timeout) as ranks:
        job = job_for(
            prepared,
            settings,
            model,
            optimizer=tailor_optimizer(chosen, settings),
            loss=measured,
            metrics=measures,
            out=None if out is None else as_path(out, "out"),
            resume=before,
            callbacks=as_callbacks(callbacks),
            events=events,
            tick=tick,
            checkpoint_seconds=checkpoint_seconds,
            baseline=bool(baseline),
            world=ranks,
        )
        job = job if initial_weights is None else begin_with(initial_weights, job)
        run = train(job)
    if verbose and run.headline and (ranks is None or not ranks.rank):
        narrator.tell(run.headline)
    return run


@contextmanager
def _joined_ranks(world: str, rank_timeout: float) -> Iterator[World | None]:
    """Within it, the processes that a launcher started end together; None where this one trains alone."""
    if not is_one_of_several(world, user_line()):
        yield None
        return
    with join_world(rank_timeout).united(TrainingInterrupted) as ranks:
        ranks.divide_threads()
        yield ranks


# ------------------------------------------------------------------------------------------------- checking options
def _check_others(checkpoint_seconds: Any, rank_timeout: Any, patience: int | None, validation: Any) -> None:
    """Raise ArgumentError for arguments that are no settings of the run and are out of their range."""
    seconds = Range(0.0, open_="]")
    if isinstance(checkpoint_seconds, bool) or not seconds.holds(checkpoint_seconds):
        raise out_of_range("checkpoint_seconds", checkpoint_seconds, seconds, "0.0")
    limit = Range(0.0, open_="[]")
    if isinstance(rank_timeout, bool) or not limit.holds(rank_timeout):
        raise out_of_range("rank_timeout", rank_timeout, limit, "600.0")
    if patience is not None and validation is None:
        raise patience_needs_validation(patience)


def _optimizer(optimizer: Any) -> Any:
    found = optim.adam() if optimizer is None else optimizer
    if isinstance(found, str):
        found = parse(found, user_line()) if set(":+") & set(found) else optim.by_name(found)
    if isinstance(found, optim.Method):
        name = type(found).__name__
        raise ArgumentError(
            f"{name} needs the whole data set in every step, and fit takes mini-batches",
            expected="a transform of cl.optim, such as cl.optim.adam(1e-3)",
            got=f"optimizer={found!r}",
            where=user_line(),
            try_=f"cl.optim.minimize(lambda m: cl.nn.cross_entropy(m(x), y), model, cl.optim.{name}())",
        )
    require_transform(found, "optimizer=cl.optim.adam(1e-3)")
    return found


def _check_places(out: Any, resume: Any) -> None:
    if not isinstance(resume, str | Path | None):
        raise ArgumentError(
            "fit resumes the folder of a run",
            expected="resume: a path, or None",
            got=f"resume = {resume!r:.80}",
            where=user_line(),
            try_="resume=run.folder",
        )
    if out is not None and resume is not None and as_path(out, "out") != as_path(resume, "resume"):
        raise ArgumentError(
            "a resumed run stays in its folder",
            expected="resume= alone",
            got=f"resume={str(resume)!r}, out={str(out)!r}",
            where=user_line(),
            try_=f"resume={str(resume)!r}",
        )


def _suitable_metrics(data: Prepared, before: Path | None, loss: object) -> tuple[str, ...]:
    """Those that a table is judged by, none for arrays; a run that goes on keeps its own."""
    if before is not None and set(kept := RunFolder(before).config().settings.metrics) <= set(METRICS):
        return kept
    return () if data.preprocessing is None else suitable_measures(data.preprocessing, loss)[1]


def _model_and_data(model: Any, data: Any) -> tuple[Any, Any]:
    """The network and the data; data alone get the network that suits them."""
    if data is None and not isinstance(model, nn.Module | UnsizedMLP):
        return nn.mlp(AUTO), model
    return _network(model), data


def _text_words(unit: Any, context: Any) -> dict[str, Any]:
    """What is said of running text, checked; nothing for a table.  Raises ArgumentError."""
    if unit is not None and (not isinstance(unit, str) or unit not in UNITS):
        raise unknown_name("unit", unit, UNITS, user_line())
    check_arguments({"context": context})
    return {} if unit is None else {"unit": unit, "context": context}


def _size_network(model: UnsizedMLP, data: Prepared, loss: Any) -> Any:
    """The network for the data; the recipe for so many rows gives hidden layers that were left open."""
    if model.hidden is None:
        model = replace(model, hidden=recipe(rows_in(data.table)).hidden)
    sized = model.sized(*sizes_for(data, loss))
    return nn.Sequential(*sized.layers, ends_for(loss)[0]) if several_quantiles_of(loss) else sized


def _told_loss(loss: Any) -> Any:
    """The loss by its whole name where it has one, from which networks and answers are made; else the function."""
    loss = "gaussian_nll" if loss is nn.gaussian_nll else loss
    return find_loss(loss).name if isinstance(loss, str | SetLoss) else loss


def _require_rising(model: Any, loss: Any) -> None:
    """Raise ArgumentError for layers whose answers about several quantiles might cross, or are of other ones."""
    if not several_quantiles_of(loss) or not isinstance(model, nn.Sequential):
        return
    ends, last = ends_for(loss)[0], model.layers[-1] if model.layers else None
    alike = isinstance(last, type(ends)) and all(
        getattr(last, name) == getattr(ends, name) for name in ("size", "share") if hasattr(ends, name)
    )
    if not alike:
        wanted = f"cl.nn.{ends.label()}"
        raise ArgumentError(
            "the quantiles of this network might cross, or are not those of the loss",
            expected=f"a network that ends with {wanted}, whose outputs rise",
            got=f"{last!r:.60}" if model.layers else "no layers",
            where=user_line(),
            try_=f"cl.nn.Sequential(*model.layers, {wanted}), or cl.nn.mlp(hidden=[64, 64])",
        )


def _floats_of(model: Any) -> Any:
    """The dtype in which a network takes floats; one that is still to be sized, or has a name alone, takes float32."""
    return np.dtype(np.float32) if isinstance(model, UnsizedMLP | str) else dtype_of(model)


def _network(model: Any) -> Any:
    if isinstance(model, UnsizedMLP) or (isinstance(model, str) and model in MODELS):
        return nn.mlp(AUTO) if model == "mlp" else model
    if not isinstance(model, nn.Module) or not model.parameters():
        raise ArgumentError(
            "fit trains a network",
            expected="a module of cl.nn with parameters",
            got=f"{type(model).__name__}" + (" without parameters" if isinstance(model, nn.Module) else ""),
            where=user_line(),
            try_="cl.nn.mlp(hidden=[64, 64])",
        )
    return model
