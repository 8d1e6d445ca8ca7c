"""Six tiny trainings, wherever they are done: the same trials, the same bits, whatever dies on the way."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import clearprop as cl
from clearprop.cli import main
from clearprop.errors import ArgumentError, RunError
from clearprop.search.sweep_folder import SweepFolder
from tests.search.conftest import SETTINGS, SPACE, TRIALS, sweep_of_six, weights
from tests.train.conftest import bits


def told(folder, status):
    events = map(json.loads, (Path(folder) / "events.jsonl").read_text().splitlines())
    return [e["number"] for e in events if e["event"] == "trial" and e["status"] == status]


def same(found, reference):
    assert found.choice.number == reference.choice.number
    assert found.choice.validation == reference.choice.validation and found.choice.tested == reference.choice.tested
    assert weights(found) == weights(reference)


def test_every_trial_is_a_run_and_the_best_is_chosen(reference):
    assert [len(reference.trials), reference.stopped_by] == [TRIALS, None]
    values = [e.outcome.value for e in reference.trials]
    assert values == sorted(values, reverse=True) and reference.choice.validation.value == values[0]
    run = reference.best
    assert run.status == "done" and run.config.settings.epochs == reference.choice.number + 1
    assert run.results["validation"]["accuracy"] == values[0]
    low, high = reference.choice.validation.interval
    assert 0 <= low <= values[0] <= high <= 1
    assert reference.choice.equal == sum(low <= v <= high for v in values[1:])
    assert str(reference).startswith(f"best: trial {reference.choice.number} of 6, epochs ")


def test_the_test_rows_are_looked_at_once_for_the_chosen_one(reference):
    for ended in reference.trials:
        assert "test" not in cl.load(reference.folder / f"trials/trial-{ended.request.number:03d}").results
    chosen = cl.load(reference.choice.folder)
    x, y = chosen.workings.job().data.test
    right = np.argmax(chosen.outputs(x), axis=1) == y
    assert reference.choice.tested.value == right.mean() and reference.choice.tested.rows == len(y)
    result = json.loads((reference.folder / "result.json").read_text())
    assert result["test"]["value"] == reference.choice.tested.value and result["told"] == reference.choice.sentences()


def test_events_are_a_stream_that_begins_and_ends(reference):
    events = [json.loads(line) for line in (reference.folder / "events.jsonl").read_text().splitlines()]
    assert [e["seq"] for e in events] == list(range(len(events)))
    assert [events[0]["event"], events[-1]["event"]] == ["sweep", "choice"]
    assert sorted(told(reference.folder, "begun")) == sorted(told(reference.folder, "done")) == list(range(TRIALS))


def test_a_trial_can_be_explained_and_resumed_as_any_run(reference, tmp_path):
    place = tmp_path / "copy"
    shutil.copytree(reference.folder / "trials" / "trial-002", place)
    run = cl.load(place)
    assert run.replay(run.steps).digest
    assert main(["train", "--resume", str(place), "--epochs", "4"]) == 0
    assert (place / "model.safetensors").read_bytes() == weights(reference)[3]


def test_processes_give_the_same_bits_and_what_a_killed_one_did_is_done_again(reference, tmp_path):
    def kill_one(event):
        if event["event"] == "trial" and event["status"] == "done" and not killed:
            killed.append(multiprocessing.active_children()[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    killed = []
    found = sweep_of_six(tmp_path / "killed", on="local:2", callbacks=[kill_one])
    same(found, reference)
    assert killed and told(found.folder, "lost")
    assert sorted(told(found.folder, "done")) == list(range(TRIALS))


COMMAND = [
    *(sys.executable, "-m", "clearprop", "sweep", "iris", "--set", f"epochs={SPACE['epochs']}", "--search", "grid"),
    *("--trials", str(TRIALS), "--hidden", "4", "--batch-size", "40", "--lr", "0.05", "--metric", "accuracy"),
    *("--dropout", "0", "--seed", "1", "--on", "local:2", "--json"),
]


def test_a_killed_sweep_goes_on_and_repeats_nothing(reference, tmp_path):
    folder = tmp_path / "six"
    with subprocess.Popen([*COMMAND, "--out", folder], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "trial" and event["status"] == "done":
                break
        process.kill()
        process.stdout.read()  # ends when the last process that could write to it has ended: nobody trains on
    before = set(told(folder, "done"))
    assert 0 < len(before) < TRIALS
    count = SweepFolder(folder).written_events()
    with ThreadPoolExecutor(1) as executor:
        found = cl.sweep(resume=folder, executor=executor)
    same(found, reference)
    after = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()][count:]
    again = {e["number"] for e in after if e["event"] == "trial"}
    assert again and not again & before


@pytest.mark.usefixtures("eager")
def test_halving_trains_on_to_the_bits_of_a_run_that_never_stopped(tmp_path):
    space, settings = {"lr": "1e-3..1e-1:log"}, {"hidden": (4,), "batch_size": 110, "epochs": 9, "dropout": 0.1}
    with ThreadPoolExecutor(2) as executor:
        halved = cl.sweep("iris", space, trials=9, search="halving", executor=executor, out=tmp_path / "h", **settings)
        whole = cl.sweep("iris", space, trials=9, executor=executor, out=tmp_path / "w", **settings)
    assert sorted((e.request.epochs, len(cl.load(place_of(halved, e)).history)) for e in halved.trials) == [
        *[(1, 1)] * 6, (3, 3), (3, 3), (9, 9),
    ]  # fmt: skip
    number = halved.choice.number
    assert weights(halved)[number] == weights(whole)[number]
    last = [cl.load(place_of(found, halved.trials[0])).last for found in (halved, whole)]
    assert bits(last[0]) == bits(last[1])


def place_of(found, ended):
    return found.folder / f"trials/trial-{ended.request.number:03d}"


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("search", ["tpe", "random", "halving"])
def test_every_search_goes_on_where_it_was_interrupted(search, tmp_path):
    def interrupt(event):
        if event["event"] == "trial" and event["status"] == "done" and event["number"] == 2:
            raise KeyboardInterrupt

    settings = {"hidden": (4,), "batch_size": 110, "epochs": 3, "dropout": 0.1}
    space = {"lr": "1e-3..1e-1:log", "activation": "relu;tanh"}
    how = {"trials": 6, "search": search, **settings}
    with ThreadPoolExecutor(1) as executor:
        whole = cl.sweep("iris", space, executor=executor, out=tmp_path / "w", **how)
        stopped = cl.sweep("iris", space, executor=executor, out=tmp_path / "s", callbacks=[interrupt], **how)
        assert stopped.stopped_by == "interrupted" and stopped.choice.tested is None
        assert len(stopped.trials) == 3 and not (tmp_path / "s" / "stop").exists()
        found = cl.sweep(resume=tmp_path / "s", executor=executor)
    done = told(found.folder, "done")
    assert len(found.trials) == 6 and len(done) == len(told(whole.folder, "done"))
    if search != "tpe":  # Optuna's sampler does not remember where it was
        same(found, whole)


@pytest.mark.usefixtures("eager")
def test_time_that_is_up_saves_what_runs(tmp_path):
    settings = {"hidden": (4,), "batch_size": 40, "epochs": 100_000, "dropout": 0.0, "patience": None}
    with ThreadPoolExecutor(2) as executor:
        found = cl.sweep(
            "iris", {"lr": "0.001;0.01"}, trials=2, executor=executor, out=tmp_path / "t", time=0.3, **settings
        )
    assert (found.stopped_by, found.choice, found.trials) == ("time", None, ())
    for number in (0, 1):
        run = cl.load(tmp_path / f"t/trials/trial-00{number}")
        assert run.status == "interrupted" and run.steps > 0
    assert "no trial came to a result" in repr(found)


@pytest.mark.usefixtures("eager")
def test_when_the_test_rows_judge_a_second_trial_it_is_said(tmp_path):
    settings = {"hidden": (4,), "batch_size": 110, "dropout": 0.0, "lr": 0.1}
    place = tmp_path / "s"
    with ThreadPoolExecutor(1) as executor:
        found = cl.sweep("iris", {"epochs": "1;9"}, search="grid", executor=executor, out=place, **settings)
        result = json.loads((place / "result.json").read_text())
        assert found.choice.number == result["trial"] == 1 and found.choice.before is None
        (place / "result.json").write_text(json.dumps({**result, "trial": 0}))  # as if the other had been the best
        for _ in range(2):
            found = cl.sweep(resume=place, executor=executor)
            assert found.choice.before == 0 and "have judged trial 0 before" in found.choice.sentences()[-1]


@pytest.mark.usefixtures("eager")
def test_trials_that_diverge_or_fail_are_told_and_never_chosen(tmp_path):
    space = {"optimizer": "sgd:lr=1e30;adam;rprop"}
    with ThreadPoolExecutor(2) as executor:
        found = cl.sweep(
            "diabetes", space, trials=3, search="grid", executor=executor, out=tmp_path / "d", hidden=(4,), epochs=2
        )
    assert [(e.request.settings["optimizer"], e.outcome.status) for e in found.trials] == [
        ("adam", "done"), ("sgd:lr=1e30", "diverged"), ("rprop", "failed"),
    ]  # fmt: skip
    assert found.trials[2].outcome.message == "rprop needs all rows in every step"
    page = (found.folder / "sweep.html").read_text()
    assert page.count('class="lost"') == 2 and "rprop needs all rows" in page


@pytest.mark.usefixtures("eager")
def test_a_frame_is_swept_too(tmp_path):
    frame = pl.DataFrame(
        {"a": [i % 7 for i in range(90)], "b": [i % 3 for i in range(90)], "y": ["no", "yes", "no"] * 30}
    )
    with ThreadPoolExecutor(1) as executor:
        found = cl.sweep(frame, {"lr": "0.01;0.1"}, executor=executor, out=tmp_path / "f", epochs=2, hidden=(4,))
        assert len(found.trials) == 2
        with pytest.raises(RunError, match="data of a program"):
            cl.sweep(resume=found.folder, executor=executor)


class Refuses:
    """An executor that cannot pickle what it is given."""

    def submit(self, function, *arguments):
        raise TypeError("cannot pickle a function")


MISTAKES = {
    "empty space": ({"space": {}}, "there is nothing to vary"),
    "no space": ({"space": None}, "a sweep varies settings by name"),
    "mistyped setting": ({"space": {"lrr": "1..2"}}, "no setting to vary named 'lrr'"),
    "wrong type": ({"space": {"hidden": "a;b"}}, "--hidden cannot be 'a'"),
    "twice": ({"lr": 0.1}, "lr is given twice"),
    "trials": ({"trials": 0}, "a sweep has a number of trials"),
    "trials of text": ({"trials": "5"}, "a sweep has a number of trials"),
    "search": ({"search": "bayes"}, "no search named 'bayes'"),
    "metric": ({"metric": "acuracy"}, "no metric named 'acuracy'"),
    "metric of numbers": ({"metric": "mae"}, "mae judges numbers, and the target is of classes"),
    "setting": ({"epoch": 3}, "no setting named 'epoch'"),
    "data": ({"data": "iriss"}, "no file and no bundled data set named 'iriss'"),
    "no data": ({"data": None}, "a sweep needs data that can be read again"),
    "no validation": ({"val": 0.0}, "a sweep chooses by validation rows, and there are none"),
    "grid": ({"search": "grid", "trials": 1}, "the grid does not fit into the trials"),
    "halving epochs": ({"space": {"epochs": "1;2"}, "search": "halving"}, "halving decides on the epochs itself"),
    "place": ({"on": "remote"}, "--on cannot be 'remote'"),
    "workers": ({"on": "local:0"}, "--on cannot be 'local:0'"),
    "no place": ({"on": 3}, "on says where, in words"),
    "no executor": ({"executor": 3}, "this is no executor"),
    "executor": ({"executor": Refuses()}, "the workers cannot train"),
    "time": ({"time": "soon"}, "the time cannot be 'soon'"),
    "threads": ({"threads": 0}, "the number of threads is a positive integer"),
    "callbacks": ({"callbacks": 3}, "callbacks are a list of functions"),
    "out": ({"out": 3}, "out names no file or folder"),
    "resume and more": ({"resume": "x"}, "a sweep that goes on keeps its data and settings"),
    "argument": ({"rate": 3}, "no setting named 'rate'"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_ours_before_anything_starts(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given, headline = MISTAKES[case]
    with ThreadPoolExecutor(1) as executor, pytest.raises(cl.ClearpropError) as caught:
        where = {} if "on" in given else {"executor": executor}
        cl.sweep(**{"data": "iris", "space": {"lr": "0.1;0.2"}, **where, **given})
    error = caught.value
    assert error.headline == headline and (error.expected or error.got)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_none_or_taken_is_refused(tmp_path, reference):
    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(RunError, match="is no folder of a sweep"):
            cl.sweep(resume=tmp_path, executor=executor)
        with pytest.raises(ArgumentError, match="is not empty"):
            cl.sweep("iris", SPACE, out=reference.folder, executor=executor, **SETTINGS)
        broken = tmp_path / "broken"
        broken.mkdir()
        (broken / "sweep.json").write_text('{"format": 2}')
        with pytest.raises(RunError, match="the sweep cannot be trusted"):
            cl.sweep(resume=broken, executor=executor)


DAMAGED = {
    "sweep.json": ["", "[]", "{}", '{"format": 1}', '{"format": 1, "trials": "many"}'],
    "events.jsonl": ["no\n", "[]\n", '{"event": "trial"}\n', '{"event": "trial", "number": "1", "status": 3}\n'],
    "result.json": ["no", "[]"],
}


@pytest.mark.parametrize("name, text", [(name, text) for name, texts in DAMAGED.items() for text in texts])
def test_a_damaged_folder_is_refused(name, text, reference, tmp_path):
    place = tmp_path / "damaged"
    shutil.copytree(reference.folder, place)
    (place / name).write_text(text)
    with ThreadPoolExecutor(1) as executor, pytest.raises(RunError):
        cl.sweep(resume=place, executor=executor)


def test_an_event_that_was_cut_short_is_taken_away(reference, tmp_path):
    place = tmp_path / "cut"
    shutil.copytree(reference.folder, place)
    whole = (place / "events.jsonl").read_text()
    (place / "events.jsonl").write_text(whole[:-20])
    with ThreadPoolExecutor(1) as executor:
        same(cl.sweep(resume=place, executor=executor), reference)
    events = [json.loads(line) for line in (place / "events.jsonl").read_text().splitlines()]
    assert [e["seq"] for e in events] == list(range(len(events)))
