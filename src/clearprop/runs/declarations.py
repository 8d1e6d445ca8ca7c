"""What is declared of a setting of a run: its range, words and example, and where the command line shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from clearprop.optim.hyperparameters import Range

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


def data_setting(default: Any, meaning: str, expected: str, example: str, **more: Any) -> Any:
    """A setting of how data are read and divided."""
    return setting(default, meaning, expected, example, panel=DATA, **more)


def training_setting(default: Any, meaning: str, expected: str, example: str, **more: Any) -> Any:
    """A setting of the training, which `config.json` keeps and a fork may change."""
    return setting(default, meaning, expected, example, **{"panel": TRAINING, "kept": True, "changes": True, **more})


WHOLE = "a whole number, 1 or more"
COUNT = Range(1, whole=True)
NOT_NEGATIVE = Range(0.0, open_="]")
SHARE = Range(0.0, 1.0, "]")
SHARE_OF_ONE = "a share from 0 up to, but not including, 1"
OF_ROWS = "a share of the rows from 0 up to, but not including, 1"
