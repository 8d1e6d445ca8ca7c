"""What earlier versions left on disk is of use: run folders, exported files, files of settings.

Where processor, BLAS kernel, threads and versions are those of the making, every bit must be the same.  A run says
itself where they are not; there, sums of floating-point numbers have another order, and values agree within `BOUND`.
"""

import json
import re
import tomllib

import numpy as np
import pytest
from safetensors.numpy import load_file

import clearprop as cl
from clearprop.runs.environment import environment
from tests.fixtures.version_0_1.outcomes import (
    HERE,
    OUTCOMES,
    PLACE,
    array,
    as_array,
    cases,
    command,
    compared,
    continued,
    kept,
    run_exported,
    unpack,
    weights,
)
from tests.fixtures.version_0_1.programs import optimizers
from tests.train.conftest import eager as eager

# a name that was replaced may say so; programs of then go on working
pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")

BOUND = 2e-4
"""Relative to the largest entry: five BLAS kernels differed by 1e-6, and some numbers are printed with four digits."""
NUMBER = re.compile(r"-?\d+\.\d+(e[+-]?\d+)?|-?\d+e[+-]?\d+")


OTHER_BITS = {"streamed", "layers"}
"""Runs whose last bits changed in 0.2: long sums are added in blocks, and gates carry what they chose."""


PREDICTED = {"predicted", "probabilities", "measured", "validation", "test"}
"""Numbers from predictions, whose products have another order of sums since 0.2, in which a row stands by itself."""


ANOTHER_QUANTITY = "summary, train"
"""Results of training rows are the best epoch's network's since 0.2; the means over steps of 0.1 are in the history."""


