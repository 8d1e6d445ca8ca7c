"""Parts that stay, gradients of several batches, averages of weights: through every door, to the bit, and explained."""

import json
from pathlib import Path

import numpy as np
import pytest

import clearprop as cl
from clearprop.cli import main
from clearprop.errors import ArgumentError, RunError
from tests.train.conftest import bits

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3)).astype("f")
Y = (X[:, 0] > 0).astype(int)
ALL = {"freeze": "layers[0].*", "accumulate": 2, "ema": 0.75}
pytestmark = pytest.mark.usefixtures("eager")


def fit(**given):
    given = {"epochs": 3, "batch_size": 8, "shuffle": False, "optimizer": cl.optim.sgd(0.5, momentum=0.5), **given}
    return cl.fit(cl.nn.mlp([3, 4, 2]), (X, Y), progress=False, **given)


def numbers(model):
    return {path: np.asarray(p) for path, p in model.parameters().items()}


@pytest.mark.parametrize(
    "freeze", ["layers[0].*", ["layers[0].weight", "layers[0].bias"], "layers[0].weight,layers[0].bias"]
)
def test_what_is_frozen_stays_to_the_bit_and_all_else_moves(freeze):
    before, after = numbers(cl.nn.mlp([3, 4, 2])), numbers(fit(freeze=freeze).last)
    assert {path for path in before if (before[path] == after[path]).all()} == {"layers[0].weight", "layers[0].bias"}


def test_a_limit_on_the_norm_does_not_count_what_stays():
    clipped = cl.optim.chain(cl.optim.clip_by_norm(1e-3), cl.optim.sgd(1.0))
    before, after = (
        numbers(cl.nn.mlp([3, 4, 2])),
        numbers(fit(optimizer=clipped, freeze="layers[0].*", epochs=1, batch_size=24).last),
    )
    length = np.sqrt(sum(np.sum((after[path] - before[path]) ** 2) for path in before))
    assert length == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("name", ["sam", "polyak", "adam", "lookahead"])
def test_rules_that_find_gradients_of_their_own_leave_it_too(name):
    run = fit(optimizer=cl.optim.by_name(name), freeze="*.bias", epochs=1)
    assert not any(np.asarray(run.last.parameters()[path]).any() for path in ("layers[0].bias", "layers[2].bias"))


