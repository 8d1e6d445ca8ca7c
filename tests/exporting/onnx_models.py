"""Tables and runs for the tests of ONNX files, and what a runtime is given for them."""

import csv

import numpy as np

import clearprop as cl

ROWS = 60
KINDS = "grade=low<mid<high,tags=list,sold=date,seen=date"
COLUMNS = ("size", "year_built", "heated", "colour", "grade", "tags", "sold", "seen")
STRANGE = [
    ["1e3", "2030", "TRUE", "mauve", "", "d|a", "2031-02-28", "2024-02-29 23:59:59"],
    ["", "", "", "", "", "", "", ""],
    ["-5", "1900", "F", "red", "high", " c+ |b", "1999-12-31", "2000-01-01"],
    ["0", "1950", "Yes", "NA", "low", "b", "2016-02-29", "2016-12-31T00:00:00.5"],
]
"""Rows such as training had none: levels, items, dates and numbers far outside; one where every column is missing."""


def mixed_rows(task):
    """Numbers, truth values, categories, ordered words, lists and dates, some of each missing; and the target."""
    rng = np.random.default_rng(7)
    rows = []
    for i in range(ROWS):
        size, year = rng.normal(70, 20), int(rng.integers(1900, 2020))
        colour, heated = rng.choice(["blue", "red", "Grün", "sea, deep"]), rng.choice(["yes", "no"])
        tags = "|".join(rng.choice(["a", "b", "c+"], size=rng.integers(1, 3), replace=False))
        seen = np.datetime64("2019-03-01T06:00") + np.timedelta64(int(rng.integers(0, 3_000_000)), "m")
        value = 0.1 * size + (colour == "red") + 0.05 * (year - 1960) + rng.normal() * 0.1
        row = [f"{size:.3f}", str(year), heated, colour, rng.choice(["low", "mid", "high"]), tags]
        row += [str(seen.astype("M8[D]")), str(seen).replace("T", " ")]
        row = ["" if i and rng.random() < 0.08 else word for word in row]
        row[3] = "NA" if i % 20 == 5 else row[3]
        rows.append([*row, f"{1e5 + 1e4 * value:.2f}" if task == "numbers" else ("dear" if value > 8 else "cheap")])
    return rows


def write_table(path, names, rows):
    """A CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])
    return str(path)


def mixed_run(folder, task, columns=COLUMNS):
    """A run on a table of everything, or some of it, one epoch long; rows to predict, its own and strange ones."""
    places = [COLUMNS.index(name) for name in columns]
    rows = mixed_rows(task)
    own = [[*(row[i] for i in places), row[-1]] for row in rows]
    name = f"{task}-{'-'.join(columns)}"
    source = write_table(folder / f"{name}.csv", [*columns, "target"], own)
    kind = ",".join(word for word in KINDS.split(",") if word.partition("=")[0] in columns)
    run = cl.fit(cl.nn.mlp(hidden=[8]), source, target="target", kind=kind or None, epochs=1, progress=False)
    new = [row[:-1] for row in own] + [[row[i] for i in places] for row in STRANGE]
    return run, write_table(folder / f"{name}-new.csv", columns, new), new


def feeds(model, columns):
    """For every input of a model its column `(rows, 1)`: texts as they are, numbers as float64, NaN where missing."""
    found = {}
    for value in model.graph.input:
        texts = columns[value.name]
        if value.type.tensor_type.elem_type == 8:
            found[value.name] = np.array(texts, dtype=object)[:, None]
        else:
            found[value.name] = np.array([[np.nan if t in ("", "NA") else float(t)] for t in texts])
    return found


def by_column(names, rows):
    """The columns of rows by name."""
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}
