"""Sources, inference and splits."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas
import polars
import pytest

from clearprop.data.parts import split_table
from clearprop.data.readers.sources import BUNDLED, read
from clearprop.data.table import load_table


def csv(folder, text):
    path = folder / "data.csv"
    path.write_text(text, encoding="utf-8")
    return path


def column(table, name):
    return next(c for c in table.features if c.name == name)


@pytest.mark.parametrize(
    ("name", "rows", "features", "task"),
    [
        ("digits", 1797, 64, "classification"),
        ("iris", 150, 4, "classification"),
        ("wine", 178, 13, "classification"),
        ("breast-cancer", 569, 30, "classification"),
        ("diabetes", 442, 10, "regression"),
        ("penguins", 344, 6, "classification"),
        ("spirals", 900, 2, "classification"),
    ],
)
def test_bundled_sets(name, rows, features, task):
    table = load_table(name)
    assert name in BUNDLED
    assert (len(table), len(table.features), table.task) == (rows, features, task)


def test_announcements_of_penguins():
    table = load_table("penguins")
    assert table.target_note == "the target is 'species', which 'penguins' sets"
    assert table.task_note == "classification: the target 'species' holds 3 different texts"
    assert [c.kind for c in table.features] == ["category", *["number"] * 4, "category"]


def test_last_column_is_the_default_target(tmp_path):
    path = csv(tmp_path, "a,b,c\n" + "".join(f"{i}.5,{i % 2},{i * i}.25\n" for i in range(9)))
    table = load_table(path)
    assert table.target_note == "the target is 'c', the last column (--target chooses another)"
    assert table.task_note == "regression: the target 'c' holds 9 different numbers"
    asked = load_table(path, "b")
    assert asked.target_note == "the target is 'b', as asked"
    assert asked.task_note == "classification: the target 'b' holds 2 different whole numbers"
    assert [c.name for c in asked.features] == ["a", "c"]
    assert load_table(path, "b", "regression").task_note == (
        "regression, as asked: the target 'b' holds 2 different whole numbers"
    )


def test_a_bundled_name_wins_over_a_file_and_a_path_names_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("iris").write_text("a,b\n1,x\n2,y\n", encoding="utf-8")
    assert len(load_table("iris")) == 150
    assert len(load_table("./iris")) == 2


def test_kinds_missing_values_and_dropped_columns(tmp_path):
    lines = [f"{i},n{i}x,{'yes' if i % 3 else 'no'},{i % 2 == 0},{i}.5,7,,k{i % 2}" for i in range(30)]
    lines[4] = "4,n4x,NA,,?,7,,k0"
    path = csv(tmp_path, "id,name,answer,even,size,same,none,kind\n" + "\n".join(lines) + "\n")
    table = load_table(path)
    assert {c.name: c.kind for c in table.features} == {
        "answer": "boolean",
        "even": "boolean",
        "size": "number",
    }
    assert {d.name: d.reason for d in table.dropped} == {
        "id": "it counts the rows",
        "name": "it identifies rows: 30 different texts in 30 rows (--kind says otherwise)",
        "same": "it is constant: 7",
        "none": "it holds no value",
    }
    assert [int(c.missing.sum()) for c in table.features] == [1, 1, 1]
    assert np.isnan(column(table, "size").values[4])
    assert np.isnan(column(table, "answer").values[4])


def test_rows_without_target_are_left_out_and_keep_their_places(tmp_path):
    table = load_table(csv(tmp_path, "size,kind\n1,a\n2,\n\n3,b\n4,a\n5,b\n"))
    assert table.notes == ("1 blank line skipped", "1 row left out: no value in the target 'kind'")
    assert table.rows.tolist() == [0, 2, 3, 4]
    assert table.where("size", 1).endswith("data.csv:5, column 'size'")


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffsize,kind\n1.5,ä\n2,b\n",
        "size;kind\n1,5;ä\n2;b\n",
        "size\tkind\n1.5\tä\n2\tb\n",
        'size,kind\r\n"1.5","ä"\r\n2,b',
        "\n size , kind \n 1.5 , ä\n2,b\n",
    ],
    ids=["byte-order mark", "semicolons", "tabs", "quotes, CRLF", "spaces"],
)
def test_forms_of_csv(tmp_path, text):
    path = tmp_path / "data.csv"
    path.write_bytes(text.encode())
    frame = read(path)
    assert frame.names == ("size", "kind")
    assert frame["size"].values.tolist() == [1.5, 2.0]
    assert frame["kind"].values.tolist() == ["ä", "b"]


def test_npz_flattens_images_and_scales_bytes(tmp_path):
    x = np.arange(8 * 6, dtype=np.uint8).reshape(8, 2, 3)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(8) % 2)
    table = load_table(tmp_path / "a.npz")
    assert [c.name for c in table.features][:4] == ["x[0, 0]", "x[0, 1]", "x[0, 2]", "x[1, 0]"]
    values = np.stack([c.values for c in table.features], axis=1)
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, x.reshape(8, 6).astype(np.float32) / np.float32(255))


def test_npz_test_part_is_kept(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3))
    y = np.arange(50) % 2
    np.savez(tmp_path / "a.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    parts = split_table(load_table(tmp_path / "a.npz"), validation=0.25, test=0.5)
    assert parts.notes == ("the test part is the source's own: 10 rows",)
    assert parts.test is not None and parts.validation is not None
    assert parts.test.rows.tolist() == list(range(40, 50))
    assert (len(parts.train), len(parts.validation)) == (30, 10)


def test_arrays_and_data_frames_agree_with_files(tmp_path):
    path = csv(tmp_path, "size,old,kind\n1.5,true,a\n,false,b\n3,,a\n4,true,b\n")
    from_file, from_frame = load_table(path), load_table(polars.read_csv(path))
    assert from_file.digest() == from_frame.digest()
    x = np.array([[1.0, 2.0], [3.0, np.nan], [5.0, 6.0], [7.0, 8.0]])
    table = load_table((x, ["a", "b", "a", "b"]))
    np.testing.assert_array_equal(np.stack([c.values for c in table.features], axis=1), x)
    assert table.digest() != from_file.digest()


def test_pandas_frames():
    frame = pandas.DataFrame({"a": [1.0, None, 3.0, 5.0], "b": ["x", "y", None, "x"], "c": [0, 1, 0, 1]})
    table = load_table(frame, "c", "classification")
    assert [c.kind for c in table.features] == ["number", "category"]


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_split_is_stratified_disjoint_and_whole(seed):
    table = load_table("wine")
    parts = split_table(table, seed=seed)
    assert parts.validation is not None and parts.test is not None
    three = [parts.train, parts.validation, parts.test]
    assert sorted(np.concatenate([part.rows for part in three]).tolist()) == list(range(178))
    for part in three[1:]:
        assert len(part) == 27
        for name in set(table.target.values):
            share = np.sum(table.target.values == name) * 27 / 178
            assert abs(np.sum(part.target.values == name) - share) < 1.5


def test_split_is_the_same_for_the_same_seed_for_good():
    table = load_table("iris")
    first, again, other = (split_table(table, seed=seed) for seed in (3, 3, 4))
    assert first.test is not None and again.test is not None and other.test is not None
    np.testing.assert_array_equal(first.test.rows, again.test.rows)
    assert first.test.rows.tolist() != other.test.rows.tolist()
    assert first.test.rows.tolist()[:8] == [1, 6, 13, 18, 26, 31, 34, 43]


def test_tiny_classes_stay_in_training_and_are_named():
    y = np.array(["a"] * 20 + ["b"] * 18 + ["rare"] * 1 + ["few"] * 2)
    parts = split_table(load_table((np.arange(82.0).reshape(41, 2), y)))
    assert set(parts.train.target.values) == {"a", "b", "few", "rare"}
    assert parts.notes == (
        "2 classes have too few rows to be in every part: 'few' (2 rows), 'rare' (1 row); "
        "none in the validation or test part",
    )


def test_fraction_zero_leaves_the_part_out():
    parts = split_table(load_table("diabetes"), validation=0, test=0)
    assert (len(parts.train), parts.validation, parts.test) == (442, None, None)


def test_imports_are_lazy():
    code = (
        "import sys, clearprop.data.preprocessing;"
        "print({'polars', 'sklearn', 'narwhals', 'pydantic', 'scipy', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


SPIRALS = [
    [0.3210333383372122, 0.09377189217131363],
    [0.15691816718706995, 0.6502299417497994],
    [-0.6595355271617325, 0.7516733921135533],
]


def test_spirals_are_the_same_everywhere_and_no_line_separates_them():
    from sklearn.linear_model import LogisticRegression

    frame = read("spirals")
    points = np.column_stack([frame["x"].values, frame["y"].values])
    arm = np.searchsorted(["first", "second", "third"], frame["arm"].values)
    radius, angle = np.hypot(*points.T), np.arctan2(*points.T)
    np.testing.assert_allclose(radius, np.tile(np.linspace(0, 1, 300), 3), atol=1e-15)
    off = (angle - 4 * (arm + radius) + np.pi) % (2 * np.pi) - np.pi  # what the noise added to the angle
    assert abs(off.mean()) < 0.02 and 0.19 < off[radius > 0].std() < 0.21
    np.testing.assert_allclose(points[[100, 500, 899]], SPIRALS, rtol=1e-12)
    assert LogisticRegression().fit(points, arm).score(points, arm) < 0.6
