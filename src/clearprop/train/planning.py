"""One way to a job: what suits the data where nothing was asked for, the network, the loss and metrics of the task.

What settings add to the optimizer (parts that stay or differ, gradients of several batches, averages) are links around
it, so that `config.json`, replay, resuming and `explain_update` know them as they know every other rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any, NoReturn

from clearprop import nn, optim
from clearprop.data.encodings import NumberTarget
from clearprop.data.parts import batches_in, rows_in, sample_rows
from clearprop.data.preprocessing import Preprocessing
from clearprop.data.training_data import Prepared
from clearprop.errors import ArgumentError, user_line
from clearprop.nn.losses import has_log_link, several_quantiles_of
from clearprop.optim.inspection import has_rate, parse, parts, says_rate, with_rate, with_schedule
from clearprop.program.values import raw
from clearprop.runs.settings import SUITED, Settings, default_of
from clearprop.train.array_classes import with_labels
from clearprop.train.calibration import require_calibratable
from clearprop.train.job import Job
from clearprop.train.joint_measures import ends_for
from clearprop.train.metrics import (
    METRICS,
    Measure,
    chosen_among,
    find_loss,
    find_metrics,
    in_units,
    require_loss_task,
    require_task,
    suitable_measures,
)
from clearprop.train.rate_range import RateRange, lr_range_test
from clearprop.train.target_loss import Amounts, ClassWeighted, class_weights, require_amounts
from clearprop.train.thresholds import COST, with_choice


def tailor_optimizer(rule: optim.Transform, settings: Settings) -> optim.Transform:
    """The optimizer with the links that the settings ask for; itself, where they ask for none.

    >>> from clearprop import optim
    >>> tailor_optimizer(optim.sgd(0.1), Settings(freeze="layers[0].*", accumulate=2)).links[0]
    freeze(mask=('layers[0].*',))
    """
    if settings.param_groups is not None:
        rule = optim.vary_by_group(rule, groups_of(settings.param_groups))
    if settings.ema is not None:
        rule = optim.chain(rule, optim.average(settings.ema))
    if settings.accumulate > 1:
        rule = optim.accumulate(rule, settings.accumulate)
    if settings.freeze is not None:
        stays = optim.freeze(patterns_of(settings.freeze))
        rule = optim.chain(stays, rule, *([stays] if rule.needs else []))  # which may find gradients of its own
    return rule


def patterns_of(text: str) -> tuple[str, ...]:
    """The patterns of paths that stand in a text with commas between them.

    >>> patterns_of("layers[0].*, *.bias")
    ('layers[0].*', '*.bias')
    """
    return tuple(part.strip() for part in text.split(",") if part.strip())


def text_of_patterns(freeze: str | Sequence[str] | None) -> str | None:
    """What `cl.fit` was given for parts that stay, as the settings keep it.  Raises ArgumentError for anything else."""
    listed = (freeze,) if isinstance(freeze, str) else freeze
    if listed is None:
        return None
    if not isinstance(listed, list | tuple) or not all(isinstance(p, str) and patterns_of(p) for p in listed):
        raise ArgumentError(
            "fit cannot work with this freeze",
            expected="a pattern of paths, or several, or None",
            got=f"freeze = {freeze!r:.80}",
            where=user_line(),
            try_='freeze="layers[0].*"',
        )
    return ",".join(listed) or None


def groups_of(text: str) -> dict[str, dict[str, float]]:
    """The settings of groups that stand in a text, by pattern.  Raises ArgumentError for what cannot be read.

    >>> groups_of("*.bias:weight_decay=0;layers[0].*:lr=1e-4,momentum=0.5")
    {'*.bias': {'weight_decay': 0.0}, 'layers[0].*': {'lr': 0.0001, 'momentum': 0.5}}
    """
    found: dict[str, dict[str, float]] = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        pattern, colon, own = part.rpartition(":")
        pairs = [item.partition("=") for item in own.split(",")]
        if not colon or pattern in found or not all(equals for _, equals, _ in pairs):
            _refuse_groups(part)
        try:
            found[pattern.strip()] = {name.strip(): float(value) for name, _, value in pairs}
        except ValueError:
            _refuse_groups(part)
    return found


def text_of_groups(groups: str | Mapping[str, Mapping[str, float]] | None) -> str | None:
    """What `cl.fit` was given for groups of parameters, as the settings keep it.

    Raises ArgumentError for anything but numbers.

    >>> text_of_groups({"*.bias": {"weight_decay": 0}})
    '*.bias:weight_decay=0.0'
    """
    if groups is None:
        return None
    if isinstance(groups, str):
        groups = groups_of(groups)
    if not isinstance(groups, Mapping) or not all(map(_holds_numbers, groups.items())):
        _refuse_groups(f"{groups!r:.80}")
    texts = (",".join(f"{name}={float(value)!r}" for name, value in own.items()) for own in groups.values())
    return ";".join(f"{pattern}:{text}" for pattern, text in zip(groups, texts, strict=True)) or None


def _holds_numbers(group: tuple[object, object]) -> bool:
    pattern, own = group
    if not isinstance(pattern, str) or set(";:") & set(pattern) or not isinstance(own, Mapping) or not own:
        return False
    return all(isinstance(name, str) and isinstance(value, int | float) for name, value in own.items())


def _refuse_groups(got: str) -> NoReturn:
    raise ArgumentError(
        "groups of parameters are a pattern of paths and settings of the optimizer",
        expected="for each pattern the settings that differ, as numbers",
        got=got,
        where=user_line(),
        try_='"*.bias:weight_decay=0;layers[0].*:factor=0.1", or {"*.bias": {"weight_decay": 0}}; for schedules '
        "cl.optim.vary_by_group",
    )


ARRAY_MODELS = ("conv", "transformer", "lstm", "gru", "rnn")
"""The networks that read images, or sequences."""
AUTO = "auto"
"""The learning rate that asks for the range test."""
QUANTILE_ROWS = 20_000
"""The edges of pieces are quantiles of so many rows at most, evenly spread where there are more."""
MOST_PIECES = 2048
"""All numbers together have so many pieces at most; where there are more numbers than that, they have none."""
LARGEST_NETWORK = 500_000_000
"""The most parameters of a network that is built from settings."""
SMALL, LARGE = 1_000, 20_000
"""Below SMALL rows of the training part a data set is small, from LARGE rows on it is large."""
FEWEST_UPDATES = 4
"""A rate that rises and falls needs so many updates; a run that has fewer ends before its rate has fallen."""
FEW = 500
"""Below FEW rows of the training part, a number comes in a few pieces only, and dropout is that of classes."""


def with_defaults(asked: Mapping[str, Any], data: Prepared) -> Settings:
    """The settings that were asked for, with what suits the data in place of those that were not."""
    if data.preprocessing is None:
        return _text_defaults(asked, data)
    classes = data.preprocessing.of_classes
    if data.preprocessing.sequence is not None:
        asked = {"model": "lstm", **asked}
    model = asked.get("model")
    named = asked.get("recipe", default_of("recipe"))
    rows = rows_in(data.table)
    chosen = _array_networks(model)[0](rows) if model in ARRAY_MODELS else recipe(rows, named, classes)
    suits = {name: getattr(chosen, name) for name in SUITED}
    suits["buckets"] = _sequence_networks().suitable_buckets(data) if model in ARRAY_MODELS[1:] else 1
    suits["loss"], suits["metrics"] = suitable_measures(data.preprocessing, asked.get("loss"))
    suits["metrics"] = chosen_among(suits["metrics"], asked.get("metric", "loss"))
    optimizer = asked.get("optimizer", chosen.optimizer)
    if isinstance(optimizer, str) and not takes_rate(optimizer):
        del suits["lr"]
        suits["schedule"] = chosen.schedule if any(map(has_rate, parts(parse(optimizer)))) else "constant"
    if data.validation is None:
        suits["patience"] = None
    transform = data.preprocessing.target_transform
    learned = {"target_transform": "none" if transform is None else transform.name}
    return Settings(**{**suits, **asked, **learned})


def _text_defaults(asked: Mapping[str, Any], data: Prepared) -> Settings:
    """The same for running text."""
    chosen = _text_networks().text_recipe(rows_in(data.table), asked.get("model", "transformer"))
    suits: dict[str, Any] = {name: getattr(chosen, name) for name in SUITED}
    return Settings(**{**suits, "loss": "cross_entropy", "metrics": ("accuracy",), **asked})


def _text_networks() -> Any:
    from clearprop.train import text_networks  # start-up time: tables do without

    return text_networks


def _array_networks(model: str) -> tuple[Callable[[int], Settings], Callable[..., nn.Sequential]]:
    """Of images or sequences, the settings that suit so many rows, and the network."""
    if model == "conv":
        from clearprop.train import image_networks  # start-up time: few have convolutions

        return image_networks.images_recipe, image_networks.network_for_images
    found = _sequence_networks()
    return partial(found.sequences_recipe, model=model), found.network_for_sequences


def _sequence_networks() -> Any:
    from clearprop.train import sequence_networks  # start-up time: few data are sequences

    return sequence_networks


def transform_asked(asked: Mapping[str, Any]) -> str:
    """The transform of the target that the settings ask for.

    >>> transform_asked({"target_transform": "auto"}), transform_asked({})
    ('auto', 'none')
    """
    # No recipe chooses one: what is best on few validation rows was no better on test rows, on 3 tables × 4 splits.
    return str(asked.get("target_transform", "none"))


def takes_rate(optimizer: str) -> bool:
    """Whether a learning rate is still to be chosen for the optimizer of that text."""
    return not says_rate(optimizer) and any(map(has_rate, parts(parse(optimizer))))


def optimizer_for(settings: Settings) -> Any:
    """The optimizer that the settings name; `lr`, where it is a number, is its rate unless its text says another.

    None for a run whose optimizer could not be written down.  Raises ArgumentError for a rate that it does not take.
    """
    text, rate = settings.optimizer, settings.lr
    if not isinstance(text, str):
        return None if text is None else optim.from_config(text)
    rule = parse(text, "--optimizer")
    if not isinstance(rate, float) or says_rate(text):
        return tailor_optimizer(rule, settings)
    if not any(map(has_rate, parts(rule))):
        raise ArgumentError(
            f"{text} has no learning rate",
            expected=f"--optimizer {text} without --lr: it chooses the rate itself",
            got=f"--lr {rate:g}",
            where="--lr",
            try_=f"--optimizer {text}, or --optimizer adam --lr {rate:g}",
        )
    return tailor_optimizer(with_rate(rule, rate), settings)


def scheduled_optimizer(settings: Settings, data: Prepared) -> Any:
    """The optimizer that the settings name, its rate moving as they say over all updates."""
    rule = optimizer_for(settings)
    if rule is None or settings.schedule == "constant":
        return rule
    steps = settings.epochs * batches_in(data.table, settings.batch_size or rows_in(data.table)) // settings.accumulate
    make = {"cosine": optim.cosine, "one_cycle": optim.one_cycle}[settings.schedule]
    scheduled = with_schedule(rule, lambda rate: make(rate, steps=max(steps, FEWEST_UPDATES)))
    if scheduled == rule:
        raise ArgumentError(
            f"{settings.optimizer} has no learning rate that could move",
            expected="an optimizer with a learning rate, such as adam or sgd",
            got=f"--schedule {settings.schedule} --optimizer {settings.optimizer}",
            where="--schedule",
            try_="--schedule constant",
        )
    return scheduled


def tested_rate(settings: Settings, data: Prepared) -> RateRange:
    """The range test behind `--lr auto`.  Raises ArgumentError for an optimizer that has no rate to choose."""
    text, part = settings.optimizer, data.table
    assert isinstance(text, str) and settings.batch_size
    if not takes_rate(text):
        raise ArgumentError(
            f"--lr auto has nothing to choose for {text}",
            expected="an optimizer with a learning rate that is not set",
            got=f"--optimizer {text}",
            where="--lr",
            try_="--optimizer adam --lr auto",
        )
    job = job_for(data, replace(settings, lr=None))
    x, y, *weight = (*part, *_training_weights(data)) if isinstance(part, tuple) else next(part.batches())
    return lr_range_test(
        job.model,
        (x, y),
        loss=job.loss,
        optimizer=tailor_optimizer(parse(text), replace(settings, accumulate=1, ema=None)),
        batch_size=settings.batch_size,
        l1=settings.l1,
        l2=settings.l2,
        seed=settings.own_seed,
        sample_weight=weight[0] if weight else None,
    )


def _training_weights(data: Prepared) -> list[Any]:
    return [data.weights["training"]] if "training" in data.weights else []


def network_for(settings: Settings, data: Prepared) -> Any:
    """The network of the settings, for the features and the outputs of the data.

    With pieces, numbers are clipped softly and cut at the quantiles of the training part before a multilayer
    perceptron.  Where the loss learns several quantiles there is an output for each, and they rise.
    """
    if settings.unit is not None:
        assert data.labels is not None
        return _text_networks().network_for_text(settings, len(data.labels.target.classes))
    fitted = data.preprocessing
    assert fitted is not None
    ends, outputs = ends_for(settings.loss) if several_quantiles_of(settings.loss) else (None, fitted.outputs)
    behind = (ends,) if ends is not None else ()
    _require_suitable_model(settings, fitted)
    if settings.model in ARRAY_MODELS:
        network = _array_networks(settings.model)[1](settings, fitted.feature_names, outputs, data.source)
        return nn.Sequential(*network.layers, *behind) if behind else network
    sizes = [len(fitted.feature_names), *(settings.hidden), outputs]
    front = _numbers_in_pieces(data, settings.pieces) if settings.pieces else ()
    sizes[0] = front[-1].outputs if front else sizes[0]
    _require_buildable(sizes)
    network = nn.mlp(sizes, settings.activation, seed=settings.own_seed, dropout=settings.dropout)
    return nn.Sequential(*front, *network.layers, *behind) if front or behind else network


def _require_suitable_model(settings: Settings, fitted: Preprocessing) -> None:
    """Raise ArgumentError for images that are changed and no images, and for a network that reads no sequences."""
    if settings.augment is not None and settings.model != "conv":
        raise _only_for_images("--augment", settings.augment)
    if fitted.sequence is not None and settings.model not in ARRAY_MODELS[1:]:
        raise _only_for_tables(settings.model)


def _only_for_images(option: str, value: object) -> ArgumentError:
    return ArgumentError(
        f"{option} is for images, which --model conv learns",
        expected=f"{option} with --model conv",
        got=f"{option} {value}, and no --model",
        where=option,
        try_=f"--model conv {option} {value}",
    )


def _only_for_tables(model: str) -> ArgumentError:
    return ArgumentError(
        f"--model {model} does not read sequences",
        expected="--model lstm, gru, rnn or transformer with --sequence",
        got=f"--model {model}",
        where="--model",
        try_="no --model, which is lstm then; or in Python a network of your own: cl.fit(network, …, sequence=…)",
    )


def _numbers_in_pieces(data: Prepared, pieces: int) -> tuple[Any, ...]:
    """The layers before the first dense one; none where no column is a number."""
    x, _ = sample_rows(data.table, QUANTILE_ROWS)
    numbers = _own_numbers(data)
    most = MOST_PIECES // max(len(numbers), 1)
    if not most:
        return ()
    clipped = nn.SmoothClip()
    edges = nn.quantile_edges(raw(clipped(x)), min(pieces, most), numbers)
    return (clipped, nn.PiecewiseLinear(x.shape[1], edges)) if edges else ()


def _own_numbers(data: Prepared) -> list[int]:
    """The features that are numbers of a column alone: not those that are one quantity together, such as pixels."""
    assert data.preprocessing is not None
    found, first = list[int](), 0
    for column in data.preprocessing.columns:
        found += [first] if column.kind == "number" and not column.shared else []
        first += len(column.features)
    return found


def _require_buildable(sizes: list[int]) -> None:
    count = sum((a + 1) * b for a, b in pairwise(sizes))
    if count > LARGEST_NETWORK:
        raise ArgumentError(
            "the network would be too large",
            expected=f"at most {LARGEST_NETWORK:,} parameters",
            got=f"{count:,} with the layers {' → '.join(map(str, sizes))}",
            where="--hidden",
            try_="--hidden 128,64",
        )


def job_for(
    data: Prepared,
    settings: Settings,
    model: Any = None,
    *,
    optimizer: Any = None,
    loss: Measure | None = None,
    metrics: Sequence[Measure] | None = None,
    **more: Any,
) -> Job:
    """The job that settings describe.

    Network, optimizer, loss and metrics are made from the settings where they are not given; what they are called is
    recorded in the settings of the job.  `more` are further fields of `Job`.
    """
    # What is asked for is checked from the cheapest to the dearest: names, then targets, then what needs the network.
    loss = find_loss(settings.loss) if loss is None else loss
    metrics = find_metrics(settings.metrics) if metrics is None else metrics
    optimizer = scheduled_optimizer(settings, data) if optimizer is None else optimizer
    fitted = data.preprocessing
    if fitted is not None:
        require_task(metrics, fitted.of_classes)
        require_loss_task(loss.name, fitted.target)
    if has_log_link(loss.name):
        require_amounts(loss.name, data)
    model = network_for(settings, data) if model is None else model
    if fitted is None:
        data = with_labels(data, loss, model)
    if settings.calibration is not None:
        require_calibratable(settings.calibration, loss.name, data, model)
    if (settings.costs or settings.threshold) is not None:
        settings = with_choice(settings, loss.name, data, model)
        if settings.costs is not None and COST not in {m.name for m in metrics}:
            metrics = (*metrics, METRICS[COST])
    asked = settings.class_weight
    weights = None if asked is None else class_weights(asked, loss.name, data, model)
    settings = replace(
        settings,
        least_rows=nn.least_rows(model) * settings.grad_shards,
        loss=loss.name,
        class_weight=weights,
        metrics=tuple(m.name for m in metrics),
        optimizer=written_optimizer(optimizer),
    )
    metrics = in_units(metrics, fitted, loss.name)
    return Job(model, data, suited_to_target(loss, fitted, weights), metrics, optimizer, settings, **more)


def suited_to_target(loss: Measure, fitted: Preprocessing | None, weights: Mapping[str, float] | None) -> Measure:
    """The loss for a target that is standardised, or whose classes have weights."""
    target = None if fitted is None else fitted.target
    if has_log_link(loss.name) and isinstance(target, NumberTarget):
        loss = replace(loss, function=Amounts(loss.function, target.scale / target.centre))
    if weights is None:
        return loss
    return replace(loss, function=ClassWeighted(loss.function, tuple(weights.values())))


def written_optimizer(optimizer: Any) -> dict[str, object] | None:
    """The optimizer's `to_config()`; None for one that cannot be written down."""
    try:
        written: dict[str, object] = optimizer.to_config()
        return written
    except ArgumentError:
        return None


