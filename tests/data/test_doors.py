"""Arrays, columns and frames of every kind at every door of data: taken with the same values, or refused."""

import decimal

import numpy as np
import pandas
import polars
import pytest

import clearprop as cl
from clearprop.data.readers.sources import read
from clearprop.errors import ClearpropError

X = np.random.default_rng(0).normal(size=(40, 2))
Y = (X[:, 0] > 0).astype(int)
WHOLE = np.round(X * 10)


def strided(a):
    wide = np.zeros((len(a), 2 * a.shape[1]))
    wide[:, ::2] = a
    return wide[:, ::2]


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


# every member holds the values of WHOLE, in another way
MEMBERS = {
    "big endian": WHOLE.astype(">f8"),
    "big endian integers": WHOLE.astype(">i4"),
    "float32": WHOLE.astype(np.float32),
    "int8": WHOLE.astype(np.int8),
    "columns first": np.asfortranarray(WHOLE),
    "strided": strided(WHOLE),
    "reversed": WHOLE[::-1][::-1],
    "read-only": read_only(WHOLE),
    "list": WHOLE.tolist(),
    "objects": WHOLE.astype(object),
    "objects of both kinds": np.array([[int(a), float(b)] for a, b in WHOLE], dtype=object),
    "masked nowhere": np.ma.array(WHOLE, mask=False),
    "tensor": cl.asarray(WHOLE),
    "pandas": pandas.DataFrame(WHOLE),
    "pandas Int64": pandas.DataFrame(WHOLE).astype("Int64"),
    "pandas Float64": pandas.DataFrame(WHOLE).astype("Float64"),
    "polars": polars.DataFrame(WHOLE),
}
REFUSED = {
    "masked": np.ma.array(WHOLE, mask=WHOLE > 5),
    "complex": WHOLE.astype(complex),
    "float16": WHOLE.astype(np.float16),
    "float128": WHOLE.astype(np.longdouble),
    "text": WHOLE.astype(str),
    "objects with None": np.where(WHOLE > 5, None, WHOLE),
    "objects with text": np.where(WHOLE > 5, "a", WHOLE.astype(object)),
    "dates": np.full((40, 2), "2020-01-01", dtype="M8[D]"),
    "records": np.zeros((40, 2), dtype=[("a", float)]),
    "ragged": [[1.0], [1.0, 2.0]] * 20,
    "pandas with gaps": pandas.DataFrame(WHOLE).astype("Int64").replace(3, pandas.NA),
    "long integers": np.full((40, 2), 10**30, dtype=object),
}


@pytest.fixture(scope="module")
def run():
    with pytest.MonkeyPatch.context() as patch:
        from clearprop.train import job
        from clearprop.train.executor import eager_executor

        patch.setattr(job, "choose_executor", eager_executor)
        return cl.fit(cl.nn.mlp([2, 3, 2], seed=0), (WHOLE, Y), epochs=1, progress=False)


