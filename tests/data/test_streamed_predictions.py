"""Predicting and evaluating a table in blocks: what does not depend on how the blocks are cut."""

import json

import pytest

from clearprop.cli import main
from clearprop.data.streaming import encoded_source
from tests.data.mixed_table import saved, table


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
    assert whole[0] == blocks[0]
    assert whole[0].count(b"\n") == 2001
    assert whole[1] == blocks[1]
    assert whole[2] == pytest.approx(blocks[2], rel=1e-5)
