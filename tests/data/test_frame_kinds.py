"""Frames of every kind are read alike, and answered in the kind that they came in."""

import itertools

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import clearprop as cl
from clearprop.data.readers.sources import read
from clearprop.errors import DataError
from tests.tiers import together

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {"size": RNG.normal(size=40), "kind": ["a", "b", None, "a"] * 10}, index=pd.Index(np.arange(40) * 3, name="house")
)
PRICE = (2.0 * FRAME["size"] + 100.0).rename("price")
LARGE = pd.Series(np.where(FRAME["size"] > 0, "yes", "no"), index=FRAME.index, name="large")
TABLES = {"price": FRAME.assign(price=PRICE), "large": FRAME.assign(large=LARGE)}


def arrow(frame):
    return pa.Table.from_pandas(frame, preserve_index=False)


class Stream:
    """What hands itself out by Arrow's PyCapsule interface, and no more."""

    def __init__(self, frame):
        self._table = frame if isinstance(frame, pa.ChunkedArray) else arrow(frame)

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


class Interchange:
    """What hands itself out by the DataFrame interchange protocol, and no more."""

    def __init__(self, frame):
        self._frame = arrow(frame)

    def __dataframe__(self, nan_as_null=False, allow_copy=True):
        return self._frame.__dataframe__(nan_as_null, allow_copy)


KINDS = {
    "pandas": (lambda frame: frame, pd.Series, pd.DataFrame),
    "pandas of arrow": (lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"), pd.Series, pd.DataFrame),
    "polars": (pl.from_pandas, pl.Series, pl.DataFrame),
    "polars, lazy": (lambda frame: pl.from_pandas(frame).lazy(), pl.Series, pl.DataFrame),
    "pyarrow": (arrow, pa.ChunkedArray, pa.Table),
    "a batch of pyarrow": (lambda frame: arrow(frame).combine_chunks().to_batches()[0], pl.Series, pl.DataFrame),
    "PyCapsule": (Stream, pl.Series, pl.DataFrame),
    "interchange": (Interchange, pl.Series, pl.DataFrame),
}


def train(data, target=None):
    return cl.fit(cl.nn.mlp(hidden=[4]), data, target=target, epochs=2, progress=False)


@pytest.fixture(scope="module", params=TABLES)
def target(request):
    return request.param


@pytest.fixture(scope="module")
def run(target):
    return train(TABLES[target], target)


@pytest.mark.parametrize("kind", KINDS)
def test_fit_and_predict_take_it(kind, run, target):
    make, column, frame = KINDS[kind]
    again, given = train(make(TABLES[target]), target), make(FRAME)
    expected = run.predict(FRAME)
    assert np.array_equal(again.predict(given), expected)
    answer = again.predict(make(FRAME), as_given=True)
    assert isinstance(answer, column)
    assert np.array_equal(np.asarray(answer.to_pylist() if isinstance(answer, pa.ChunkedArray) else answer), expected)
    if hasattr(answer, "name"):
        assert answer.name == target
    if hasattr(answer, "index") and column is pd.Series:
        assert answer.index.equals(FRAME.index)
    if target == "large":
        shares = again.probabilities(make(FRAME), as_given=True)
        assert isinstance(shares, frame) and len(shares) == 40
        assert list(getattr(shares, "column_names", shares.columns)) == ["no", "yes"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "polars, lazy"])
def test_columns_of_numbers_beside_targets_are_a_frame_too(kind):
    """`(frame, y)`: the columns are taken as they are, and meet by name."""
    make, column, _ = KINDS[kind]
    numbers = FRAME[["size"]].assign(other=1.0)
    found, wanted = (
        cl.fit(cl.nn.mlp([2, 1]), (x, PRICE.to_numpy()), epochs=2, progress=False) for x in (make(numbers), numbers)
    )
    assert found.config.data.columns == ("size", "other")
    assert np.array_equal(found.predict(make(numbers[["other", "size"]])), wanted.predict(numbers))
    assert isinstance(found.predict(make(numbers), as_given=True), column)
    with pytest.raises(DataError, match="other columns"):
        found.predict(make(numbers.rename(columns={"other": "third"})))


