"""Preprocessing: numbers as computed by hand, exact reload, honest reports."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearprop.data.parts import split_table
from clearprop.data.preprocessing import Preprocessing, SummaryRow
from clearprop.data.table import load_table

TEXT = "size,island,old,kind\n1,Dream,true,b\n2,Biscoe,false,a\n,Dream,true,b\n6,,true,a\n"


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text(TEXT)
    table = load_table(path)
    return table, Preprocessing.fit(table)


def encode(fitted, folder, text, **options):
    path = folder / "new.csv"
    path.write_text(text)
    return fitted.encode(path, **options)


def test_values_by_hand(small):
    table, fitted = small
    x, y = fitted.transform(table)
    centre, scale = 3.0, np.sqrt(((1 - 3) ** 2 + (2 - 3) ** 2 + (6 - 3) ** 2) / 3)
    size = (np.array([1, 2, 2, 6]) - centre) / scale  # the median 2 for the missing one
    expected = np.array(
        [
            [size[0], 0, 0, 1, 0, 1],
            [size[1], 0, 1, 0, 0, 0],
            [size[2], 1, 0, 1, 0, 1],
            [size[3], 0, 0, 0, 1, 1],
        ],
        dtype=np.float32,
    )
    np.testing.assert_array_equal(x, expected)
    assert x.dtype == np.float32 and x.flags.c_contiguous
    assert y.tolist() == [1, 0, 1, 0] and y.dtype == np.int64
    assert fitted.feature_names == (
        "size",
        "size missing",
        "island=Biscoe",
        "island=Dream",
        "island missing",
        "old",
    )
    assert fitted.feature_columns == ("size", "size", "island", "island", "island", "old")
    assert fitted.class_names == ("a", "b") and fitted.outputs == 2


def test_summary(small):
    _, fitted = small
    assert fitted.summary() == [
        SummaryRow("size", "number", 1, "(v − 3) / 2.16", "missing: 2, and marked"),
        SummaryRow("island", "category", 1, "one-hot: Biscoe, Dream", "missing has a feature of its own"),
        SummaryRow("old", "boolean", 0, "false 0, true 1", ""),
        SummaryRow("kind", "class", 0, "2 classes: a, b", "", "target"),
    ]


def test_summary_of_many_pixels_is_short():
    rows = Preprocessing.fit(load_table("digits")).summary()
    assert [row.column for row in rows] == ["pixel_0_0 … pixel_7_7", "target"]
    assert rows[0].note == "64 columns of one quantity"


def test_order_is_repaired_and_differences_are_reported(small, tmp_path):
    _, fitted = small
    text = "extra,old,island,size\n5,true,Torgersen,1\n5,false,,40\n5,true,Dream,\n"
    got = encode(fitted, tmp_path, text)
    assert got.y is None
    assert got.x[:, 2:5].tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert got.report.lines() == [
        "the columns stand in another order than in training: put right",
        "not used, because training did not: extra",
        "column 'island': no feature for 'Torgersen' (1 row); encoded as none of the known levels",
        "missing values filled in: size (1), island (1)",
        "numbers far outside the range of training: size (1)",
    ]


def test_the_training_file_encodes_to_the_training_arrays_without_a_report(small, tmp_path):
    table, fitted = small
    x, y = fitted.transform(table)
    got = encode(fitted, tmp_path, TEXT, with_target=True)
    np.testing.assert_array_equal(got.x, x)
    np.testing.assert_array_equal(got.y, y)
    assert got.report.lines() == ["missing values filled in: size (1), island (1)"]
    assert not fitted.encode(table.take(np.array([0, 1]))).report.lines()


def test_evaluation_leaves_out_rows_without_target(small, tmp_path):
    _, fitted = small
    text = "size,island,old,kind\n1,Dream,true,\n2,Dream,true,b\n"
    got = encode(fitted, tmp_path, text, with_target=True)
    assert got.rows.tolist() == [1] and got.y.tolist() == [1]
    assert got.report.lines() == ["1 row left out: no value in the target"]


def test_codes_that_look_like_numbers_stay_text(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("code,kind\n01,a\nA2,b\n01,a\n3,b\n")
    fitted = Preprocessing.fit(load_table(path))
    assert encode(fitted, tmp_path, "code\n01\n3\n").x.tolist() == [[1, 0, 0], [0, 1, 0]]


def test_only_the_training_part_enters():
    table = load_table("penguins")
    parts = split_table(table)
    fitted = Preprocessing.fit(parts.train)
    x, _ = fitted.transform(parts.train)
    column = next(c for c in parts.train.features if c.name == "body_mass_g")
    numbers = column.values[~np.isnan(column.values)]
    assert fitted.columns[4].centre == numbers.mean() != np.nanmean(table.features[4].values)
    assert abs(float(x[:, fitted.feature_names.index("body_mass_g")].std()) - 1) < 0.01


def test_regression_target_is_standardised_and_inverted():
    table = load_table("diabetes")
    fitted = Preprocessing.fit(table)
    _, y = fitted.transform(table)
    assert y.shape == (442, 1) and y.dtype == np.float32 and fitted.outputs == 1
    assert abs(float(y.mean())) < 1e-6 and abs(float(y.std()) - 1) < 1e-6
    np.testing.assert_allclose(fitted.target_values(y)[:, 0], table.target.values, rtol=1e-5)


def test_labels_of_numbers_stand_in_their_order():
    table = load_table((np.arange(24.0).reshape(12, 2), np.array([10, 9, 2] * 4)))
    fitted = Preprocessing.fit(table)
    assert fitted.class_names == ("2", "9", "10")
    assert fitted.transform(table)[1].tolist() == [2, 1, 0] * 4


def test_constants_of_arrays_are_divided_by_one():
    x = np.array([[0.1, 1.0], [0.1, 2.0], [0.1, 3.0]])
    table = load_table((x, np.array([0.5, 1.5, 2.5])))
    assert Preprocessing.fit(table).transform(table)[0][:, 0].tolist() == [0, 0, 0]


def test_pixels_share_mean_and_deviation():
    table = load_table("digits")
    x, _ = Preprocessing.fit(table).transform(table)
    assert x.shape == (1797, 64)
    assert abs(float(x.mean())) < 1e-6 and abs(float(x.std()) - 1) < 1e-6
    raw = np.stack([c.values for c in table.features], axis=1)
    np.testing.assert_array_equal(x, ((raw - raw.mean()) / raw.std()).astype(np.float32))


def test_arrays_go_by_position():
    table = load_table("digits")
    fitted = Preprocessing.fit(table)
    x, y = fitted.transform(table)
    raw = np.stack([c.values for c in table.features], axis=1)
    np.testing.assert_array_equal(fitted.encode(raw).x, x)
    got = fitted.encode((raw.reshape(-1, 8, 8), table.target.values), with_target=True)
    np.testing.assert_array_equal(got.x, x)
    np.testing.assert_array_equal(got.y, y)


@pytest.mark.parametrize("name", ["penguins", "iris", "diabetes", "digits"])
def test_json_keeps_every_bit(name):
    parts = split_table(load_table(name))
    fitted = Preprocessing.fit(parts.train)
    again = Preprocessing.from_json(fitted.to_json())
    assert again == fitted
    for a, b in zip(again.transform(parts.test), fitted.transform(parts.test), strict=True):
        assert a.tobytes() == b.tobytes()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_refused_or_read_whole(small, data):
    """Any one value replaced: RunError, or an object that writes itself out again; never another error."""
    from clearprop.errors import RunError

    document = json.loads(small[1].to_json())
    place = document
    while isinstance(place, dict | list) and place:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or data.draw(st.booleans()):
            break
        place = place[key]
    if not place:
        return
    place[key] = data.draw(st.sampled_from([None, True, -1, 0.5, 1e400, 10**400, "x", [], {}, ["x", "x"], [1]]))
    try:
        read = Preprocessing.from_json(json.dumps(document))
    except RunError:
        return
    assert Preprocessing.from_json(read.to_json()) == read