DOORS = {
    "fit": lambda run, x: cl.fit(cl.nn.mlp([2, 3, 2], seed=0), (x, Y), epochs=1, progress=False).history[-1]["train"],
    "predict": lambda run, x: run.predict(x).tolist(),
    "evaluate": lambda run, x: run.evaluate(x, Y),
    "read": lambda run, x: [c.values.tolist() for c in read((x, Y)).columns],
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("member", MEMBERS)
def test_values_stay_the_same(door, member, run, eager):
    assert DOORS[door](run, MEMBERS[member]) == DOORS[door](run, WHOLE)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("member", REFUSED)
def test_what_has_other_values_is_refused(door, member, run, eager):
    if (door, member) == ("read", "masked"):
        assert np.array_equal(
            np.isnan(np.stack([c.values for c in read((REFUSED[member], Y)).columns[:2]], 1)), WHOLE > 5
        )
        return
    with pytest.raises(ClearpropError) as caught:
        DOORS[door](run, REFUSED[member])
    assert caught.value.expected and caught.value.got and caught.value.try_


LABELS = {
    "bool": Y > 0,
    "uint64": Y.astype(np.uint64),
    "big endian": Y.astype(">i8"),
    "column": Y[:, None],
    "objects": Y.astype(object),
    "list": Y.tolist(),
    "pandas": pandas.Series(Y),
    "pandas Int8": pandas.Series(Y, dtype="Int8"),
    "pandas boolean": pandas.Series(Y > 0, dtype="boolean"),
}


@pytest.mark.parametrize("member", LABELS)
def test_labels_stay_the_same(member):
    assert read((WHOLE, LABELS[member])).columns[-1].values.tolist() == Y.tolist()


# ------------------------------------------------------------------------------------------------- pandas' indices
@pytest.mark.parametrize("door", ["fit", "evaluate", "read", "validation"])
def test_rows_that_are_labelled_otherwise_do_not_meet(door, run, eager):
    x, y = pandas.DataFrame(WHOLE), pandas.Series(Y)
    moved = y.sample(frac=1, random_state=0)
    net = cl.nn.mlp([2, 3, 2], seed=0)
    acts = {
        "fit": lambda y: cl.fit(net, (x, y), epochs=1, progress=False),
        "evaluate": lambda y: run.evaluate(x, y),
        "read": lambda y: read((x, y)),
        "validation": lambda y: cl.fit(net, (x, Y), validation=(x, y), epochs=1, progress=False),
    }
    acts[door](y)
    acts[door](y.to_numpy())
    with pytest.raises(ClearpropError, match="labelled otherwise") as caught:
        acts[door](moved)
    assert "y = y.loc[x.index]" in caught.value.try_


# ------------------------------------------------------------------------------------------------ columns of frames
GAPS = [True, None, False, True]
COLUMNS = {
    "truth values with gaps": (pandas.Series(GAPS, dtype=object), "boolean", [1, None, 0, 1]),
    "nullable truth values": (pandas.Series(GAPS, dtype="boolean"), "boolean", [1, None, 0, 1]),
    "floats as objects": (pandas.Series([1.5, None, 2, 3], dtype=object), "number", [1.5, None, 2, 3]),
    "integers as objects": (pandas.Series([1, 2, 3, 4], dtype=object), "number", [1, 2, 3, 4]),
    "decimals": (pandas.Series([decimal.Decimal("1.5")] * 4, dtype=object), "number", [1.5] * 4),
    "nullable integers": (pandas.Series([1, None, 3, 4], dtype="Int64"), "number", [1, None, 3, 4]),
    "nullable floats": (pandas.Series([1, None, 3, 4], dtype="Float32"), "number", [1, None, 3, 4]),
    "uint64": (pandas.Series([1, 2, 3, 2**63], dtype="uint64"), "number", [1, 2, 3, float(2**63)]),
    "float16": (pandas.Series([1, 2, 3, 4], dtype="float16"), "number", [1, 2, 3, 4]),
    "strings": (pandas.Series(["a", None, "b", "c"], dtype="string"), "category", ["a", None, "b", "c"]),
    "categories": (pandas.Series(["a", None, "b", "c"], dtype="category"), "category", ["a", None, "b", "c"]),
    "dates as objects": (
        pandas.Series([pandas.Timestamp("2020-01-02").date()] * 4, dtype=object), "category", ["2020-01-02"] * 4,
    ),
    "arrow integers": (pandas.Series([1, None, 3, 4], dtype="int32[pyarrow]"), "number", [1, None, 3, 4]),
    "arrow truth values": (pandas.Series(GAPS, dtype="bool[pyarrow]"), "boolean", [1, None, 0, 1]),
    "arrow strings": (pandas.Series(["a", None, "b", "c"], dtype="string[pyarrow]"), "category", ["a", None, "b", "c"]),
    "arrow times": (
        pandas.Series(pandas.to_datetime(["1970-01-02", None, *["1970-01-03"] * 2])).astype("timestamp[us][pyarrow]"),
        "time", [86400, None, 172800, 172800],
    ),
    "arrow durations": (
        pandas.Series(pandas.to_timedelta([1, None, 2, 3], unit="s")).astype("duration[us][pyarrow]"), "number",
        [1, None, 2, 3],
    ),
    "polars booleans": (polars.Series(GAPS), "boolean", [1, None, 0, 1]),
    "polars enum": (polars.Series(["a", "b", "a", "b"], dtype=polars.Enum(["a", "b"])), "category", ["a", "b"] * 2),
}  # fmt: skip


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_frames(name):
    series, kind, values = COLUMNS[name]
    frame = (polars if isinstance(series, polars.Series) else pandas).DataFrame({"v": series, "y": [1, 2, 1, 2]})
    column = read(frame)["v"]
    assert column.kind == kind
    assert [None if value is None or value != value else value for value in column.values] == values


@pytest.mark.parametrize(
    ("values", "got"),
    [
        ([1, "a", 2, 3], "1 of type int and 'a' of type str"),
        ([True, 2, 3, 4], "True of type bool and 2 of type int"),
        ([1j, 2, 3, 4], "1j of type complex"),
        ([[1], [2], [3], [4]], "[1] of type list"),
    ],
)
def test_a_column_of_several_kinds_is_refused(values, got):
    with pytest.raises(ClearpropError, match="cannot be used") as caught:
        read(pandas.DataFrame({"v": pandas.Series(values, dtype=object), "y": [1, 2, 1, 2]}))
    assert caught.value.got == got
