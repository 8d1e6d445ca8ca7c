"""Lists whose values are of several kinds, as labels and as columns: refused, or taken for what they say."""

import numpy as np
import pandas
import pytest

import clearprop as cl
from clearprop.data.readers.sources import read
from clearprop.errors import DataError
from clearprop.sklearn import MLPClassifier, TabularClassifier

NAN = float("nan")
MIXED = {
    "whole numbers": (["a", 1], "1"),
    "numbers first": ([1, "a"], "1"),
    "numbers": (["a", 2.5], "2.5"),
    "truth values": ([True, "a"], "True"),
    "gaps": (["a", None], "None"),
    "NaN": (["a", NAN], "nan"),
    "bytes": ([b"a", "a"], "b'a'"),
}
X = np.random.default_rng(0).normal(size=(40, 3))
DOORS = {
    "fit": lambda y: cl.fit(cl.nn.mlp(hidden=[4]), (X, y), epochs=1),
    "validation": lambda y: cl.fit(cl.nn.mlp(hidden=[4]), (X, ["a", "b"] * 20), validation=(X, y), epochs=1),
    "perceptron": lambda y: MLPClassifier([4], max_iter=1).fit(X, y),
    "tables": lambda y: TabularClassifier(epochs=1).fit(X, y),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", MIXED)
def test_labels_of_several_kinds_are_refused(kind, door, eager):
    """NumPy would write numbers, gaps and truth values in a list of text out: '1', 'nan', 'True'."""
    labels, shown = MIXED[kind]
    for made in (
        list,
        tuple,
        lambda items: np.array(items, dtype=object),
        lambda items: pandas.Series(items, dtype=object),
    ):
        with pytest.raises(DataError) as caught:
            DOORS[door](made(labels * 20))
        assert f"got       {shown} beside text; 20 rows without text" in str(caught.value)


def test_the_advice_suits_what_is_beside_the_text(eager):
    for labels, advice in ((["a", 1], "[str(label) for label in y]"), (["a", NAN], "leave those rows out")):
        with pytest.raises(DataError) as caught:
            DOORS["fit"](labels * 20)
        assert advice in str(caught.value)


TABLES = {
    "rows": lambda values: [{"v": value, "w": 1.0} for value in values],
    "columns": lambda values: {"v": values, "w": [1.0] * len(values)},
    "pandas": lambda values: pandas.DataFrame({"v": pandas.Series(values, dtype=object), "w": 1.0}),
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("values", [["a", 1], [1, "a"], ["a", 2.5], [True, "a"], [1, True], [True, 0.5]])
def test_columns_of_several_kinds_are_refused(values, table):
    with pytest.raises(DataError, match="numbers, truth values, dates or text, one of these in all rows"):
        read(TABLES[table](values)).columns[0]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    ("values", "kind", "found"),
    [
        ([1, 2.5, None], "number", [1.0, 2.5, NAN]),
        ([2.5, 1], "number", [2.5, 1.0]),
        ([NAN, 1], "number", [NAN, 1.0]),
        ([np.float64(1.5), 2], "number", [1.5, 2.0]),
        (["a", NAN, None], "category", ["a", None, None]),
        ([NAN, "a"], "category", [None, "a"]),
        ([True, None], "boolean", [1.0, NAN]),
    ],
)
def test_gaps_and_numbers_of_both_kinds_are_what_they_say(values, kind, found, table):
    column = read(TABLES[table](values)).columns[0]
    assert column.kind == kind
    assert repr(column.values.tolist()) == repr(found)


def test_rows_by_name_are_a_table(eager):
    rows = [{"size": float(i), "place": "town" if i % 2 else "sea", "price": 3.0 * i} for i in range(40)]
    run = cl.fit(cl.nn.mlp(hidden=[4]), rows, target="price", epochs=2)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    same = cl.fit(cl.nn.mlp(hidden=[4]), columns, target="price", epochs=2)
    assert run.preprocessing == same.preprocessing
    np.testing.assert_array_equal(run.predict(rows), same.predict(columns))
    with pytest.raises(DataError, match="rows by name, and int among them"):
        cl.fit(cl.nn.mlp(hidden=[4]), [*rows, 3], target="price")
