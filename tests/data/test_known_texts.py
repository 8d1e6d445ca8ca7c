"""Texts that a reader knows by their levels or bytes mean what they mean one by one: kinds, values, errors, streams."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearprop.data.columns import Column, Levels
from clearprop.data.kinds.times import read_times
from clearprop.data.readers import csv_file
from clearprop.data.streaming import memory
from clearprop.data.streaming.early_columns import EarlyColumns
from clearprop.data.streaming.streamed_table import stream_table
from clearprop.data.training_data import from_source
from clearprop.errors import ClearpropError

POOLS = {
    "words": ["red", "green", "dark blue", "", "NA"],
    "dates": ["2021-03-04", "2020-12-31", "2021-02-30", "1999-01-01", "2021-03-04Z", ""],
    "orders": ["03/04/2021", "13/04/2021", "03/14/2021", "03/03/2021", "x"],
    "clocks": ["12:30", "23:59", "24:01", "1:59.5", "7"],
    "truths": ["yes", "no", "Yes", "NO", ""],
    "among": [*map(str, range(20, 50)), "n.a.", "2020Q1"],
    "marked": ["$5", "$7", "8", "9 %", "0815"],
    "weeks": ["2020-W05", "2020-W54", "2021Q1", "20210304"],
}


def outcome(path, streamed):
    """What is learned from a table, or why it is refused."""
    try:
        if streamed:
            found = stream_table(path, "t.csv", None, "auto", 0.2, 0.2, 0, 10**6)
            train = found.train.x.get(0, len(found.train)), found.train.y.get(0, len(found.train))
            return found.preprocessing, found.notes[:-1], [part.tobytes() for part in train]
        found = from_source(path, None, "auto", 0.2, 0.2, 0)
        return found.preprocessing, found.told["notes"], [part.tobytes() for part in found.train]
    except ClearpropError as error:
        return str(error)


@settings(max_examples=12)
@given(
    pools=st.lists(st.sampled_from([*POOLS]), min_size=2, max_size=3),
    rows=st.integers(8, 60),
    seed=st.integers(0, 2**32 - 1),
    twice=st.booleans(),
)
def test_texts_that_are_known_mean_the_same(pools, rows, seed, twice, tmp_path_factory):
    rng = np.random.default_rng(seed)
    columns = [[*rng.choice(POOLS[name], rows)] for name in pools] + [
        [*rng.choice(["a", "b", ""], rows, p=[0.5, 0.4, 0.1])]
    ]
    if twice:  # so the first look takes them for few
        columns = [[column[0], *column] for column in columns]
    path = tmp_path_factory.getbasetemp() / "known.csv"
    names = [f"{name} {i}" for i, name in enumerate([*pools, "kind"])]
    path.write_text("\n".join(map(",".join, [names, *zip(*columns, strict=True)])) + "\n")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(memory, "LEAST_MEMORY", 1)
        patched.setattr(memory, "FIXED", 0)
        patched.setattr(memory.Budget, "text", 64)  # bytes: several blocks
        for streamed in (False, True):
            patched.setattr(csv_file, "_SOME", 10**9)
            with pytest.MonkeyPatch.context() as later:  # nothing is stored before all rows were looked at
                later.setattr(EarlyColumns, "of_file", lambda *_: None)
                one_by_one = outcome(path, streamed)
            assert outcome(path, streamed) == one_by_one
            patched.setattr(csv_file, "_SOME", 2)
            assert outcome(path, streamed) == one_by_one
            patched.setattr(memory.Budget, "texts", 900)  # of bytes: room for few of them
            assert outcome(path, streamed) == one_by_one
            patched.setattr(memory.Budget, "texts", 10**5)


@given(
    texts=st.lists(st.sampled_from(["03/04/2021", "04/03/2021", "13/04/2021", "2020-01-01", "x", None]), min_size=1),
    seed=st.integers(0, 2**32 - 1),
)
def test_rows_that_are_taken_show_what_they_show_alone(texts, seed):
    """The example of a date that has two readings is the first of the rows; levels that are gone say nothing."""
    levels = Levels.of(np.array(texts, dtype=object))
    rows = np.random.default_rng(seed).integers(0, len(texts), len(texts))
    column = Column("t", "category", levels.texts, known=levels).take(rows)
    alone = Column("t", "category", np.array(texts, dtype=object)[rows])
    assert column.coded is not None and alone.coded is None
    assert column.levels.in_order().different.tolist() == alone.levels.different.tolist()
    assert column.levels.occurrences == alone.levels.occurrences
    assert column.missing.tolist() == alone.missing.tolist() and set(column.levels.there) == set(alone.levels.there)
    ours, theirs = read_times(column), read_times(alone)
    assert ours.evidence == theirs.evidence
    for order, seconds in theirs.seconds.items():
        np.testing.assert_array_equal(ours.seconds[order], seconds)
