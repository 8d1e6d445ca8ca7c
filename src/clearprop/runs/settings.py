"""The settings of a run, each declared once: default, range, what it may be in words, and its word on the command line.

The checks of `cl.fit`, the options and the help of `clearprop train`, TOML and JSON files, `config.json`, forks and
comparisons are made from these fields.  Another setting is one more field here, and its use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, fields
from typing import Any, Self, get_type_hints

import numpy as np

from clearprop.files.strict_json import checked_value, refuse, require_keys
from clearprop.nn import ACTIVATIONS, Penalty
from clearprop.optim.hyperparameters import Range
from clearprop.runs.declarations import (
    COUNT,
    FIRST,
    NETWORK,
    NOT_NEGATIVE,
    SHARE,
    SHARE_OF_ONE,
    WHOLE,
    DataSettings,
    Declaration,
    setting,
    training_setting,
)
from clearprop.runs.declarations import DATA as DATA

LARGEST_LAYER = 65_536
"""The most units of a hidden layer."""
REDUCTIONS = ("exact", "fast")
"""How processes may add gradients."""
MODELS = ("mlp", "conv", "transformer", "lstm", "gru", "rnn")
"""The networks that settings describe."""
UNITS = ("char", "word")
"""What running text may be read by."""
SCHEDULES = ("constant", "cosine", "one_cycle")
"""How a learning rate may move."""
RECIPES = ("plain", "default", "best")
"""The names of the recipes for what is not asked for."""


@dataclass(frozen=True)
class Settings(DataSettings):
    """How a run reads its data, builds its network and trains it.

    `optimizer` is text (`sgd:momentum=0.9`) where it was asked for on the command line, and its `to_config()` in the
    record of a run, or None for one that cannot be written down.
    """

    model: str = setting(
        "mlp",
        "The network: mlp, dense layers; conv, for images; transformer, lstm, gru or rnn, for text and sequences.",
        "mlp, conv, transformer, lstm, gru or rnn",
        "conv",
        panel=NETWORK,
        metavar="NAME",
        suits=True,
    )
    hidden: tuple[int, ...] = setting(
        (),
        "The sizes of the hidden layers: 64,64; of conv the channels of its convolutions, of transformer its blocks.",
        f"sizes from 1 to {LARGEST_LAYER:,}, with commas between them",
        "64,64",
        panel=NETWORK,
        metavar="SIZES",
        suits=True,
    )
    activation: str = setting(
        "relu", "relu, tanh, gelu, …", "the name of an activation", "relu", panel=NETWORK, suits=True
    )
    dropout: float = setting(
        0.0,
        "The share of hidden units to drop.",
        SHARE_OF_ONE,
        "0.1",
        range=SHARE,
        panel=NETWORK,
        metavar="SHARE",
        suits=True,
    )
    augment: str | None = setting(
        None,
        "How images are changed in every step of training: shift (by 2 pixels, or shift:3), flip (left to right).",
        "shift, shift:PIXELS, flip, or several with commas between them",
        "shift:2,flip",
        panel=NETWORK,
        metavar="WAYS",
    )
    recipe: str = setting(
        "default",
        "What suits the data where nothing else is asked for: plain, by the rows alone; default; or best, with numbers "
        "in pieces.",
        "plain, default or best",
        "best",
        panel=NETWORK,
        metavar="NAME",
    )
    pieces: int = setting(
        0,
        "Cuts every number into so many pieces, each with a slope of its own; 0 for none.",
        "a whole number, 0 or more",
        "16",
        range=Range(0, 1025, "]", whole=True),
        panel=NETWORK,
        metavar="N",
        suits=True,
    )
    loss: str = training_setting(
        "cross_entropy",
        "The loss that training minimises: huber:2, quantile:0.9, gaussian_nll, poisson, focal, "
        "cross_entropy (:label_smoothing=0.1), …",
        "the name of a loss, perhaps with a setting: quantile:0.9",
        "mse",
        metavar="NAME[:VALUE]",
        changes=False,
        suits=True,
    )
    quantiles: str | None = training_setting(
        None,
        "Quantiles to learn side by side by the pinball loss, such as 0.1,0.5,0.9: an answer for each, which never "
        "cross.",
        "numbers above 0 and below 1 that rise, with commas between them",
        "0.1,0.5,0.9",
        metavar="Q,…",
        kept=False,
        absent=True,
        since="0.2",
        changes=False,
    )
    class_weight: str | dict[str, float] | None = training_setting(
        None,
        "balanced, so that rare classes weigh as much as frequent ones, or the weights of classes: yes=5,no=1.",
        "balanced, or CLASS=WEIGHT with commas between them, weights from 0 up",
        "balanced",
        metavar="WEIGHTS",
        since="0.2",
        absent=True,
        changes=False,
    )
    metrics: tuple[str, ...] = training_setting(
        (),
        "What is measured besides the loss.",
        "names of metrics",
        "accuracy",
        panel=None,
        changes=False,
    )
    metric: str = training_setting(
        "loss",
        "What of the validation part chooses the best epoch: loss (the default), or a metric such as auc or mae.",
        "loss, or the name of a metric",
        "auc",
        metavar="NAME",
        since="0.2",
        changes=False,
    )
    threshold: float | str | None = training_setting(
        None,
        "The probability above which the second of two classes is chosen; auto finds one on the validation part.",
        "a number above 0 and below 1, or auto",
        "0.3",
        range=Range(0.0, 1.0, "[]"),
        metavar="P",
        since="0.2",
        absent=True,
        changes=False,
    )
    costs: dict[str, Any] | str | None = training_setting(
        None,
        "What mistakes cost: by the true class (sick=10,well=1), by both (sick:well=10), or a CSV file of all. Of two "
        "classes the threshold is the one at which they cost least on the validation part; of more, the class of "
        "least expected cost is chosen.",
        "CLASS=COST or TRUE:CHOSEN=COST with commas between them, costs from 0 up, or a CSV file",
        "yes=5,no=1",
        metavar="COSTS",
        since="0.2",
        absent=True,
        changes=False,
    )
    calibration: str | None = training_setting(
        None,
        "temperature: divides the outputs by what makes probabilities fit the validation part best.",
        "temperature",
        "temperature",
        metavar="WAY",
        since="0.2",
        absent=True,
        changes=False,
    )
    optimizer: str | dict[str, object] | None = training_setting(
        None,
        "adam, adamw, sgd:momentum=0.9, …",
        "the name of an optimizer, perhaps with settings: sgd:momentum=0.9",
        "adam",
        metavar="NAME[:KEY=VALUE,…]",
        absent=True,
        suits=True,
    )
    lr: float | str | None = training_setting(
        None,
        "The learning rate; auto finds one.",
        "a number above 0 and at most 100, or auto",
        "1e-3",
        range=Range(0.0, 100.0, "["),
        words=("--lr", "--learning-rate"),
        metavar="RATE",
        kept=False,
        suits=True,
    )
    schedule: str = training_setting(
        "constant",
        "How the learning rate moves over all steps: constant (the default), cosine, or one_cycle, which rises first.",
        "constant, cosine or one_cycle",
        "one_cycle",
        metavar="NAME",
        since="0.2",
        changes=False,
        suits=True,
    )
    epochs: int = training_setting(
        100, "At most so many epochs.", WHOLE, "100", range=COUNT, metavar="N", fit="100", suits=True
    )
    batch_size: int | None = training_setting(
        32, "Rows per step.", WHOLE, "32", range=COUNT, metavar="N", fit="32", absent=True, suits=True
    )
    buckets: int = training_setting(
        1,
        "Sequences of several lengths: by so many groups of similar lengths batches are made, filled up to the "
        "longest of their group; 1 for none.",
        WHOLE,
        "8",
        range=COUNT,
        metavar="N",
        fit="8",
        since="0.2",
        changes=False,
        suits=True,
    )
    least_rows: int = training_setting(
        1,
        "The fewest rows of a batch: a smaller last one joins the one before it.",
        WHOLE,
        "1",
        range=COUNT,
        panel=None,
        changes=False,
        since="0.2",
    )
    grad_shards: int = training_setting(
        1,
        "The gradient of a batch is a sum over so many shards of it, a power of two: the same bits on 1, 2, … "
        "processes up to that number.",
        "a power of two from 1 to 4096",
        "8",
        range=Range(1, 4097, "]", whole=True),
        metavar="S",
        fit="8",
        changes=False,
        since="0.2",
    )
    reduce: str = training_setting(
        "exact",
        "How processes add gradients: exact (the default), with the same bits whatever their number, or fast.",
        "exact or fast",
        "exact",
        metavar="HOW",
        changes=False,
        since="0.2",
    )
    l1: float = training_setting(
        0.0,
        "Adds l1·Σ|w| over the weights to the loss.",
        "a number, 0 or more",
        "0.001",
        range=NOT_NEGATIVE,
        metavar="L1",
        fit="0.0",
    )
    l2: float = training_setting(
        0.0,
        "Adds l2·Σw² over the weights to the loss.",
        "a number, 0 or more",
        "0.001",
        range=NOT_NEGATIVE,
        metavar="L2",
        fit="0.0",
        suits=True,
    )
    patience: int | None = training_setting(
        None,
        "Stop after so many epochs without a better validation loss.",
        WHOLE,
        "20",
        range=COUNT,
        metavar="N",
        fit="10",
        absent=True,
        suits=True,
    )
    min_delta: float = training_setting(
        0.0,
        "By how much a validation loss must be lower to count as better.",
        "a number, 0 or more",
        "0.001",
        range=NOT_NEGATIVE,
        panel=None,
        fit="0.0",
    )
    freeze: str | None = training_setting(
        None,
        "Parameters that stay as they are, by patterns of their paths: layers[0].*",
        "patterns of paths with commas between them",
        "layers[0].*",
        metavar="PATHS",
        absent=True,
        since="0.2",
        changes=False,
    )
    param_groups: str | None = training_setting(
        None,
        "Settings of the optimizer that differ for some parameters: *.bias:weight_decay=0;layers[0].*:factor=0.1",
        "patterns of paths with settings, SETTING=NUMBER, and semicolons between them",
        "*.bias:weight_decay=0",
        metavar="PATHS:SETTINGS",
        absent=True,
        since="0.2",
        changes=False,
    )
    accumulate: int = training_setting(
        1,
        "One update for the mean of the gradients of so many batches (1).",
        WHOLE,
        "4",
        range=COUNT,
        metavar="N",
        fit="4",
        since="0.2",
        changes=False,
    )
    ema: float | None = training_setting(
        None,
        "Evaluate and keep a running average of the weights, of which a step keeps this share: 0.999.",
        SHARE_OF_ONE,
        "0.999",
        range=SHARE,
        metavar="SHARE",
        fit="0.999",
        absent=True,
        since="0.2",
        changes=False,
    )
    shuffle: bool = training_setting(
        True,
        "Whether every epoch has an order of its own.",
        "true or false",
        "true",
        panel=None,
        changes=False,
    )
    seed: int = training_setting(
        0,
        "Same seed, same network, to the bit (0).",
        "a whole number from 0 up to 2**64 - 1",
        "0",
        range=Range(0, 2**64, "]", whole=True),
        metavar="N",
        changes=False,
    )

    @property
    def own_seed(self) -> int:
        """The seed of the first weights and of all that is drawn in training: for each member of an ensemble another.

        >>> Settings(seed=7).own_seed, Settings(seed=7, member=2).own_seed
        (7, 6761626009778191725)
        """
        return self.seed if self.member == 1 else int(np.random.Philox(key=[self.seed, self.member]).random_raw())

    @property
    def penalty(self) -> Penalty:
        """What is added to the loss for large weights."""
        return Penalty(self.l1, self.l2)

    def options(self) -> dict[str, object]:
        """The settings that the command line has, as JSON values: what repeats the command."""
        values = asdict(self)
        return {name: values[name] for name in OPTIONS}

    def kept(self) -> dict[str, object]:
        """The settings of the training, as `config.json` keeps them."""
        values = asdict(self)
        return {name: values[name] for name in KEPT}

    @classmethod
    def from_record(cls, value: Any, what: str, where: str) -> Self:
        """The settings of a record, which `kept` wrote.  Raises RunError for anything else."""
        known = {name: declaration_of(name) for name in KEPT}
        given = {name: default_of(name) for name, said in known.items() if said.since != FIRST}
        given |= require_keys({**given, **value} if isinstance(value, dict) else value, set(KEPT), what, where)
        hints = get_type_hints(cls)
        for name, item in given.items():
            place = f"{where}, {name}"
            checked_value(_RECORDED.get(name, hints[name]), item, what, place)
            if item is None and not known[name].absent:
                refuse(what, "a value", "null", place)
        return cls(**{**given, "metrics": tuple(given["metrics"])})


def declaration_of(name: str) -> Declaration:
    """What is declared of the setting of that name."""
    found: Declaration = _FIELDS[name].metadata["declared"]
    return found


def default_of(name: str) -> Any:
    """The default of a setting."""
    return _FIELDS[name].default


def option_of(name: str) -> str:
    """The command line's word for a setting."""
    if name == "data":
        return "DATA"
    return (*declaration_of(name).words, "--" + name.replace("_", "-"))[0]


_RECORDED: Mapping[str, Any] = {
    "optimizer": dict[str, object] | None,
    "class_weight": dict[str, float] | None,
    "costs": dict[str, object] | None,
}
"""The types that a record holds where the command line holds text."""
_FIELDS: Mapping[str, Field[Any]] = {f.name: f for f in fields(Settings)}
OPTIONS = tuple(name for name in _FIELDS if declaration_of(name).panel)
"""The settings that `clearprop train` has options for."""
KEPT = tuple(name for name in _FIELDS if declaration_of(name).kept)
"""The settings that `config.json` keeps."""
CHANGEABLE = tuple(name for name in _FIELDS if declaration_of(name).changes)
"""What a fork may change: all that keeps parameters, data and random numbers what they were."""
SUITED = tuple(name for name in _FIELDS if declaration_of(name).suits)
"""The settings of which the command line chooses what suits the data."""


def hidden_activations() -> tuple[str, ...]:
    """The activations for hidden layers, by name."""
    return ("linear", *(name for name in ACTIVATIONS if "softmax" not in name))
