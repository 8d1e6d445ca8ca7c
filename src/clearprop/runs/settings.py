"""The settings of a run, each declared once: default, range, what it may be in words, and its word on the command line.

The checks of `cl.fit`, the options and the help of `clearprop train`, TOML and JSON files, `config.json`, forks and
comparisons are made from these fields.  Another setting is one more field here, and its use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any, Self, get_type_hints

from clearprop.data.readers.formats import DATA_FILE, STREAMED, forms_text
from clearprop.files.strict_json import checked_value, refuse, require_keys
from clearprop.nn import ACTIVATIONS, Penalty
from clearprop.optim.hyperparameters import Range

LARGEST_LAYER = 65_536
"""The most units of a hidden layer."""
REDUCTIONS = ("exact", "fast")
"""How processes may add gradients."""
RECIPES = ("plain", "best")
"""The names of the recipes for what is not asked for."""
FIRST = "0.1"
"""The version whose records of runs had the first settings."""
DATA, NETWORK, TRAINING = "Data", "Network", "Training"
"""The panels of `clearprop train --help`."""


@dataclass(frozen=True)
class Declaration:
    """What is declared of a setting.

    meaning      one sentence for the help
    expected     what it may be, in words
    example      a value as it is typed
    range        the numbers that it may be; None where it is no number, or where something else decides
    panel        where the help of the command line shows it; None: the command line has no such option
    metavar      what stands for the value in the help
    words        its options, where they are not the field's name
    fit          an example for `cl.fit`; None: it has no such argument, or checks it elsewhere
    kept         whether `config.json` keeps it among the settings of the training
    absent       whether a run may have none of it
    since        the version that brought it: in the record of an older run it has its default
    changes      whether a fork may change it
    suits        whether the command line chooses what suits the data where nothing is asked for
    """

    meaning: str
    expected: str
    example: str
    range: Range | None = None
    panel: str | None = None
    metavar: str | None = None
    words: tuple[str, ...] = ()
    fit: str | None = None
    kept: bool = False
    absent: bool = False
    since: str = FIRST
    changes: bool = False
    suits: bool = False


def setting(default: Any, meaning: str, expected: str, example: str, **more: Any) -> Any:
    """A field of `Settings`, with its declaration."""
    return field(default=default, metadata={"declared": Declaration(meaning, expected, example, **more)})


def _data(default: Any, meaning: str, expected: str, example: str, **more: Any) -> Any:
    return setting(default, meaning, expected, example, panel=DATA, **more)


def _training(default: Any, meaning: str, expected: str, example: str, **more: Any) -> Any:
    return setting(default, meaning, expected, example, **{"panel": TRAINING, "kept": True, "changes": True, **more})


_WHOLE = "a whole number, 1 or more"
_COUNT = Range(1, whole=True)
_NOT_NEGATIVE = Range(0.0, open_="]")
_SHARE = Range(0.0, 1.0, "]")
_SHARE_OF_ONE = "a share from 0 up to, but not including, 1"
_OF_ROWS = "a share of the rows from 0 up to, but not including, 1"


@dataclass(frozen=True)
class Settings:
    """How a run reads its data, builds its network and trains it.

    `optimizer` is text (`sgd:momentum=0.9`) where it was asked for on the command line, and its `to_config()` in the
    record of a run, or None for one that cannot be written down.
    """

    data: str | None = _data(
        None,
        f"A {forms_text()} file, - for standard input, or a bundled set: "
        "digits, iris, wine, breast-cancer, diabetes, penguins, spirals.",
        f"{DATA_FILE}, or a bundled set",
        "digits",
        metavar="DATA",
    )
    target: str | None = _data(
        None, "The column to learn; by default the last.", "the name of a column", "price", metavar="COL"
    )
    task: str = _data(
        "auto",
        "auto (the default), classification or regression.",
        "auto, classification or regression",
        "auto",
    )
    val: float = _data(
        0.15,
        "The share of rows that chooses the best epoch (0.15).",
        _OF_ROWS,
        "0.15",
        range=_SHARE,
        metavar="SHARE",
    )
    test: float = _data(
        0.15,
        "The share of rows that is used once, at the end (0.15).",
        _OF_ROWS,
        "0.15",
        range=_SHARE,
        metavar="SHARE",
    )
    encoding: str | None = _data(
        None,
        "The encoding of a text file; by default what it shows.",
        "the name of an encoding",
        "cp1252",
        metavar="NAME",
    )
    delimiter: str | None = _data(
        None,
        "What stands between the fields of a text file: , ; | tab or space.",
        ", ; | tab or space",
        ";",
        metavar="SIGN",
    )
    decimal: str | None = _data(
        None, "What stands before decimals; the other sign groups thousands.", ". or ,", ",", metavar="SIGN"
    )
    header: str | None = _data(
        None,
        "Whether the first line holds names: auto (the default), yes or no.",
        "auto, yes or no",
        "no",
        metavar="WORD",
    )
    missing: str | None = _data(
        None,
        "The words for a missing value, in place of NA, null, ? and the like; '' for empty cells alone.",
        "words with commas between them",
        "NA,-,999",
        metavar="WORDS",
    )
    drop: str | None = _data(
        None,
        "Columns to leave out.",
        "names of columns with commas between them",
        "id,name",
        metavar="COLS",
    )
    only: str | None = _data(
        None,
        "The columns to learn from; all others are left out.",
        "names of columns with commas between them",
        "size,age",
        metavar="COLS",
    )
    kind: str | None = _data(
        None,
        "What columns are: number, category, date, day-first, month-first, text, list, or words in order: S<M<L.",
        "COL=KIND, with commas between them",
        "zip=category,size=S<M<L",
        metavar="COL=KIND",
    )
    split: str = _data(
        "random",
        "How rows are divided: random (the default), time:COL (the latest test), group:COL (rows of one value stay "
        "together) or column:COL (it says train, validation or test).",
        "random, time:COL, group:COL or column:COL",
        "time:date",
        metavar="WAY",
    )
    group: str | None = _data(
        None, "Rows with one value in this column stay in one part.", "the name of a column", "customer", metavar="COL"
    )
    weight: str | None = _data(
        None,
        "The column of numbers, 0 or more, that says how much each row counts.",
        "the name of a column",
        "weight",
        metavar="COL",
    )
    memory: int | None = _data(
        None,
        "The most memory that data may take: 500MB, 2GB; "
        f"larger {forms_text('and', STREAMED)} files are streamed. "
        "By default half of what is free.",
        "a size, such as 500MB or 2GB",
        "500MB",
        range=_COUNT,
        metavar="SIZE",
    )
    hidden: tuple[int, ...] = setting(
        (),
        "The sizes of the hidden layers: 64,64.",
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
        _SHARE_OF_ONE,
        "0.1",
        range=_SHARE,
        panel=NETWORK,
        metavar="SHARE",
        suits=True,
    )
    recipe: str = setting(
        "plain",
        "What suits the data where nothing else is asked for: plain (the default), or best, with numbers in pieces.",
        "plain or best",
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
    loss: str = _training(
        "cross_entropy",
        "The loss that training minimises: huber:2, quantile:0.9, poisson, focal, cross_entropy:label_smoothing=0.1, …",
        "the name of a loss, perhaps with a setting: quantile:0.9",
        "mse",
        metavar="NAME[:VALUE]",
        changes=False,
        suits=True,
    )
    class_weight: str | dict[str, float] | None = _training(
        None,
        "balanced, so that rare classes weigh as much as frequent ones, or the weights of classes: yes=5,no=1.",
        "balanced, or CLASS=WEIGHT with commas between them, weights from 0 up",
        "balanced",
        metavar="WEIGHTS",
        since="0.2",
        absent=True,
        changes=False,
    )
    metrics: tuple[str, ...] = _training(
        (),
        "What is measured besides the loss.",
        "names of metrics",
        "accuracy",
        panel=None,
        changes=False,
    )
    metric: str = _training(
        "loss",
        "What of the validation part chooses the best epoch: loss (the default), or a metric such as auc or mae.",
        "loss, or the name of a metric",
        "auc",
        metavar="NAME",
        since="0.2",
        changes=False,
    )
    optimizer: str | dict[str, object] | None = _training(
        None,
        "adam, adamw, sgd:momentum=0.9, …",
        "the name of an optimizer, perhaps with settings: sgd:momentum=0.9",
        "adam",
        metavar="NAME[:KEY=VALUE,…]",
        absent=True,
        suits=True,
    )
    lr: float | str | None = _training(
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
    epochs: int = _training(
        100, "At most so many epochs.", _WHOLE, "100", range=_COUNT, metavar="N", fit="100", suits=True
    )
    batch_size: int | None = _training(
        32, "Rows per step.", _WHOLE, "32", range=_COUNT, metavar="N", fit="32", absent=True, suits=True
    )
    least_rows: int = _training(
        1,
        "The fewest rows of a batch: a smaller last one joins the one before it.",
        _WHOLE,
        "1",
        range=_COUNT,
        panel=None,
        changes=False,
        since="0.2",
    )
    grad_shards: int = _training(
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
    reduce: str = _training(
        "exact",
        "How processes add gradients: exact (the default), with the same bits whatever their number, or fast.",
        "exact or fast",
        "exact",
        metavar="HOW",
        changes=False,
        since="0.2",
    )
    l1: float = _training(
        0.0,
        "Adds l1·Σ|w| over the weights to the loss.",
        "a number, 0 or more",
        "0.001",
        range=_NOT_NEGATIVE,
        metavar="L1",
        fit="0.0",
    )
    l2: float = _training(
        0.0,
        "Adds l2·Σw² over the weights to the loss.",
        "a number, 0 or more",
        "0.001",
        range=_NOT_NEGATIVE,
        metavar="L2",
        fit="0.0",
        suits=True,
    )
    patience: int | None = _training(
        None,
        "Stop after so many epochs without a better validation loss.",
        _WHOLE,
        "20",
        range=_COUNT,
        metavar="N",
        fit="10",
        absent=True,
        suits=True,
    )
    min_delta: float = _training(
        0.0,
        "By how much a validation loss must be lower to count as better.",
        "a number, 0 or more",
        "0.001",
        range=_NOT_NEGATIVE,
        panel=None,
        fit="0.0",
    )
    freeze: str | None = _training(
        None,
        "Parameters that stay as they are, by patterns of their paths: layers[0].*",
        "patterns of paths with commas between them",
        "layers[0].*",
        metavar="PATHS",
        absent=True,
        since="0.2",
        changes=False,
    )
    accumulate: int = _training(
        1,
        "One update for the mean of the gradients of so many batches (1).",
        _WHOLE,
        "4",
        range=_COUNT,
        metavar="N",
        fit="4",
        since="0.2",
        changes=False,
    )
    ema: float | None = _training(
        None,
        "Evaluate and keep a running average of the weights, of which a step keeps this share: 0.999.",
        _SHARE_OF_ONE,
        "0.999",
        range=_SHARE,
        metavar="SHARE",
        fit="0.999",
        absent=True,
        since="0.2",
        changes=False,
    )
    shuffle: bool = _training(
        True,
        "Whether every epoch has an order of its own.",
        "true or false",
        "true",
        panel=None,
        changes=False,
    )
    seed: int = _training(
        0,
        "Same seed, same network, to the bit (0).",
        "a whole number from 0 up to 2**64 - 1",
        "0",
        range=Range(0, 2**64, "]", whole=True),
        metavar="N",
        changes=False,
    )

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


_RECORDED: Mapping[str, Any] = {"optimizer": dict[str, object] | None, "class_weight": dict[str, float] | None}
"""The types that a record holds where the command line holds text."""
_FIELDS: Mapping[str, Field[Any]] = {f.name: f for f in fields(Settings)}
OPTIONS = tuple(name for name in _FIELDS if declaration_of(name).panel)
"""The settings that `clearprop train` has options for."""
KEPT = tuple(name for name in _FIELDS if declaration_of(name).kept)
"""The settings that `config.json` keeps."""
CHANGEABLE = tuple(name for name in _FIELDS if declaration_of(name).changes)
"""What a fork may change: all that keeps parameters, data and random numbers what they were."""


def hidden_activations() -> tuple[str, ...]:
    """The activations for hidden layers, by name."""
    return ("linear", *(name for name in ACTIVATIONS if "softmax" not in name))


SUITED = tuple(name for name in _FIELDS if declaration_of(name).suits)
"""The settings of which the command line chooses what suits the data."""
