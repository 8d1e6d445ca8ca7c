"""A job: model, data and settings that were decided, tried on two rows, and the plan of the loop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop import nn
from clearprop.autodiff.trees import flatten
from clearprop.data.columns import name_list, quantity
from clearprop.data.parts import Pair, Part, batches_in, rows_in
from clearprop.data.streaming.disk_rows import DiskRows
from clearprop.data.training_data import Prepared
from clearprop.distributed import World
from clearprop.errors import ArgumentError, ClearpropError, is_ours, user_line
from clearprop.nn import Masked, Sequential, Unflatten
from clearprop.nn.loss_text import require_logarithms
from clearprop.nn.losses import has_log_link, loss_task
from clearprop.optim.basic_transforms import freeze, frozen_leaves
from clearprop.optim.inspection import batches_of_update, full_batch_part, parts
from clearprop.optim.transform import ParameterView
from clearprop.program.processes import Remembered
from clearprop.program.values import no_grad, raw
from clearprop.rules import random
from clearprop.runs.checkpoints import Keys, Standing
from clearprop.runs.events import Event, Events
from clearprop.runs.folder import Forked
from clearprop.runs.settings import Settings
from clearprop.train.array_alignment import adaptation, dtype_of, require_one_class, require_paired_rows, tell_doubts
from clearprop.train.batches import ArrayFeed, BlockFeed, BucketFeed, Feed, bucket_rows, lengths_in, stream
from clearprop.train.compiled_executor import choose_executor
from clearprop.train.executor import Executor
from clearprop.train.metrics import Measure, outputs_on_trial, require_outputs, require_weighable, with_outside
from clearprop.train.sharded_executor import sharded_executor
from clearprop.train.shards import require_shardable
from clearprop.train.step import Step, identity_of, make_step, require_dependence
from clearprop.train.thresholds import at_choice, choice_of
from clearprop.train.training_loop import Callback, Plan, Tick, decide_alone

_ORDER, _LAYERS = 1, 2


@dataclass(frozen=True, eq=False)
class Origin:
    """Where a run starts that does not start at step 0: a fork's standing, its history so far, and what is recorded."""

    standing: Standing
    history: Sequence[Event]
    forked: Forked


@dataclass(frozen=True, eq=False)
class Job:
    """Everything that `cl.fit` or `clearprop train` decided; a run that is not `tested` leaves the test part alone."""

    model: Any
    data: Prepared
    loss: Measure
    metrics: Sequence[Measure]
    optimizer: Any
    settings: Settings
    out: Path | None = None
    resume: Path | None = None
    callbacks: Sequence[Callback] = ()
    events: Events = field(default_factory=Events)
    tick: Tick | None = None
    command: dict[str, object] | None = None
    checkpoint_seconds: float = 10.0
    origin: Origin | None = None
    baseline: bool = True
    tested: bool = True
    world: World | None = None


def make_plan(job: Job) -> Plan:
    """The plan of a job whose data fit its model."""
    settings, optimizer = job.settings, job.optimizer
    plain = settings.threshold is None and settings.costs is None
    metrics = job.metrics if plain else at_choice(job.metrics, settings, choice_of(settings))
    by_batch = [metric for metric in metrics if metric.by_batch]
    step = make_step(job.loss, by_batch, optimizer, settings.penalty, settings.grad_shards)
    order, layers = _keys(settings.own_seed)
    return Plan(
        settings=settings,
        feed=_feed(job, order),
        executor=_executor(job, step, layers),
        shown=lambda state: optimizer.eval_params(state.optimizer, state.model),
        loss=job.loss,
        metrics=metrics,
        data=job.data,
        keys=Keys(tuple(order.tolist()), tuple(layers.tolist())),
        callbacks=job.callbacks,
        tick=job.tick,
        checkpoint_seconds=job.checkpoint_seconds,
        decide=decide_alone if job.world is None else job.world.lead,
    )


def _executor(job: Job, step: Step, key: NDArray[np.uint32]) -> Executor:
    if job.world is None or step.shards == 1:
        return choose_executor(step, key)
    return sharded_executor(step, key, job.world, job.settings.reduce)