def recipe(rows: int, name: str = "default", classes: bool = True) -> Settings:
    """What suits so many rows of the training part: network and training; patience counts only with validation.

    `plain` looks at the number of rows alone.  `default` knows that numbers, where rows are not few, want less dropout
    than classes, and larger weights.  `best` cuts numbers into pieces besides.  Chosen on the tables of
    `python -m benchmarks.recipes`, whose page shows all that was tried.

    >>> recipe(300).hidden, recipe(300).pieces, recipe(300, "best").pieces
    ((64, 64), 0, 4)
    >>> recipe(900).dropout, recipe(900, classes=False).dropout, recipe(300, classes=False).dropout
    (0.3, 0.1, 0.3)
    >>> recipe(900, "plain", classes=False).dropout
    0.3
    """
    chosen = _plain(rows)
    if name == "best":
        chosen = replace(chosen, pieces=4 if rows < FEW else 8 if rows < SMALL else 16)
    if name == "plain" or classes or rows < FEW:
        return chosen
    small_weights = rows < SMALL or (name == "best" and rows < LARGE)
    return replace(chosen, dropout=0.1, l2=1e-3 if small_weights else chosen.l2)


def _plain(rows: int) -> Settings:
    if rows < SMALL:
        hidden, rate, dropout, l2, size, epochs, patience = (64, 64), 3e-3, 0.3, 0.01, 32, 400, 40
    elif rows < LARGE:
        hidden, rate, dropout, l2, size, epochs, patience = (128, 64), 1e-3, 0.2, round(1.0 / rows, 6), 32, 150, 20
    else:
        hidden, rate, dropout, l2, size, epochs, patience = (128, 128), 1e-3, 0.1, round(1.0 / rows, 8), 128, 60, 8
    return Settings(
        hidden=hidden,
        activation="relu",
        dropout=dropout,
        optimizer="adam",
        lr=rate,
        epochs=epochs,
        batch_size=size,
        l2=l2,
        patience=patience,
    )
