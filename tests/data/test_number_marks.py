"""Numbers that are not told by digits alone: about so many, minutes and seconds; read alike by every way, and told."""

import numpy as np
import polars as pl
import pytest

from clearprop.cli import main
from clearprop.data.readers.reading import Reading
from clearprop.data.readers.text_form import NumberForm
from clearprop.data.streaming import memory
from clearprop.data.streaming.streamed_table import stream_table
from clearprop.data.training_data import from_source
from clearprop.search.members import Extent, plan_ensemble

N = 90
SECONDS = np.random.default_rng(4).integers(600, 2000, N) / 10
LAPS = [f"{int(s // 60)}:{s % 60:04.1f}" for s in SECONDS]


def table(tmp_path, **columns):
    pl.DataFrame({"a": SECONDS, **columns}).write_csv(tmp_path / "t.csv")
    return tmp_path / "t.csv"


@pytest.mark.parametrize(
    ("decimal", "texts", "numbers"),
    [
        (".", ["2:07.3", "0:59.99", "61:00.05"], [127.3, 59.99, 3660.05]),
        (",", ["2:07,3", "10:00,0"], [127.3, 600.0]),
        (".", ["~50", "≈ 1,250.5", "~$3", "~5%"], [50, 1250.5, 3, 5]),
        (".", ["12:30", "1:60.0", "69:04:01", "10-19", "~", "~~5"], [None] * 6),
    ],
)
def test_each_text_is_the_number_that_is_meant(decimal, texts, numbers):
    form = NumberForm(decimal, "." if decimal == "," else ",")
    found = [form.read(pl.Series([text])) for text in texts]
    assert [None if one is None else one[0].item() for one in found] == numbers
    together = form.read(pl.Series(texts))
    assert (None if together is None else together[0].to_list()) == (None if None in numbers else numbers)


@pytest.mark.parametrize(
    ("texts", "numbers", "note"),
    [
        (LAPS, SECONDS, "column 'n': minutes and seconds as seconds (--kind n=category takes words)"),
        (
            [f"~{s:.0f}" for s in SECONDS],
            [float(f"{s:.0f}") for s in SECONDS],
            "column 'n': ~ before a number left off",
        ),
    ],
)
def test_columns_and_targets_are_numbers_in_memory_and_streamed(texts, numbers, note, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "LEAST_MEMORY", 1)
    monkeypatch.setattr(memory, "FIXED", 0)
    path = table(tmp_path, n=texts, y=np.arange(N) * 1.5)
    for target in ("n", "y"):
        known = from_source(str(path), target, "auto", 0.2, 0.0, 3, reading=Reading())
        streamed = stream_table(path, "t", target, "auto", 0.2, 0.0, 3, 10**6)
        assert streamed.preprocessing == known.preprocessing
        assert all(any(note in told for told in notes) for notes in (known.told["notes"], streamed.notes))
        if target == "n":
            learned = known.preprocessing.target.invert(known.train[1])[:, 0]
            np.testing.assert_allclose(learned, np.array(numbers)[known.rows["training"].numbers], rtol=1e-5)
            assert known.preprocessing.target.unit == ("s" if "seconds" in note else "")


def test_durations_that_are_no_numbers_say_what_to_write(tmp_path, capsys):
    long = [f"{24 + k}:{k % 60:02d}:07" for k in range(N)]
    path = table(tmp_path, long=long, y=np.arange(N) * 1.5)
    assert main(["train", str(path), "--epochs", "1", "--out", str(tmp_path / "r")]) == 0
    assert "'24:00:07' is no number (write it in seconds" in " ".join(capsys.readouterr().out.split())
    assert main(["train", str(path), "--target", "long"]) == 2
    assert "write durations such as '24:00:07' as numbers, in seconds" in capsys.readouterr().err


def test_a_web_log_has_no_header(tmp_path, capsys):
    lines = [
        f'10.0.0.{k % 7} - - [10/Oct/2023:13:{k % 60:02d}:36 +0000] "GET /p{k % 3}" {200 + k % 2} {k * 7}'
        for k in range(60)
    ]
    (tmp_path / "access.log").write_text("\n".join(lines) + "\n")
    assert main(["train", str(tmp_path / "access.log"), "--epochs", "1", "--out", str(tmp_path / "r")]) == 0
    assert "the first line holds no names" in capsys.readouterr().out
    (tmp_path / "d.csv").write_text("1,1,0.5\n1,2,3\n")
    assert main(["train", str(tmp_path / "d.csv"), "--header", "yes"]) == 2
    assert "--header no if this is a row of values" in capsys.readouterr().err
    (tmp_path / "e.csv").write_text("1999,0\n" + "".join(f"{k},{2 * k}\n" for k in range(40)))
    for words in (("--no-header",), ("--header", "no")):
        out = ("--epochs", "1", "--out", str(tmp_path / words[-1]))
        assert main(["train", str(tmp_path / "e.csv"), *out, *words]) == 0
        assert "the target is 'column 2'" in capsys.readouterr().out


def test_the_first_member_is_encoded_once(tmp_path):
    plan = plan_ensemble(str(table(tmp_path, y=np.arange(N) * 1.5)), {"target": "y"}, Extent(2, None))
    told = plan.first_prepared()
    assert plan.prepared(1) is told and plan.prepared(1) is not told and plan.prepared(2) is not told
