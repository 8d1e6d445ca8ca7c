"""Progress in a notebook: one output that is replaced in place; nothing is printed anywhere else."""

import re
import sys
import types

import nbclient
import nbformat
import numpy as np
import pytest

import clearprop as cl
from clearprop.runs.state import State
from clearprop.train import notebook

FIT = """
import numpy as np
import clearprop as cl
x = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
run = cl.fit(cl.nn.mlp([4, 8, 2]), (x, (x.sum(1) > 0).astype(int)), epochs=3, validation=0.2{more})
"""
CELLS = [FIT.format(more=""), "run.fork(6, {'epochs': 4}).status", FIT.format(more=", progress=False")]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    folder = str(tmp_path_factory.mktemp("notebook"))
    nbclient.NotebookClient(
        book, timeout=120, kernel_name="python3", resources={"metadata": {"path": folder}}
    ).execute()
    return [cell.outputs for cell in book.cells]


def test_a_run_is_one_output_that_ends_with_how_it_ended(outputs):
    (shown,) = outputs[0]
    assert shown.output_type == "display_data"
    line = shown.data["text/plain"]
    assert re.fullmatch(r"epoch 3/3  loss \S+  val loss \S+(  \(best\))?, done after \d+\.\d s, best epoch [123]", line)
    bar = '<progress value="3" max="3" aria-label="epochs"></progress>'
    assert shown.data["text/html"] == f"<div>{bar} <code>{line}</code></div>"


def test_a_fork_is_shown_and_progress_can_be_turned_off(outputs):
    assert [o.output_type for o in outputs[1]] == ["display_data", "execute_result"]
    assert outputs[1][0].data["text/plain"].startswith("epoch 4/4  ")
    assert outputs[2] == []


@pytest.mark.parametrize("ipython", [None, types.SimpleNamespace(get_ipython=lambda: None)])
def test_nothing_is_printed_elsewhere(ipython, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    x = np.zeros((4, 2), np.float32)
    cl.fit(cl.nn.mlp([2, 2]), (x, np.array([0, 1, 0, 1])), epochs=1)
    assert capfd.readouterr() == ("", "")


def test_the_line_moves_within_epochs_and_not_too_often(monkeypatch):
    shown, now = [], [0.0]
    monkeypatch.setattr(notebook.time, "perf_counter", lambda: now[0])
    line = notebook.ProgressLine(lambda forms: shown.append((forms["text/plain"], forms["text/html"].split('"')[1])))
    line({"event": "start", "epochs": 2, "batch_size": 10})
    line({"event": "data", "rows": {"train": 35, "validation": 0, "test": 0}})
    line.tick(State(None, None, step=1, epoch=0, batch=1))
    now[0] = 0.05
    line.tick(State(None, None, step=2, epoch=0, batch=2))
    now[0] = 0.2
    line.tick(State(None, None, step=3, epoch=0, batch=3))
    now[0] = 0.31
    epoch = {"event": "epoch", "epoch": 1, "epochs": 2, "train": {"loss": 0.5}, "validation": None, "best": True}
    line(epoch)
    now[0] = 0.32
    line({**epoch, "epoch": 2, "best": False})
    line({"event": "end", "epoch": 2, "status": "done", "seconds": 0.3, "test": None, "best_epoch": 1})
    assert shown == [
        ("epoch 1/2", "0.25"),
        ("epoch 1/2", "0.75"),
        ("epoch 1/2  loss 0.5  (best)", "1"),
        ("epoch 2/2  loss 0.5, done after 0.3 s, best epoch 1", "2"),
    ]
