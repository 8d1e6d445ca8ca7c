"""Predicting and evaluating a table in blocks: what does not depend on how the blocks are cut."""

import io
import json

import numpy as np
import polars
import pytest

from clearprop.cli import main
from clearprop.data.streaming import encoded_source
from tests.data.mixed_table import saved, table

ULPS = 8
"""Matrix products take their sums in an order that may depend on the number of rows: by so many units in the last place
of the largest prediction, before it is printed, blocks may change a row."""
DIGITS = 6
"""So many are printed."""


@pytest.mark.parametrize("target", ["kind", "price"])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_predictions_and_results_do_not_depend_on_blocks(tmp_path, form, target, monkeypatch, capsysbinary):
    path, run = saved(tmp_path, table(800), form), str(tmp_path / "run")
    new = saved(tmp_path / "..", table(2000, 5).drop("id"), form)
    assert main(["train", str(path), "--target", target, "--epochs", "1", "--out", run]) == 0
    capsysbinary.readouterr()
    said = []
    for size in (encoded_source.MEMORY, 50_000):
        monkeypatch.setattr(encoded_source, "MEMORY", size)
        assert main(["predict", run, str(new)]) == 0
        printed = capsysbinary.readouterr()
        assert main(["evaluate", run, str(new), "--json"]) == 0
        said.append((printed.out, printed.err, json.loads(capsysbinary.readouterr().out)))
    whole, blocks = said
    assert_same_rows(whole[0], blocks[0])
    assert whole[0].count(b"\n") == 2001
    assert whole[1] == blocks[1]
    assert whole[2] == pytest.approx(blocks[2], rel=1e-5)


def assert_same_rows(whole, blocks):
    """Two printed tables whose numbers differ by rounding alone; everything else is the same."""
    whole, blocks = (polars.read_csv(io.BytesIO(text)) for text in (whole, blocks))
    assert whole.columns == blocks.columns
    for a, b in zip(whole, blocks, strict=True):
        if not a.dtype.is_float():
            assert a.equals(b)
            continue
        a, b = a.to_numpy(), b.to_numpy()
        sizes = np.maximum(np.abs(a), np.abs(b))
        last_digit = 10.0 ** (np.floor(np.log10(sizes)) + 1 - DIGITS)
        assert (np.abs(a - b) <= 1.001 * last_digit + ULPS * np.finfo(np.float32).eps * sizes.max()).all()
