"""What is declared of a setting of a run, and the first of them: how data are read and which rows do what.

Of each its range, words and example are declared, and where the command line shows it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from clearprop.data.readers.formats import DATA_FILE, DATA_HELP, STREAMED, USUAL_CONTEXT, forms_text
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


WHOLE = "a whole number from 1 up to 2**63 - 1"
COUNT = Range(1, 2**63, "]", whole=True)
NOT_NEGATIVE = Range(0.0, open_="]")
SHARE = Range(0.0, 1.0, "]")
SHARE_OF_ONE = "a share from 0 up to, but not including, 1"
OF_ROWS = "a share of the rows from 0 up to, but not including, 1"


@dataclass(frozen=True)
class DataSettings:
    """How a run reads its data, and which rows train, validate and test."""

    data: str | None = data_setting(
        None,
        f"{DATA_HELP}, - for standard input, or a bundled set: "
        "digits, iris, wine, breast-cancer, diabetes, penguins, spirals.",
        f"{DATA_FILE}, or a bundled set",
        "digits",
        metavar="DATA",
    )
    target: str | None = data_setting(
        None,
        "The column to learn, by default the last; or several of numbers, or of two values each: height,weight.",
        "the name of a column, or names with commas between them",
        "price",
        metavar="COL",
    )
    task: str = data_setting(
        "auto",
        "auto (the default), classification or regression.",
        "auto, classification or regression",
        "auto",
    )
    val: float = data_setting(
        0.15,
        "The share of rows that chooses the best epoch (0.15).",
        OF_ROWS,
        "0.15",
        range=SHARE,
        metavar="SHARE",
    )
    test: float = data_setting(
        0.15,
        "The share of rows that is used once, at the end (0.15).",
        OF_ROWS,
        "0.15",
        range=SHARE,
        metavar="SHARE",
    )
    unit: str | None = data_setting(
        None,
        "DATA is running text, of which what comes next is learned: char, by characters, or word.",
        "char or word",
        "char",
        metavar="WORD",
        kept=True,
        absent=True,
        since="0.2",
    )
    context: int = data_setting(
        USUAL_CONTEXT,
        "From up to so many characters or words before it each is foretold (128).",
        WHOLE,
        "128",
        range=Range(1, 65_537, "]", whole=True),
        metavar="N",
        fit="128",
        kept=True,
        since="0.2",
    )
    encoding: str | None = data_setting(
        None,
        "The encoding of a text file; by default what it shows.",
        "the name of an encoding",
        "cp1252",
        metavar="NAME",
    )
    delimiter: str | None = data_setting(
        None,
        "What stands between the fields of a text file: , ; | tab or space.",
        ", ; | tab or space",
        ";",
        metavar="SIGN",
    )
    decimal: str | None = data_setting(
        None, "What stands before decimals; the other sign groups thousands.", ". or ,", ",", metavar="SIGN"
    )
    header: str | None = data_setting(
        None,
        "Whether the first line holds names: auto (the default), yes or no (or --no-header).",
        "auto, yes or no",
        "no",
        metavar="WORD",
    )
    missing: str | None = data_setting(
        None,
        "The words for a missing value, in place of NA, null, ? and the like; '' for empty cells alone.",
        "words with commas between them",
        "NA,-,999",
        metavar="WORDS",
    )
    size: str | None = data_setting(
        None,
        "Of pictures in files: the height and width to which all are resized, 32x32.",
        "HEIGHTxWIDTH, two whole numbers from 1",
        "32x32",
        metavar="HxW",
        since="0.2",
    )
    drop: str | None = data_setting(
        None,
        "Columns to leave out.",
        "names of columns with commas between them",
        "id,name",
        metavar="COLS",
    )
    only: str | None = data_setting(
        None,
        "The columns to learn from; all others are left out.",
        "names of columns with commas between them",
        "size,age",
        metavar="COLS",
    )
    kind: str | None = data_setting(
        None,
        "What columns are: number, category, date, day-first, month-first, text, list, or words in order: S<M<L.",
        "COL=KIND, with commas between them",
        "zip=category,size=S<M<L",
        metavar="COL=KIND",
    )
    split: str = data_setting(
        "random",
        "How rows are divided: random (the default), time:COL (the latest test), group:COL (rows of one value stay "
        "together) or column:COL (it says train, validation or test).",
        "random, time:COL, group:COL or column:COL",
        "time:date",
        metavar="WAY",
    )
    group: str | None = data_setting(
        None, "Rows with one value in this column stay in one part.", "the name of a column", "customer", metavar="COL"
    )
    sequence: str | None = data_setting(
        None,
        "Rows are steps: those of one ID, in the order of TIME, are one sequence, which has one target; for "
        "--model lstm, gru, rnn or transformer.",
        "ID:TIME, two columns",
        "patient:day",
        metavar="ID:TIME",
        since="0.2",
    )
    weight: str | None = data_setting(
        None,
        "The column of numbers, 0 or more, that says how much each row counts.",
        "the name of a column",
        "weight",
        metavar="COL",
    )
    target_transform: str = data_setting(
        "none",
        "What is learned of a target of numbers: none, as it is; log, log(1 + y), or quantile, normal scores, for long "
        "tails; auto, what is clearly best on the validation part.",
        "none, log, quantile or auto",
        "log",
        metavar="NAME",
        since="0.2",
        suits=True,
    )
    memory: int | None = data_setting(
        None,
        "The most memory that data may take: 500MB, 2GB; "
        f"larger {forms_text('and', STREAMED)} files are streamed. "
        "By default half of what is free.",
        "a size, such as 500MB or 2GB",
        "500MB",
        range=COUNT,
        metavar="SIZE",
    )
    member: int = data_setting(
        1,
        "Which member of an ensemble this is: the rows that validate, the first weights and the order are drawn anew "
        "for each; the rows that test stay (1).",
        "a whole number from 1 up to 2**64 - 1",
        "2",
        range=Range(1, 2**64, "]", whole=True),
        metavar="K",
        kept=True,
        since="0.2",
    )