def test_gradients_of_batches_are_those_of_one_larger_batch():
    small, large = fit(accumulate=3, l2=0.1), fit(batch_size=24, l2=0.1)
    for a, b in zip(numbers(small.last).values(), numbers(large.last).values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    assert small.steps == 3 * large.steps


def test_between_updates_nothing_moves_and_what_is_summed_goes_on_in_the_next_epoch():
    run = fit(accumulate=2)
    digests = [run.replay(step).digest for step in range(10)]
    moved = [step for step in range(1, 10) if digests[step] != digests[step - 1]]
    states = [numbers(run.replay(step).state.model) for step in range(10)]
    changed = [s for s in range(1, 10) if any((states[s][p] != states[s - 1][p]).any() for p in states[s])]
    assert changed == [2, 4, 6, 8]
    assert set(changed) <= set(moved)


def test_the_averages_are_the_model_that_is_evaluated():
    run = fit(ema=0.75)
    average = numbers(run.replay(0).state.model)
    for step in range(1, run.steps + 1):
        new = numbers(run.replay(step).state.model)
        average = {path: a + np.float32(0.25) * (new[path] - a) for path, a in average.items()}
    for path, a in numbers(run.model).items():
        np.testing.assert_allclose(a, average[path], rtol=1e-5, atol=1e-6)
        assert (a != new[path]).any()


def test_resumed_and_loaded_the_bits_are_the_same(tmp_path):
    whole = fit(epochs=4, **ALL)
    fit(epochs=2, out=tmp_path / "run", **ALL)
    resumed = fit(epochs=4, resume=tmp_path / "run", **ALL)
    assert bits(resumed.last) == bits(whole.last)
    assert bits(cl.load(tmp_path / "run").model) == bits(whole.model)
    assert resumed.replay(11).digest == whole.replay(11).digest
    kept = json.loads((tmp_path / "run" / "config.json").read_text())["settings"]
    assert {name: kept[name] for name in ALL} == ALL
    with pytest.raises(RunError, match=r"settings.ema: 0.75"):
        fit(epochs=5, resume=tmp_path / "run", **{**ALL, "ema": 0.5})


def test_a_training_begins_with_the_weights_of_another_run(tmp_path):
    first = fit(out=tmp_path / "first", validation=0.25)
    asked = {"initial_weights": tmp_path / "first", "freeze": "layers[0].*", "epochs": 2}
    run = cl.fit(cl.nn.mlp([3, 4, 2], seed=9), (X, Y), out=tmp_path / "second", **asked)
    assert bits(run.replay(0).state.model) == bits(first.model)
    assert bits(run.model.layers[0]) == bits(first.model.layers[0])
    longer = {**asked, "epochs": 4}
    resumed = cl.fit(cl.nn.mlp([3, 4, 2], seed=9), (X, Y), resume=tmp_path / "second", **longer)
    assert bits(resumed.last) == bits(cl.fit(cl.nn.mlp([3, 4, 2]), (X, Y), **longer).last)


@pytest.mark.parametrize(("sizes", "said"), [([3, 5, 2], "layers[0].weight: float32 (3, 5)"), ([3, 2], "layers[0]")])
def test_weights_of_another_network_are_refused_with_the_first_that_differs(tmp_path, sizes, said):
    fit(out=tmp_path / "first", epochs=1)
    with pytest.raises(RunError) as mistake:
        cl.fit(cl.nn.mlp(sizes), (X, Y), initial_weights=tmp_path / "first")
    assert said in mistake.value.expected


@pytest.mark.parametrize(("path", "step", "titles"), [
    ("layers[0].weight", 4, ["gradient now", "freezing"]),
    ("layers[2].weight", 3, ["gradient now", "accumulation"]),
    ("layers[2].weight", 4, ["gradient now", "accumulation", "momentum history"]),
])  # fmt: skip
def test_an_update_tells_what_stayed_and_what_was_summed(path, step, titles):
    run = fit(**ALL)
    update = cl.explain_update(run, path, (0, 0), step)
    assert [part.name for part in update.parts] == titles
    assert update.total == pytest.approx(update.applied, abs=1e-7)
    assert (update.applied == 0.0) is (step == 3 or "freezing" in titles)


def test_a_fork_with_another_optimizer_keeps_them():
    run = fit(**ALL)
    fork = run.fork(4, {"optimizer": cl.optim.sgd(0.1), "epochs": 4})
    assert bits(fork.last.layers[0]) == bits(cl.nn.mlp([3, 4, 2]).layers[0])
    assert fork.workings.optimizer.links[1].every == 2


def test_the_command_line_has_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = lambda *words: main(list(words))
    asked = ("--freeze", "layers[0].*", "--accumulate", "2", "--ema", "0.75", "--epochs", "3", "--batch-size", "35")
    assert command("train", "iris", *asked, "--lr", "0.01", "--out", "run") == 0
    kept = json.loads(Path("run/config.json").read_text())
    assert {name: kept["settings"][name] for name in ALL} == ALL == {name: kept["command"][name] for name in ALL}
    assert command("train", "--resume", "run", "--epochs", "4") == 0
    assert command("train", "--fork", "run@4", "--lr", "0.1", "--out", "other") == 0
    assert cl.load("other").replay(4).digest == cl.load("run").replay(4).digest
    assert command("train", "--resume", "other", "--epochs", "5") == 0


MISTAKES = {
    "no such path": ({"freeze": "layer.*"}, "no parameter fits the pattern 'layer.*'"),
    "no pattern": ({"freeze": 3}, "fit cannot work with this freeze"),
    "an empty pattern": ({"freeze": ["layers[0].*", ""]}, "fit cannot work with this freeze"),
    "no batch": ({"accumulate": 0}, "fit cannot work with this accumulate"),
    "half a batch": ({"accumulate": 1.5}, "fit cannot work with this accumulate"),
    "all of it": ({"ema": 1.0}, "fit cannot work with this ema"),
    "no folder": ({"initial_weights": 3}, "initial weights come from the folder of a run"),
    "text": ({"ema": "0.9"}, "fit cannot work with this ema"),
    "a rule of one batch": ({"accumulate": 2, "optimizer": "sam"}, "accumulate cannot sum what sam needs"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_end_in_our_own_errors(name):
    given, headline = MISTAKES[name]
    with pytest.raises(ArgumentError) as mistake:
        fit(**given)
    assert mistake.value.headline == headline
    assert mistake.value.expected and mistake.value.got


GROUPS = {"*.bias": {"weight_decay": 0}, "layers[0].*": {"factor": 0.5, "momentum": 0}}
TEXT = "*.bias:weight_decay=0;layers[0].*:factor=0.5,momentum=0"


@pytest.mark.parametrize("groups", [GROUPS, TEXT])
def test_groups_have_settings_of_their_own(groups):
    """Each parameter moves as it does under one rule for all with the settings of its group."""
    rule = {"momentum": 0.5, "weight_decay": 0.1}
    varied = numbers(fit(optimizer=cl.optim.sgd(0.5, **rule), param_groups=groups, epochs=1, batch_size=24).last)
    of_group = {
        "layers[0].bias": cl.optim.sgd(0.5, momentum=0.5),
        "layers[2].bias": cl.optim.sgd(0.5, momentum=0.5),
        "layers[0].weight": cl.optim.sgd(0.25, weight_decay=0.1),
        "layers[2].weight": cl.optim.sgd(0.5, **rule),
    }
    for path, own in of_group.items():
        alone = numbers(fit(optimizer=own, epochs=1, batch_size=24).last)
        np.testing.assert_allclose(varied[path], alone[path], rtol=1e-5, atol=1e-7, err_msg=path)


def test_groups_keep_a_schedule_and_the_norm_of_all_gradients():
    rule = cl.optim.chain(cl.optim.clip_by_norm(1e-3), cl.optim.sgd(cl.optim.exponential(1.0, factor=0.5, every=1)))
    run = fit(optimizer=rule, param_groups={"layers[0].*": {"factor": 0}}, epochs=1, batch_size=24)
    plain, before = fit(optimizer=rule, epochs=1, batch_size=24), numbers(cl.nn.mlp([3, 4, 2]))
    after, same = numbers(run.last), numbers(plain.last)
    assert all((after[p] == (before if p.startswith("layers[0]") else same)[p]).all() for p in before)


def test_groups_resume_replay_and_are_told_by_an_update(tmp_path):
    whole = fit(param_groups=GROUPS | {"layers[2].*": {"lr": 0.1}}, out=tmp_path / "run")
    assert whole.config.settings.param_groups == (
        "*.bias:weight_decay=0.0;layers[0].*:factor=0.5,momentum=0.0;layers[2].*:lr=0.1"
    )
    fit(param_groups=whole.config.settings.param_groups, epochs=1, out=tmp_path / "half")
    gone_on = fit(param_groups=whole.config.settings.param_groups, resume=tmp_path / "half")
    assert gone_on.replay(whole.steps).digest == whole.replay(whole.steps).digest
    told = fit(param_groups={"layers[0].*": {"lr": 0.125}}, epochs=1)
    rates = [cl.explain_update(told, f"layers[{i}].weight", (0, 0), 3).learning_rate for i in (0, 2)]
    assert rates == [0.125, 0.5]


@pytest.mark.parametrize(
    "groups",
    [
        3,
        "weight_decay=0",
        "*.bias:decay",
        "*.bias:weight_decay=none",
        {"*": {"lr": "x"}},
        {"*": {}},
        {"a;b": {"lr": 1}},
    ],
    ids=repr,
)
def test_groups_that_cannot_be_read_are_refused(groups):
    with pytest.raises(ArgumentError, match="groups of parameters are a pattern"):
        fit(param_groups=groups)


@pytest.mark.parametrize(
    ("groups", "what"),
    [
        ({"*.bias": {"weight": 1}}, "sgd has no setting weight"),
        ({"*.wieght": {"lr": 1}}, r"\*.wieght"),
        ({"*": {"lr": -1}}, "learning_rate"),
    ],
)
def test_groups_without_a_meaning_are_refused(groups, what):
    with pytest.raises(ArgumentError, match=what):
        fit(param_groups=groups)


def test_a_factor_that_is_no_number_is_refused():
    with pytest.raises(ArgumentError, match="factor"):
        cl.optim.vary_by_group(cl.optim.sgd(0.1), {"*": {"factor": "half"}})


def test_a_run_without_an_update_is_refused(tmp_path):
    """Its network would be the one that it began with."""
    with pytest.raises(ArgumentError, match="the run ends before its first update") as error:
        fit(epochs=2, batch_size=len(X) // 6, out=tmp_path / "run", accumulate=13)
    assert "12 batches" in error.value.got and not (tmp_path / "run").exists()
    assert fit(epochs=3, batch_size=len(X) // 6, accumulate=13).steps == 18


SGD, ACC = cl.optim.sgd(0.1), cl.optim.accumulate


@pytest.mark.parametrize(
    "rule", [ACC(SGD, 13), ACC(ACC(SGD, 4), 4), cl.optim.chain(cl.optim.clip_by_norm(1.0), ACC(SGD, 13))]
)
def test_so_is_one_whose_optimizer_sums_more_batches_than_there_are(rule):
    with pytest.raises(ArgumentError, match="the run ends before its first update"):
        fit(epochs=2, batch_size=len(X) // 6, optimizer=rule)


def test_so_are_sums_of_sums():
    with pytest.raises(ArgumentError, match="the run ends before its first update"):
        fit(epochs=2, batch_size=len(X) // 6, optimizer=ACC(SGD, 4), accumulate=4)


@pytest.mark.parametrize(
    "asked",
    [
        {"freeze": "*"},
        {"freeze": ["*.weight", "*.bias"]},
        {"optimizer": cl.optim.chain(cl.optim.freeze("all"), SGD)},
        {"optimizer": cl.optim.chain(cl.optim.freeze("matrices"), SGD), "freeze": "*.bias"},
    ],
)
def test_a_network_of_which_all_is_frozen_is_refused(asked, tmp_path):
    with pytest.raises(ArgumentError, match="every parameter of the network is frozen"):
        fit(**asked, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("asked", [{"optimizer": cl.optim.sgd(0.0)}, {"param_groups": {"*": {"factor": 0}}}, {}])
def test_a_training_that_has_moved_nothing_says_so(asked, caplog):
    fit(epochs=2, **asked)
    assert ("training has moved no parameter" in caplog.text) == bool(asked)


def test_the_command_line_begins_with_the_weights_of_a_run(tmp_path, capsys):
    common = ["iris", "--hidden", "4", "--seed", "1", "--json"]
    assert main(["train", *common, "--epochs", "2", "--out", str(tmp_path / "first")]) == 0
    more = ["--epochs", "1", "--param-groups", "*:factor=0", "--out", str(tmp_path / "next")]
    assert main(["train", *common, "--initial-weights", str(tmp_path / "first"), *more]) == 0
    first, later = cl.load(tmp_path / "first"), cl.load(tmp_path / "next")
    for a, b in zip(numbers(first.model).values(), numbers(later.last).values(), strict=True):
        np.testing.assert_array_equal(a, b)
    capsys.readouterr()
    wrong = ["--initial-weights", str(tmp_path / "first"), "--resume", str(tmp_path / "next")]
    assert main(["train", *wrong]) == 2
    assert "a resumed run keeps its settings" in capsys.readouterr().err
