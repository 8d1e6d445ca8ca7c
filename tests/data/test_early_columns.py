"""A CSV file that is streamed is parsed once where that is enough, and again for the columns where it is not."""

import pytest

from clearprop.data.readers import csv_file
from clearprop.data.streaming import early_columns, memory
from clearprop.data.streaming.blocks import UnchangingFile
from clearprop.data.streaming.streamed_table import stream_table
from clearprop.data.training_data import from_source
from clearprop.errors import DataError

ROWS = 600
USUAL = {
    "size": [f"{k % 37}.25" for k in range(ROWS)],
    "gaps": ["" if k % 5 == 0 else f"{k}" for k in range(ROWS)],
    "colour": [("red", "blue", "NA")[k % 3] for k in range(ROWS)],
    "day": [f"2021-0{1 + k % 9}-1{k % 10}" for k in range(ROWS)],
    "at": [f"2021-03-04 {k % 24:02}:{k % 60:02}" for k in range(ROWS)],
    "kind": [("", "a", "b")[k % 3] if k % 7 == 0 else "ab"[k % 2] for k in range(ROWS)],
}
FURTHER = {
    "plain": ({}, 1),
    "no target in some blocks": ({"kind": [("" if 200 < k < 400 else "ab"[k % 2]) for k in range(ROWS)]}, 1),
    "numbers to learn": ({"kind": [f"{k * k % 1013}.5" for k in range(ROWS)]}, 1),
    "few numbers to tell apart": ({"kind": [str(k % 3) for k in range(ROWS)]}, 1),
    "truth values": ({"flag": [("yes", "NO", "No")[k % 3] for k in range(ROWS)]}, 1),
    "quotes": ({"said": ['"a, ""b"""' if k % 2 else "c" for k in range(ROWS)]}, 1),
    "money": ({"price": [f"${k % 9}" for k in range(ROWS)]}, 1),
    "day or month": ({"on": [f"{1 + k % 28}/{1 + k % 12}/2021" for k in range(ROWS)]}, 2),
    "dates, and words below": (
        {"when": [f"2021-0{1 + k % 9}-1{k % 10}" if k < 200 else ("red", "blue", "green")[k % 3] for k in range(ROWS)]},
        3,
    ),
    "dates, and many words below": (
        {"when": [f"2021-0{1 + k % 9}-1{k % 10}" if k < 300 else f"w{k % 40}" for k in range(ROWS)]},
        3,
    ),
    "words late": ({"code": [str(k % 40) if k < 500 else f"Q{k % 9}" for k in range(ROWS)]}, 3),
}


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    for name, value in {"LEAST_MEMORY": 1, "FIXED": 0}.items():
        monkeypatch.setattr(memory, name, value)
    monkeypatch.setattr(memory.Budget, "text", 2000)
    monkeypatch.setattr(csv_file, "_SOME", 10)


@pytest.fixture
def passes(monkeypatch):
    """The columns that were asked for, in each pass over the file."""
    asked, read = [], UnchangingFile.blocks

    def blocks(self, budget, request, part=None):
        asked.append(set(request.names))
        return read(self, budget, request, part)

    monkeypatch.setattr(UnchangingFile, "blocks", blocks)
    return asked


def saved(folder, further, end="\n"):
    """A table of the usual columns and some more, before the target."""
    columns = {name: cells for name, cells in (USUAL | further).items() if name != "kind"}
    columns["kind"] = further.get("kind", USUAL["kind"])
    path = folder / "t.csv"
    rows = [",".join(columns), *map(",".join, zip(*columns.values(), strict=True)), ""]
    path.write_text(end.join(rows), newline="")
    return path


def streamed(path):
    found = stream_table(path, "t.csv", None, "auto", 0.15, 0.15, 3, 10**6)
    return found, [part.x.get(0, len(part)).tobytes() for part in (found.train, found.validation, found.test)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", FURTHER)
def test_a_file_is_parsed_as_often_as_it_must_be(name, end, tmp_path, passes, monkeypatch):
    further, times = FURTHER[name]
    path = saved(tmp_path, further, end)
    found, rows = streamed(path)
    assert len(passes) == times
    if times == 2:  # only what is not stored yet
        assert passes[1] == {"on", "kind"}
    known = from_source(path, None, "auto", 0.15, 0.15, 3)
    assert found.preprocessing == known.preprocessing
    assert rows == [pair[0].tobytes() for pair in (known.train, known.validation, known.test)]
    monkeypatch.setattr(early_columns, "has_space", lambda _: False)  # for all columns: some may not be learned from
    assert streamed(path)[1] == rows
    assert len(passes) == 2 * times + (times == 1)


def test_what_is_stored_early_keeps_no_block(tmp_path, monkeypatch):
    """Blocks are as large as the memory allows: of none more is kept than the texts that it has."""
    made, init = [], early_columns.EarlyColumns.__init__

    def noted(self, *given):
        init(self, *given)
        made.append(self)

    monkeypatch.setattr(early_columns.EarlyColumns, "__init__", noted)
    later = {f"late {n}": [str(k) if k < 90 * n else f"Q{k % 9}" for k in range(ROWS)] for n in range(1, 6)}
    streamed(saved(tmp_path, later))
    for column in made[0]._columns.values():
        assert column.values is None or len(column.values.as_kind("category").values) == 0


def test_texts_that_find_no_room_are_read_again(tmp_path, passes, monkeypatch):
    path = saved(tmp_path, {"town": [f"town {k % 4}" for k in range(ROWS)]})
    rows = streamed(path)[1]
    monkeypatch.setattr(memory.Budget, "texts", 900)
    assert streamed(path)[1] == rows
    assert passes[2:] == [{"town", "kind"}]


def test_the_first_row_that_cannot_be_encoded_is_told(tmp_path):
    further = {"kind": ["ab"[k % 2] for k in range(ROWS)], "size": [f"{k % 37}.25" for k in range(ROWS)]}
    found, _ = streamed(saved(tmp_path, further))
    first, *later = (int(part.numbers[k]) for part, k in ((found.test, 0), (found.validation, 60), (found.test, 60)))
    assert first < min(later)
    further["size"] = ["1e60" if k in (first, *later) else cell for k, cell in enumerate(further["size"])]
    with pytest.raises(DataError, match=f"row {first} "):
        streamed(saved(tmp_path, further))