def test_arrays_and_files_are_answered_in_arrays(run, tmp_path):
    FRAME.to_csv(tmp_path / "houses.csv", index=False)
    answer = run.predict(tmp_path / "houses.csv", as_given=True)
    assert isinstance(answer, np.ndarray) and np.array_equal(answer, run.predict(FRAME))
    numbers = cl.fit(cl.nn.mlp([2, 2]), (RNG.normal(size=(9, 2)), RNG.normal(size=(9, 2))), epochs=1, progress=False)
    assert isinstance(numbers.predict(np.zeros((3, 2)), as_given=True), np.ndarray)
    several = numbers.predict(pd.DataFrame(np.zeros((3, 2)), columns=["a", "b"], index=[4, 5, 6]), as_given=True)
    assert list(several.columns) == ["predicted[0]", "predicted[1]"] and list(several.index) == [4, 5, 6]


def test_a_reader_is_read_once_and_a_stream_of_no_columns_is_refused(target):
    assert train(arrow(TABLES[target]).to_reader(), target).steps > 0
    with pytest.raises(DataError, match="no data source"):
        train(Stream(arrow(FRAME)["size"]), target)


def test_a_row_of_gaps_has_columns_without_a_type(run):
    """As one that is asked for by its values: nothing says what kind of column they are of."""
    assert run.predict({"size": [None], "kind": [None]}).shape == (1,)
    rows = FRAME.to_numpy(object)
    found = cl.sklearn.TabularRegressor(hidden=4, epochs=2).fit(rows, PRICE)
    assert found.predict(np.array([[None, "a"]], dtype=object)).shape == (1,)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "polars, lazy"])
def test_estimators_take_it(kind):
    make = KINDS[kind][0]
    found, wanted = (cl.sklearn.TabularClassifier(hidden=4, epochs=2).fit(x, LARGE) for x in (make(FRAME), FRAME))
    assert list(found.feature_names_in_) == ["size", "kind"]
    assert np.array_equal(found.predict_proba(make(FRAME)), wanted.predict_proba(FRAME))


def test_columns_of_one_name_are_refused_at_every_door():
    frame = pd.DataFrame(np.arange(40.0).reshape(10, 4), columns=["a", "a", "b", "y"])
    rows = frame.drop(columns="y")
    doors = {
        "fit": lambda: cl.fit(cl.nn.mlp([3, 1]), frame, target="y", epochs=1),
        "cross_validate": lambda: cl.cross_validate(frame, target="y", epochs=1),
        "ensemble": lambda: cl.ensemble(frame, target="y", epochs=1),
        "estimator": lambda: cl.sklearn.TabularRegressor(epochs=1).fit(rows, frame["y"]),
    }
    for door in doors.values():
        with pytest.raises(DataError, match="the data frame cannot be read"):
            door()


NUMBERS = {
    "float64": [0.1, -2.5e300, 7.0],
    "float32": [0.1, -2.5e30, 7.0],
    "int64": [2**53 + 1, -(2**63), 7],
    "uint64": [2**64 - 1, 2**53 + 1, 0],
    "int8": [-128, 127, 7],
    "bool": [True, False, True],
}
LIBRARIES = {
    "pandas": lambda frame: frame,
    "pandas, nullable": lambda frame: frame.convert_dtypes(),
    "pandas of arrow": lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
    "polars": pl.from_pandas,
    "polars, in chunks": lambda frame: pl.concat([pl.from_pandas(frame[:1]), pl.from_pandas(frame[1:])], rechunk=False),
    "pyarrow": arrow,
}


@together("dtype, gap, library", itertools.product(NUMBERS, [False, True], LIBRARIES))
def test_numbers_of_every_dtype_are_read_in_all_their_bits(dtype, gap, library):
    """As Python turns each into a float; whole numbers of a target keep their spelling."""
    nullable = {"bool": "boolean", "uint64": "UInt64"}.get(dtype, dtype.capitalize())
    wanted = pd.array(NUMBERS[dtype], dtype=nullable if gap else dtype)
    if gap:
        wanted[1] = pd.NA
    made = LIBRARIES[library](pd.DataFrame({"a": wanted, "b": wanted}))
    frame = read(made)
    values = [np.nan if value is pd.NA else float(value) for value in wanted]
    for column in (*frame.columns, *frame.columns):
        assert column.values.dtype == np.float64 and column.kind == ("boolean" if dtype == "bool" else "number")
        assert column.values.tobytes() == np.array(values).tobytes()
    spelled = [None if value is pd.NA else str(value) for value in wanted]
    own = frame["b"].spelling
    assert frame["a"].spelling is None
    assert own is None if dtype in ("bool", "float64", "float32") else own.tolist() == spelled