def _keys(seed: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The keys of the order of epochs and of random layers."""
    key = random.key(seed)
    return raw(random.fold_in(key, _ORDER)), raw(random.fold_in(key, _LAYERS))


def _feed(job: Job, order: NDArray[np.uint32]) -> Feed:
    data, settings = job.data.train, job.settings
    if isinstance(data, tuple):
        x, y = data
        weight = job.data.weights.get("training")
        size = settings.batch_size or len(x)
        how = (x, y, size, settings.shuffle, order, settings.least_rows, weight)
        if settings.buckets > 1:
            return BucketFeed(*how, _buckets_of(job.model, x, settings.buckets, max(size, settings.least_rows)))
        return ArrayFeed(*how)
    if isinstance(data, DiskRows):
        return BlockFeed(data, settings.batch_size or len(data), settings.shuffle, order, settings.least_rows)
    return stream(data, settings.epochs)


def _buckets_of(model: Any, x: NDArray[Any], number: int, least: int) -> tuple[tuple[NDArray[np.int64], int], ...]:
    """The rows of each bucket of similar lengths, and how much of x's second axis they need.

    Raises ArgumentError for a network that does not begin with `Masked`, or takes one length alone.
    """
    wide = _width_of_step(model, x)
    steps = x.reshape(len(x), -1, x.shape[-1] if wide is None else wide)
    found = tuple((rows, longest * (wide or 1)) for rows, longest in bucket_rows(lengths_in(steps), number, least))
    rows, width = min(found, key=lambda bucket: bucket[1])
    _require_any_length(model, x[rows[:1]], width)
    return found


def _require_any_length(model: Any, x: NDArray[Any], width: int) -> None:
    """Raise ArgumentError for a network that takes no sequence x cut to this width, or answers otherwise then."""
    try:
        with no_grad(), np.errstate(all="ignore"):
            whole, cut = (np.asarray(raw(model(part))) for part in (x, x[:, :width]))
        more = f"other answers with {x.shape[1] - width:,} more numbers that are not there"
        got = "" if _is_same(whole, cut, 1e-3) else more
    except ClearpropError as problem:
        got = problem.headline
    if got:
        raise ArgumentError(
            "buckets are for networks that take sequences of any length",
            expected="layers that go over the steps that are there, and MeanOverSteps or the last step behind them",
            got=got,
            where="buckets",
            try_="no buckets, or cl.nn.MeanOverSteps() within Masked, in place of cl.nn.Flatten() and of other means",
        )


def _width_of_step(model: Any, x: NDArray[Any]) -> int | None:
    """How many numbers of a row a step has, of sequences that lie flat; None where steps have an axis of their own."""
    layers: tuple[Any, ...] = model.layers if isinstance(model, Sequential) else (model,)
    first = layers[0]
    if isinstance(first, Masked) and x.ndim == 3:
        return None
    second = layers[1] if len(layers) > 1 else None
    flat = x.ndim == 2 and isinstance(first, Unflatten) and len(first.shape) == 2 and first.shape[0] == -1
    if flat and isinstance(second, Masked):
        return int(first.shape[1])
    raise ArgumentError(
        "buckets are of sequences whose steps say whether they are there",
        expected="cl.nn.Masked at the beginning of the network, or cl.nn.Unflatten((-1, features + 1)) and it",
        got=", ".join(layer.label() for layer in layers[:2]) + f", and x of shape {x.shape}",
        where="buckets",
        try_="--sequence, or an NPZ file with lengths; or no buckets",
    )


def fit_to_model(job: Job) -> Job:
    """The job with data in the model's dtype, after a trial of model, loss and step on the first two rows."""
    train = job.data.train
    require_weighable((job.loss, *job.metrics), job.data.weighted)
    rows = rows_in(train) if isinstance(train, tuple | DiskRows) else None
    _require_batches(job, rows)
    if isinstance(train, DiskRows):
        _require_float32(job, train)
        sample = train.sample(2)
        _try_step(job, sample, *([] if train.weight is None else [train.weight.get(0, len(sample[0]))]))
        return job
    if not isinstance(train, tuple):
        return job if iter(train) is train else _tried_stream(job, train)
    _require_known_numbers(job)
    adapt, outputs = adaptation(job.model, train, job.loss)
    _require_suited_outputs(job, outputs.shape[-1])
    tell_doubts(job.events, job.loss.name, job.model, outputs, train[0])
    job = replace(job, metrics=with_outside(job.metrics, outputs, adapt((train[0][:2], train[1][:2]))[1]))

    def fit(part: Part) -> Pair:
        if not isinstance(part, tuple):
            raise ArgumentError("training on arrays needs arrays", expected="validation=(x, y)", got="rows on disk")
        pair = adapt(part)
        _check_labels(job.loss, outputs[:1], pair[1])
        return pair

    held, tested = job.data.validation, job.data.test
    weights = {name: weight.astype(dtype_of(job.model)) for name, weight in job.data.weights.items()}
    own, aside, last = fit(train), held and fit(held), tested and fit(tested)
    job = replace(job, data=replace(job.data, train=own, validation=aside, test=last, weights=weights))
    first = adapt((train[0][:2], train[1][:2]))
    require_paired_rows((job.loss, *job.metrics), outputs, first[1])
    require_one_class(job.loss, job.metrics, outputs, own[1])
    _try_step(job, first, *_first_weights(job.data))
    return job


def _require_batches(job: Job, rows: int | None) -> None:
    """Raise ArgumentError for batches that do not suit the optimizer, the network or the shards."""
    settings, command = job.settings, job.command is not None
    _require_freedom(job)
    require_suitable(job.optimizer, rows, settings.batch_size, command)
    if settings.grad_shards > 1:
        require_shardable(settings, job.model, job.optimizer, rows, command)
    elif rows is not None:
        require_rows(settings.least_rows, rows, settings.batch_size or rows, command)
    if rows is not None and (summed := batches_of_update(job.optimizer)) > 1:
        _require_an_update(job, rows, summed)


def _option(job: Job, option: str) -> str:
    return option if job.command is not None else user_line()


def _require_freedom(job: Job) -> None:
    """Raise ArgumentError for an optimizer that lets no parameter move."""
    if not any(isinstance(part, freeze) for part in parts(job.optimizer)):
        return
    view = ParameterView(job.model)
    held = frozen_leaves(job.optimizer, view)
    if all(still for still, trained in zip(held, view.trained, strict=True) if trained):
        raise ArgumentError(
            "every parameter of the network is frozen",
            expected="a parameter, at least, that no pattern holds",
            got=", ".join(view.paths[:4]) + " …" * (len(view.paths) > 4) + ": all held",
            where=_option(job, "--freeze"),
            try_='the first layer alone: "layers[0].*"',
        )


def _require_an_update(job: Job, rows: int, summed: int) -> None:
    """Raise ArgumentError where gradients of so many batches are summed that the run ends before its first update."""
    epochs, size = job.settings.epochs, job.settings.batch_size or rows
    batches = epochs * (batches_in(job.data.table, size) + job.settings.buckets - 1)  # each bucket may have a rest
    if epochs and batches < summed:
        raise ArgumentError(
            "the run ends before its first update",
            expected=f"as many batches as the {summed:,} whose gradients are summed for one update",
            got=f"{quantity(batches, 'batch', 'batches')} of {size:,} in {quantity(epochs, 'epoch')} at most",
            where=_option(job, "--accumulate" if job.settings.accumulate > 1 else "--optimizer"),
            try_="fewer batches for an update, a smaller batch size, or more epochs",
        )


def _require_known_numbers(job: Job) -> None:
    """Raise ArgumentError, with its place in the data, for a number that the network's first layer cannot look up."""
    layer = job.model
    while type(layer) is Sequential and layer.layers:  # one of the user's own may give its layers something else
        layer = layer.layers[0]
    look_up = getattr(layer, "unknown_number", None)
    if look_up is None:
        return
    for name, part in job.data.parts.items():
        if isinstance(part, tuple) and (at := look_up(part[0])) is not None:
            rows = job.data.rows.get(name)
            row = f"{at[0]}" if rows is None else rows.text(at[0])
            raise ArgumentError(
                f"{layer.label()} has no row {part[0][at]}",
                expected=f"whole numbers from 0 to {len(raw(layer.weight)) - 1} in x",
                got=", ".join([f"{part[0][at]} in row {row}", *(f"column {k}" for k in at[1:])]),
                where=f"{name} data",
                try_="count from 0, and give the layer as many rows as there are numbers",
            )


def _first_weights(data: Prepared) -> list[NDArray[Any]]:
    """The weights of the first two rows to train on, where rows have some."""
    return [data.weights["training"][:2]] if "training" in data.weights else []


def _require_float32(job: Job, rows: DiskRows) -> None:
    """Rows on disk are float32 as they are read, and so must the network be."""
    sample = rows.sample(2)
    adapted = adaptation(job.model, sample, job.loss)[0](sample)
    if [a.dtype for a in adapted] != [a.dtype for a in sample] or adapted[1].shape != sample[1].shape:
        raise ArgumentError(
            "rows that are streamed are float32",
            expected="a network of float32, and a loss that suits the target",
            got=f"x {adapted[0].dtype}, y {adapted[1].dtype}",
            try_="cl.nn.mlp(...), which makes float32",
        )


def _tried_stream(job: Job, source: Iterable[Any]) -> Job:
    for x, y in stream(source, job.settings.epochs).batches(0, 0):
        first = x[:2], y[:2]
        outputs, y = outputs_on_trial(job.model, first[0]), np.asarray(first[1])
        job = replace(job, metrics=with_outside(job.metrics, outputs, y))
        require_paired_rows((job.loss, *job.metrics), outputs, y)
        _check_labels(job.loss, outputs[:1], y)
        _try_step(job, first)
        return job
    raise ArgumentError("the iterable gives no batch", expected="at least one batch (x, y)", got="none")


def _require_suited_outputs(job: Job, outputs: int) -> None:
    """Raise ArgumentError for a table whose classes are not as many as the outputs that a loss of classes compares."""
    target = job.data.class_target
    if target is not None and job.data.preprocessing is not None and loss_task(job.loss.name) == "classes":
        require_outputs(outputs, target)


def _is_function_of_labels(loss: Measure) -> bool:
    """Whether a loss is one of ours that has no name but looks at its targets."""
    known = loss.name in ("nll", "kl_divergence", "hinge", "multi_margin")
    return known and loss.function is getattr(nn, loss.name)


def _check_labels(loss: Measure, outputs: NDArray[Any], y: NDArray[Any]) -> None:
    """Let the loss itself check labels, or amounts: a step that is compiled, or known, does not look at values.

    Where each number only has to lie in a range, it is given the rows of the least and the greatest; all of them if it
    refuses these, so that it says which is the first.
    """
    if _is_function_of_labels(loss):
        require_logarithms(loss.name, outputs)
    elif loss_task(loss.name) != "classes" and not has_log_link(loss.name):
        return

    def look_at(rows: NDArray[Any]) -> None:
        with no_grad():
            loss(np.broadcast_to(outputs, (len(rows), *outputs.shape[1:])), rows)

    in_range = y.size and (y.dtype.kind in "iu" or has_log_link(loss.name))
    try:
        look_at(_extreme_rows(y) if in_range else y)
    except ClearpropError:
        look_at(y)


def _extreme_rows(y: NDArray[Any]) -> NDArray[Any]:
    """The rows of y that hold its least and its greatest number; NaN is both."""
    return y[[int(place) // (y.size // len(y)) for place in (np.argmin(y), np.argmax(y))]]


_TRIED = Remembered[list[str]](64)


def _try_step(job: Job, pair: Pair, *weight: NDArray[Any]) -> None:
    """Take one step and leave its result: what does not fit is said before anything is written.

    A step of the library's parts that fitted before fits again, whatever the numbers are.
    """
    traced = [metric for metric in job.metrics if not metric.outside]
    step = make_step(job.loss, traced, job.optimizer, job.settings.penalty)

    def take() -> list[str]:
        with np.errstate(all="ignore"):
            step(job.model, job.optimizer.init(job.model), *pair, random.key(0), *weight)
            _require_separate_rows(job.model, pair[0])
            if loss_task(job.loss.name) is not None and is_ours(type(job.model)):
                return []
            return require_dependence(job.loss, job.model, *pair, random.key(0), *weight)

    known_as = identity_of((step, job.model))
    leaves, structure = flatten(job.model)
    kinds = [(a.dtype.str, a.shape) for a in map(raw, [*leaves, *pair, *weight])]
    idle = take() if known_as is None else _TRIED.get((known_as, structure, *kinds), take)
    if idle:  # told outside of what is tried once, so that every run tells it
        job.events.emit("warning", message=f"{name_list(idle, 3)}: not trained, of no effect or whole")


def _require_separate_rows(model: Any, x: NDArray[Any]) -> None:
    """Raise ArgumentError for a network whose answer about a row hangs on the others, their number, or its place.

    So is one that takes the axis of rows for one of its own: of steps, or of places in an image.  What layers hand on
    within is theirs; it is looked at only to say which of them it was.
    """
    other, row = _two_rows(x)
    # a row behind another one, and three times: its answer is the same, and the same in all places
    pair = np.concatenate([other, row]), np.concatenate([row, row, row])
    if _are_separate(*_through(model, pair)):
        return
    got = f"x {x.shape}"
    for place, layer in enumerate(model.layers if type(model) is Sequential else ()):
        given, pair = pair, _through(layer, pair)
        if not _are_separate(*pair):
            got = f"{np.shape(raw(given[0]))} for layers[{place}], {layer.label():.200}"
            break
    raise ArgumentError(
        "the network mixes rows: its answer about one changes with others, their number or order, or by chance",
        expected="a network that answers each row of x by itself: the first axis counts the rows",
        got=got,
        where=user_line(),
        try_="layers for the axes of a row: space=1 or Conv1d for steps; x[:, :, None] for steps of one number",
    )


def _through(layer: Any, pair: tuple[Any, Any]) -> tuple[Any, Any]:
    with no_grad():
        return layer(pair[0]), layer(pair[1])


def _are_separate(beside: Any, alone: Any) -> bool:
    """Whether answers for two rows and three are those of the second row; what is no array of them is not judged."""
    a, b = raw(beside), raw(alone)
    if not isinstance(a, np.ndarray) or not isinstance(b, np.ndarray) or (a.shape[:1], b.shape[:1]) != ((2,), (3,)):
        return True
    return _is_same(a[1], b[1]) and _is_same(b[0], b[1]) and _is_same(b[1], b[2])


def _two_rows(x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The first row and one that differs, as far as there is one that a network takes; last what is not 0."""
    first = x[:1]
    differs = (x != first).reshape(len(x), -1).any(axis=1)
    # numbers of tokens or of categories begin at 0, and may end there
    found = (x[differs][:1], np.zeros_like(first), *([np.ones_like(first)] if x.dtype.kind == "f" else []))
    other = next((row for row in found if len(row) and not np.array_equal(row, first)), first)
    return (other, first) if first.any() else (first, other)


def _is_same(a: NDArray[Any], b: NDArray[Any], within: float = 1e-5) -> bool:
    """Whether two results are the same but for rounding, within a share of the largest number."""
    largest = np.abs(a[np.isfinite(a)]).max(initial=0)
    return np.allclose(a, b, rtol=0.0, atol=within * float(largest), equal_nan=True)


def require_suitable(optimizer: Any, rows: int | None, batch_size: int | None, command: bool) -> None:
    """Raise ArgumentError for a full-batch method that would be given mini-batches.

    `rows` is None for an iterable of batches; `command` says that the command line asked.
    """
    part = full_batch_part(optimizer)
    if part is None or (rows is not None and (batch_size is None or batch_size >= rows)):
        return
    name = type(part).__name__
    whole = f"--batch-size {rows}" if command else f"batch_size={rows}"
    remedy = f"{whole}, or an optimizer for mini-batches such as adam"
    raise ArgumentError(
        f"{name} needs all rows in every step",
        expected=f"a batch size of at least {rows}, the rows to train on" if rows else "arrays (x, y) in one batch",
        got=f"batches of {batch_size} rows: their noise breaks {name}" if rows else "an iterable of batches",
        where="--optimizer" if command else user_line(),
        try_=remedy if rows else "the data as one pair (x, y), or an optimizer for mini-batches such as adam",
    )


def require_rows(least: int, rows: int, batch_size: int, command: bool) -> None:
    """Raise ArgumentError for batches that are too small for a network that takes statistics of them.

    `least` is the fewest rows of a batch, `rows` those to train on.
    """
    if min(rows, batch_size) >= least:
        return
    few = rows < least
    raise ArgumentError(
        "this network takes statistics of a batch, of which one row has none",
        expected=f"{least} rows or more " + ("to train on" if few else "in every batch"),
        got=f"{rows} rows" if few else f"batches of {batch_size} rows",
        where="--batch-size" if command else user_line(),
        try_='cl.nn.mlp(..., norm="layer"), which works on single rows'
        if few
        else f"{'--batch-size 32' if command else 'batch_size=32'}; or LayerNorm, which works on single rows",
    )
