"""The columns of a table in an ONNX graph: one input each, encoded as in training.

Texts become the number of a row in a table of features, which the encoding itself has filled; numbers and times are
traced as any computation is.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from clearprop.data.columns import TRUTHS, Column, ColumnKind, Findings
from clearprop.data.encodings import CategoryEncoding, Encoding, NumberEncoding
from clearprop.data.kinds.time_encoding import TimeEncoding
from clearprop.data.kinds.word_encodings import ListEncoding, OrdinalEncoding, TextEncoding
from clearprop.data.preprocessing import Preprocessing
from clearprop.data.readers.reading import MISSING
from clearprop.errors import ArgumentError, user_line
from clearprop.exporting.onnx.graph import ML, GraphBuilder, element_type
from clearprop.exporting.onnx.times import PARTS, missing_pattern, read_times, time_features
from clearprop.program.types import BOOL, FLOAT32, FLOAT64, Type
from clearprop.rules.elementwise import abs, astype, isnan, less_equal, where
from clearprop.rules.joining import concat

Enter: TypeAlias = Callable[[Callable[..., Any], Sequence[Type], Sequence[str], GraphBuilder], str]
"""What traces a function of values of these types, puts it into a graph, and names its result."""
TEXT = np.dtype(object)


@dataclass(frozen=True)
class ColumnInput:
    """An input of the graph, one column of the table `(N, 1)`: its name in the graph, and what stands in it."""

    name: str
    column: str
    dtype: np.dtype[Any]
    note: str


def inputs_of(fitted: Preprocessing, graph: GraphBuilder) -> list[ColumnInput]:
    """The input of each column of training, in their order, under its own name.

    An ensemble encodes each column several times: its columns have the inputs of the source in turn.

    Raises ArgumentError that names every column which ONNX cannot encode.
    """
    if fitted.sequence is not None:
        raise ArgumentError(
            "rows cannot be put together to sequences in ONNX",
            expected="a run whose rows are examples",
            got=f"sequences by {' and '.join(map(repr, fitted.sequence.columns))}",
            where=user_line(),
            try_="--format python or --format safetensors, which hold the network for encoded sequences",
        )
    lost = [c.name for c in fitted.source_columns if isinstance(c, TextEncoding)]
    if lost:
        raise ArgumentError(
            "columns of free text cannot be exported to ONNX: it has no hash of three characters at a time",
            expected="numbers, truth values, categories, lists, words in an order, dates",
            got=", ".join(map(repr, lost)),
            where=user_line(),
            try_="train with --drop " + ",".join(lost) + ", or --format safetensors, which holds the network alone",
        )
    names = {c.name: graph.unique(c.name) for c in fitted.source_columns}
    return [ColumnInput(names[c.name], c.name, _dtype(c), _note(c)) for c in fitted.columns]


def _dtype(column: Encoding) -> np.dtype[Any]:
    return FLOAT64 if isinstance(column, NumberEncoding) and column.kind == "number" else TEXT


def _note(column: Encoding) -> str:
    """What stands in an input, for its readers."""
    if isinstance(column, TimeEncoding):
        last = {"day-first": ", 31/12/2021", "month-first": ", 12/31/2021"}.get(column.order, "")
        if column.zoned:
            return f"a time with its zone as text: 2021-12-31 23:59:59+00:00{last} 23:59Z; empty where missing"
        return f"a date or time as text: 2021-12-31{last}, 31 Dec 2021, with or without 23:59:59; empty where missing"
    if isinstance(column, ListEncoding):
        return f"text: items with {column.separator} between them; empty where it is missing"
    if isinstance(column, NumberEncoding):
        numbers = column.kind == "number"
        return "number; NaN where it is missing" if numbers else "text: true or false, yes or no; empty where missing"
    return "text; empty where it is missing"


def encode_columns(
    fitted: Preprocessing, inputs: Sequence[ColumnInput], graph: GraphBuilder, rows: Any, enter: Enter
) -> str:
    """The features `(N, features)` float32, as `Preprocessing` encodes them; `rows` is the size N.

    What it refuses (a text where a truth value or a date must be, an infinite number, a word without a place in the
    order) is NaN here.
    """
    words = ("", *(MISSING if fitted.missing is None else fitted.missing))
    blocks: list[str] = []
    places: list[int] = []  # of the features in the blocks
    starts = itertools.accumulate((len(c.features) for c in fitted.columns), initial=0)
    placed = list(zip(fitted.columns, inputs, starts, strict=False))
    numbers = [(c, i.name, at) for c, i, at in placed if isinstance(c, NumberEncoding) and c.kind == "number"]
    if numbers:
        columns = [c for c, _, _ in numbers]
        blocks.append(_encode_numbers(columns, [name for _, name, _ in numbers], graph, rows, enter))
        places += [at for *_, at in numbers] + [at + 1 for c, _, at in numbers if c.indicator]
    for column, given, at in placed:
        if given.dtype == TEXT:
            blocks.append(_encode_text(column, given.name, graph, rows, enter, words))
            places += range(at, at + len(column.features))
    found = blocks[0] if len(blocks) == 1 else graph.node("Concat", *blocks, axis=1, name="features")
    if places == sorted(places):
        return found
    return graph.node("Gather", found, graph.numbers(np.argsort(places).tolist()), axis=1, name="features")


# -------------------------------------------------------------------------------------------------------- numbers
def _encode_numbers(
    columns: Sequence[NumberEncoding], names: Sequence[str], graph: GraphBuilder, rows: Any, enter: Enter
) -> str:
    """(v − centre) / scale with a missing v replaced, all columns at once; then what marks missing values."""
    values = names[0] if len(names) == 1 else graph.node("Concat", *names, axis=1, name="numbers")
    fill, centre, scale = (np.array([getattr(c, f) for c in columns]) for f in ("fill", "centre", "scale"))
    marked = [i for i, column in enumerate(columns) if column.indicator]

    def encoded(v: Any) -> Any:
        absent = isnan(v)
        scaled = (where(absent, fill, v) - centre) / scale
        usable = less_equal(abs(scaled), float(np.finfo(np.float32).max))
        features = astype(where(usable, scaled, np.nan), dtype=FLOAT32)
        marks = [astype(absent[:, i : i + 1], dtype=FLOAT32) for i in marked]
        return concat([features, *marks], axis=1) if marks else features

    return enter(encoded, [Type((rows, len(columns)), FLOAT64)], [values], graph)


# ---------------------------------------------------------------------------------------------------------- texts
def _encode_text(
    column: Encoding, name: str, graph: GraphBuilder, rows: Any, enter: Enter, words: Sequence[str]
) -> str:
    if isinstance(column, TimeEncoding):
        missing = encoded_rows(column, np.array([np.nan]))
        types = [Type((rows, len(PARTS)), FLOAT64), *[Type((rows, 1), BOOL)] * 2]
        taken = read_times(name, graph, words, column.order, column.zoned)
        return enter(time_features(column, missing), types, taken.names, graph)
    if isinstance(column, ListEncoding):
        return _encode_list(column, name, graph, words)
    texts, features = text_table(column, words)
    keys = list(texts)
    coded = graph.node(
        "LabelEncoder", name, domain=ML, keys_strings=keys, values_int64s=list(texts.values()),
        default_int64=len(features) - 1, name=f"{name} code",
    )  # fmt: skip
    table = graph.constant(features)
    picked = graph.node("Gather", table, coded, axis=0)
    return graph.node("Squeeze", picked, graph.numbers([1]), name=f"{name} features")


def text_table(column: Encoding, words: Sequence[str]) -> tuple[dict[str, int], NDArray[np.float32]]:
    """Every text that a column knows with its row in a table of features, whose last row is that of any other text.

    The rows are what the encoding itself gives; NaN for texts that it refuses.

    >>> colour = CategoryEncoding("colour", ("blue", "red"), indicator=True, missing=1, rare=0)
    >>> text_table(colour, ("", "NA"))[0]
    {'blue': 0, 'red': 1, '': 2, 'NA': 2}
    >>> text_table(colour, ("", "NA"))[1].tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """
    if isinstance(column, NumberEncoding):
        known = ["true", "false"]
        numbers = {spelled: int(not truth) for word, truth in TRUTHS.items() for spelled in spellings(word)}
    else:
        assert isinstance(column, CategoryEncoding | OrdinalEncoding)
        known = list(column.levels)
        numbers = {level: i for i, level in enumerate(known)}
    features = encoded_rows(column, np.array([*known, None], dtype=object))
    other = 0.0 if isinstance(column, CategoryEncoding) else np.nan
    numbers |= {word: len(known) for word in words if word not in numbers}
    return numbers, np.concatenate([features, np.full((1, features.shape[1]), other, np.float32)])


def spellings(word: str) -> Iterator[str]:
    """A word in every mixture of small and capital letters.

    >>> list(spellings("no"))
    ['no', 'nO', 'No', 'NO']
    """
    letters = [dict.fromkeys((letter, letter.upper())) for letter in word]
    return map("".join, itertools.product(*letters))


def encoded_rows(column: Encoding, values: NDArray[Any]) -> NDArray[np.float32]:
    """The features of values, `(rows, features)`, by the encoding itself."""
    kind: ColumnKind = "category" if values.dtype == TEXT else "time"
    return np.ascontiguousarray(column.encode(Column(column.name, kind, values), lambda *_: "", Findings()).T)


def _encode_list(column: ListEncoding, name: str, graph: GraphBuilder, words: Sequence[str]) -> str:
    """Whether each item stands in the list: between separators, or at an end."""
    sign = re.escape(column.separator)
    patterns = [rf"(?s)(?:.*{sign})?\s*{re.escape(item)}\s*(?:{sign}.*)?" for item in column.items]
    patterns += [missing_pattern(words)] if column.indicator else []
    parts = [graph.node("RegexFullMatch", name, pattern=pattern, name="item") for pattern in patterns]
    whole = parts[0] if len(parts) == 1 else graph.node("Concat", *parts, axis=1, name=f"{name} items")
    return graph.node("Cast", whole, to=element_type(FLOAT32), name=f"{name} features")