def recorded(name):
    return json.loads((HERE / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def exact(tmp_path_factory):
    """Whether bits can be expected here: a kept run was made in an environment that differs by our version at most."""
    made = cl.load(kept("table", tmp_path_factory.mktemp("kept")) / "run").config.environment
    return all(difference.startswith("clearprop ") for difference in made.differences(environment()))


def require_same(before, now, exact, where="", free=()):
    """Bits where they can be expected, else values within the bound; keys named in `free` may hold anything."""
    if isinstance(before, list) and isinstance(now, dict):  # 0.1 gave the names of classes that came as whole numbers
        now = as_array(now).astype(str).tolist()
    if isinstance(before, dict) and "bytes" in before:
        require_same_array(before, now, exact, where)
    elif isinstance(before, dict):
        before = one_answer_a_row(before)
        assert set(before) <= set(now), where  # a later version may tell more
        for key in before.keys() - set(free) - (set() if exact else {"digest"}):
            if not f"{where}, {key}".endswith(ANOTHER_QUANTITY):
                require_same(before[key], now[key], exact and key not in PREDICTED, f"{where}, {key}", free)
    elif isinstance(before, list):
        assert len(before) == len(now), where
        for i, (one, other) in enumerate(zip(before, now, strict=True)):
            require_same(one, other, exact, f"{where}[{i}]", free)
    elif exact or not isinstance(before, float | str):
        assert before == now, where
    elif isinstance(before, float):
        assert now == pytest.approx(before, rel=BOUND, abs=BOUND), where
    else:
        assert numbers_in(now) == numbers_in(before), where


def one_answer_a_row(before):
    """The same, with predictions of one output as they come since 0.2, `(rows,)`; 0.1 gave `(rows, 1)`."""
    told = before.get("predicted")
    if not isinstance(told, dict) or told["shape"][1:] != [1]:
        return before
    return {**before, "predicted": {**told, "shape": told["shape"][:1]}}


def require_same_array(before, now, exact, where):
    assert (before["dtype"], before["shape"]) == (now["dtype"], now["shape"]), where
    assert not exact or before["bytes"] == now["bytes"], where
    one, other = as_array(before), as_array(now)
    scale = np.abs(one).max(initial=0.0, where=np.isfinite(one))
    np.testing.assert_allclose(other, one, rtol=0, atol=BOUND * scale, err_msg=where)


def numbers_in(text):
    """The words of a text, those that are numbers with a point as numbers that equal what is near to them."""
    return [near(word) if NUMBER.fullmatch(word) else word for word in text.replace(",", " ").split()]


def near(word):
    return pytest.approx(float(word), rel=BOUND, abs=BOUND)


# ------------------------------------------------------------------------------------------------------ run folders
TRIED = {("diverged", "resumed"), ("interrupted", "replayed"), ("own", "forked")}
"""Of what goes on with an old run, the cases that `make test` tries; every run is opened."""


@pytest.mark.filterwarnings("ignore::clearprop.errors.DataWarning")  # of levels that training had not, as before
@pytest.mark.parametrize(
    ("name", "part"),
    [
        case if case[1] == "loaded" or case in TRIED else pytest.param(*case, marks=pytest.mark.verify)
        for case in cases()
    ],
)
def test_a_run_gives_what_it_gave(name, part, exact, tmp_path):
    now = OUTCOMES[part](name, kept(name, tmp_path))
    require_same(recorded(f"runs/{name}.json")[part], now, exact and name not in OTHER_BITS, name)


def test_a_replay_of_another_version_does_not_claim_every_bit(tmp_path):
    replayed = cl.load(kept("table", tmp_path) / "run").replay(1)
    assert "clearprop 0.1.0 → " in replayed.difference


@pytest.mark.parametrize("name", recorded("optimizers.json"))
def test_every_optimizer_goes_on_from_its_state(name, eager, exact, tmp_path):
    folder = unpack(HERE / "optimizers.zip", tmp_path, f"{name}/", "data.npz")
    config = json.loads((folder / name / "config.json").read_text())
    assert cl.optim.from_config(config["settings"]["optimizer"]) == optimizers()[name]
    require_same(recorded("optimizers.json")[name], continued(name, folder), exact, name)


READERS = {
    "explain": ("explain", "run", "--step", "3"),
    "check": ("check", "run"),
    "report": ("report", "run"),
    "export": ("export", "run", "-o", "again.py"),
    "compare": ("compare", "run", "other"),
}


@pytest.mark.parametrize("name", READERS)
def test_every_command_reads_a_run(name, tmp_path):
    folder = kept("table", tmp_path)
    if "other" in READERS[name]:
        kept("forked", tmp_path / "second")
        (tmp_path / "second" / "run").rename(folder / "other")
    command(folder, *READERS[name])


# --------------------------------------------------------------------------------------------------- exported files
def test_an_exported_python_file_repeats_the_run(exact, tmp_path):
    printed = run_exported(unpack(HERE / "exported.zip", tmp_path))
    require_same(recorded("exported.json"), {"printed": printed}, exact)


def test_exported_weights_fit_into_a_network(exact, tmp_path):
    run = cl.load(kept("table", tmp_path) / "run")
    exported = load_file(unpack(HERE / "exported.zip", tmp_path) / "weights.safetensors")
    model = run.replay(0).model.replace(exported)
    assert weights(model, tmp_path) == recorded("runs/table.json")["loaded"]["best"]
    outputs = np.asarray(model(run.encode(tmp_path / "new.csv").x))
    require_same(array(run.outputs(run.encode(tmp_path / "new.csv").x)), array(outputs), exact)


# ---------------------------------------------------------------------------------------------------------- settings
@pytest.mark.parametrize("name", ["default.toml", "run.toml", "numbers.toml", "numbers.json"])
def test_a_file_of_settings_means_what_it_meant(name, tmp_path):
    text = (HERE / "settings" / name).read_text()
    (tmp_path / name).write_text(text)
    before = json.loads(text) if name.endswith("json") else tomllib.loads(text)
    now = tomllib.loads(command(tmp_path, "config", name))
    assert before.items() <= now.items()


def test_a_run_tells_its_settings(tmp_path):
    before = tomllib.loads((HERE / "settings" / "run.toml").read_text().replace(PLACE, str(tmp_path)))
    now = tomllib.loads(command(kept("numbers", tmp_path), "config", "run"))
    assert before.items() <= now.items()


def test_settings_train_the_network_that_they_trained(exact, tmp_path):
    folder = kept("numbers", tmp_path)
    command(folder, "train", "--config", "numbers.toml", "--out", "again")
    again = cl.load(folder / "again")
    before = recorded("runs/numbers.json")["loaded"]["last"]
    require_same(before, weights(again.last, folder), exact)


# ------------------------------------------------------------------------------------------- comparing optimizers
def test_a_comparison_says_what_it_said(eager, exact, tmp_path):
    require_same(recorded("compared.json"), compared(tmp_path), exact, free=("seconds", "seconds_per_epoch"))
