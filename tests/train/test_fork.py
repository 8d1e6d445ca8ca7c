"""Forks: the exact state of a step, other settings from there on."""

import json
import shutil

import numpy as np
import pytest

import clearprop as cl
from clearprop.rules import random
from clearprop.train.forking import _changed_optimizer
from clearprop.train.step import make_step
from tests.train.conftest import bits

OPTIONS = {"epochs": 4, "batch_size": 8, "validation": 0.25, "metrics": ("accuracy",), "checkpoint_seconds": 0.0}
STEPS = 16
pytestmark = pytest.mark.usefixtures("eager")


@pytest.fixture
def run(network, data, tmp_path):
    return cl.fit(network, data, out=tmp_path / "run", **OPTIONS)


@pytest.mark.parametrize("step", [0, 3, 8, 15])
def test_a_fork_without_change_ends_in_the_same_bits(step, run):
    fork = run.fork(step, {})
    assert fork.steps == STEPS
    assert bits(fork.last) == bits(run.last)
    assert [e["validation"] for e in fork.history] == [e["validation"] for e in run.history]


def test_a_fork_keeps_the_optimizers_state_under_another_rate(run, network, data):
    fork = run.fork(6, {"learning_rate": 0.02})
    assert bits(fork.replay(6).optimizer) == bits(run.replay(6).optimizer)
    assert bits(fork.last) != bits(run.last)
    before = run.replay(6).state
    job = fork.workings.job()
    assert job.optimizer == cl.optim.adam(0.02)
    feed = fork.workings.plan().feed

    step = make_step(job.loss, (), cl.optim.adam(0.02))
    key = random.fold_in(np.array(fork.workings.plan().keys.layers, np.uint32), 6)
    model, _, _, _ = step(before.model, before.optimizer, *next(feed.batches(before.epoch, before.batch)), key)
    assert bits(fork.replay(7).model) == bits(model)


def test_the_new_run_records_where_it_comes_from(run, network, data, tmp_path):
    run.fork(6, {"learning_rate": 0.02, "epochs": 5}, out=tmp_path / "fork")
    config = json.loads((tmp_path / "fork" / "config.json").read_text())
    assert config["forked"] == {
        "run": str(tmp_path / "run"), "step": 6, "changed": {"learning_rate": 0.02, "epochs": 5}
    }  # fmt: skip
    loaded = cl.load(tmp_path / "fork")
    assert (loaded.steps, len(loaded.history), loaded.config.settings.epochs) == (20, 5, 5)
    assert sorted(p.name for p in (tmp_path / "fork" / "checkpoints").iterdir()) == ["12", "16", "20", "6"]


def test_a_fork_is_resumed_and_forked(run, network, data, tmp_path):
    fork = run.fork(6, {"optimizer": cl.optim.sgd(0.1), "epochs": 5}, out=tmp_path / "fork")
    longer = cl.fit(network, data, resume=tmp_path / "fork", optimizer=cl.optim.sgd(0.1), **{**OPTIONS, "epochs": 6})
    assert longer.config.forked.step == 6
    assert bits(longer.last) == bits(run.fork(6, {"optimizer": cl.optim.sgd(0.1), "epochs": 6}).last)
    assert bits(fork.fork(12, {}).last) == bits(fork.last)


def test_a_fork_has_no_steps_before_its_first(run, tmp_path):
    for fork in (run.fork(6, {}), run.fork(6, {}, out=tmp_path / "fork")):
        with pytest.raises(cl.errors.RunError) as caught:
            fork.replay(5)
        where = f"\n  where     {fork.folder}" if fork.folder else ""
        assert str(caught.value) == (
            "this run was forked at step 6, and has no steps before it"
            f"\n  expected  a step from 6 to 16{where}\n  try       replay {run.folder}"
        )


def test_a_fork_that_was_killed_before_it_saved_says_so(run, network, data, tmp_path):
    run.fork(6, {}, out=tmp_path / "fork")
    shutil.rmtree(tmp_path / "fork" / "checkpoints")
    with pytest.raises(cl.errors.RunError) as caught:
        cl.fit(network, data, resume=tmp_path / "fork", **OPTIONS)
    assert (
        str(caught.value)
        == f"""\
nothing of this fork has been saved
  expected  the checkpoint of step 6, where it starts
  got       none: it was stopped before its first step
  where     {tmp_path}/fork
  try       fork again from {run.folder}"""
    )


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("sgd:momentum=0.9", cl.optim.sgd(1e-3, momentum=0.9)),  # at the rate of the run
        ("sgd:lr=0.1,momentum=0.9", cl.optim.sgd(0.1, momentum=0.9)),
        ("lion", cl.optim.lion(1e-3)),
        ("clip_by_norm:limit=1+sgd:lr=0.1", cl.optim.chain(cl.optim.clip_by_norm(1), cl.optim.sgd(0.1))),
    ],
)
def test_an_optimizer_is_given_as_text(text, made, run):
    fork = run.fork(6, {"optimizer": text})
    assert fork.workings.job().optimizer == made
    assert fork.config.forked.changed == {"optimizer": text}
    assert bits(fork.last) == bits(run.fork(6, {"optimizer": made}).last)


def test_a_rate_beside_the_text():
    assert _changed_optimizer(cl.optim.adam(), {"optimizer": "sgd:momentum=0.9", "learning_rate": 0.5}) == cl.optim.sgd(
        0.5, momentum=0.9
    )


MISTAKES = {
    "unknown": (6, {"learningrate": 1.0}, "no setting named 'learningrate'"),
    "range": (6, {"l2": -1.0}, "fit cannot work with this l2"),
    "over": (16, {}, "there is nothing left to train after that step"),
    "batches": (6, {"batch_size": 4}, "the size of batches cannot change within an epoch"),
    "rate": (6, {"learning_rate": -1.0}, "adam cannot work with this learning_rate"),
    "optimizer": (6, {"optimizer": 3}, "this is no optimizer"),
    "no rate": (
        6,
        {"optimizer": cl.optim.clip_by_value(1.0), "learning_rate": 1.0},
        "clip_by_value has no learning rate",
    ),
    "step": (99, {}, "the run has no such step"),
    "text": (6, {"optimizer": "sgd:momentun=0.9"}, "no hyper-parameter of sgd named 'momentun'"),
    "rate twice": (6, {"optimizer": "sgd:lr=0.1", "learning_rate": 1.0}, "the learning rate is given twice"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_what_cannot_be_forked_is_said(case, run):
    step, change, headline = MISTAKES[case]
    with pytest.raises(cl.errors.ClearpropError) as caught:
        run.fork(step, change)
    assert caught.value.headline == headline
    assert caught.value.expected and caught.value.got


def test_a_replay_is_known_by_its_hash(run, network, data):
    second = cl.fit(network, data, **OPTIONS)
    assert [run.replay(s).digest for s in (0, 5, 9, 16)] == [second.replay(s).digest for s in (0, 5, 9, 16)]
    assert len({run.replay(s).digest for s in (0, 5, 9, 16)}) == 4
    assert repr(run.replay(3)) == "<the state after step 3: exact in every bit>"
