"""What the commands do and say, each in a folder of its own."""

import csv
import importlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import clearprop as cl
from clearprop.cli import app
from tests.explanation.schema import problems

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "events.schema.json").read_text(encoding="utf-8"))
HOUSES = "size,place,price\n" + "".join(
    f"{i % 17},{('town', 'land', 'sea')[i % 3]},{50 + 3 * (i % 17) + 20 * (i % 3)}.5\n" for i in range(120)
)
QUICK = ("--epochs", "2", "--hidden", "8")
SHORT = """\
from clearprop.train import job
from clearprop.train.executor import eager_executor
import sys
from clearprop.cli import main
job.choose_executor = eager_executor
sys.exit(main(sys.argv[1:]))
"""


def weights(folder):
    return (Path(folder) / "model.safetensors").read_bytes()


# ------------------------------------------------------------------------------------------------------------ train
@pytest.mark.usefixtures("eager")
def test_train_tells_what_it_inferred_and_how_it_went(command):
    result = command("train", "iris", *QUICK)
    assert result.code == 0
    lines = [line.rstrip() for line in result.out.splitlines()]
    seconds = next(line for line in lines if line.startswith("done: "))
    told = "\n".join(line if line != seconds else "done: …" for line in lines)
    start, _, end = told.partition("done: …\n")
    assert (
        start
        == """\
iris: the target is 'target', which 'iris' sets
iris: classification: the target 'target' holds 3 different texts

column             kind    missing  encoding                                  note
sepal length (cm)  number        0  (v − 5.873) / 0.8311
sepal width (cm)   number        0  (v − 3.075) / 0.4568
petal length (cm)  number        0  (v − 3.77) / 1.772
petal width (cm)   number        0  (v − 1.198) / 0.7532
target             target        0  3 classes: setosa, versicolor, virginica

rows      106 to train, 22 to validate, 22 to test
network   4 → 8 → 3, relu, dropout 0.3: 67 parameters
training  adam 0.003, batches of 32, l2 0.01, up to 2 epochs, until 40 without a better validation loss

"""
    )
    assert [line.split()[0] for line in end.splitlines() if line.strip()] == [
        "loss", "training", "validation", "test", "constant,", "linear,", "The", "saved"
    ]  # fmt: skip
    assert "The class of 'target' is right in " in end and "a linear model is in " in end
    assert told.endswith("saved in runs/iris-1; next: clearprop predict runs/iris-1 DATA")
    assert [line.partition("  ")[0] for line in result.err.splitlines()] == ["epoch 1/2", "epoch 2/2"]


@pytest.mark.usefixtures("eager")
def test_the_default_target_and_the_task_are_announced(command):
    Path("houses.csv").write_text(HOUSES)
    result = command("train", "houses.csv", *QUICK)
    assert result.out.startswith("""\
houses.csv: the target is 'price', the last column (--target chooses another)
houses.csv: regression: the target 'price' holds 51 different numbers
""")
    assert "chosen for data of this size" not in result.out
    summary = json.loads(Path("runs/houses-1/summary.json").read_text())
    assert set(summary["test"]) == {"loss", "r2", "mae"}
    assert sorted(p.name for p in Path("runs/houses-1").iterdir()) == [
        "checkpoints", "config.json", "history.jsonl", "model.safetensors", "preprocessing.json", "summary.json"
    ]  # fmt: skip


@pytest.mark.usefixtures("eager")
def test_errors_of_a_regression_are_in_the_unit_of_the_target(command):
    Path("houses.csv").write_text(HOUSES)
    command("train", "houses.csv", "--epochs", "30", "--hidden", "16", "--lr", "0.02", "--dropout", "0", "--test", "0")
    results = json.loads(command("evaluate", "runs/houses-1", "houses.csv", "--json").out)
    rows = list(csv.DictReader(command("predict", "runs/houses-1", "houses.csv").out.splitlines()))
    truth = [float(line.rpartition(",")[2]) for line in HOUSES.splitlines()[1:]]
    errors = [abs(float(row["price"]) - value) for row, value in zip(rows, truth, strict=True)]
    assert results["mae"] == pytest.approx(np.mean(errors), rel=1e-3)
    assert results["r2"] > 0.5
    assert "test" not in command("train", "--resume", "runs/houses-1").out.split("rows")[-1].split("saved")[0].lower()


@pytest.mark.usefixtures("eager")
def test_same_seed_same_bits(command):
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert command("train", "wine", *QUICK, "--seed", seed, "--out", name).code == 0
    assert weights("a") == weights("b") != weights("c")


@pytest.mark.usefixtures("eager")
def test_json_gives_events_and_nothing_else(command):
    result = command("train", "penguins", *QUICK, "--json")
    events = [json.loads(line) for line in result.out.splitlines()]
    assert result.err == ""
    kinds = [event["event"] for event in events]
    assert kinds == ["start", "data", "checkpoint", "epoch", "epoch", "checkpoint", "end"]
    assert [event["seq"] for event in events] == list(range(7))
    assert [problem for event in events for problem in problems(event, SCHEMA, SCHEMA)] == []
    assert events[1]["classes"] == ["Adelie", "Chinstrap", "Gentoo"]
    assert events[1]["columns"][0]["column"] == "island"
    history = [json.loads(line) for line in Path("runs/penguins-1/history.jsonl").read_text().splitlines()]
    assert history == events[3:5]


def test_a_mistake_is_an_event_too(command):
    result = command("train", "iriss", "--json")
    (event,) = map(json.loads, result.out.splitlines())
    assert problems(event, SCHEMA, SCHEMA) == []
    assert (result.code, event["kind"], event["try"]) == (2, "data", "'iris', the nearest name")
    assert result.err.startswith("no file and no bundled data set named 'iriss'\n")


@pytest.mark.usefixtures("eager")
def test_diverging_is_told_and_kept(command):
    Path("houses.csv").write_text(HOUSES)
    options = ("--optimizer", "sgd", "--lr", "100", "--epochs", "60", "--hidden", "64,64,64")
    result = command("train", "houses.csv", *options)
    assert result.code == 2
    assert "training diverged: the loss is no longer finite\n  expected  a loss that falls\n" in result.err
    assert result.err.endswith("  where     runs/houses-1\n  try       --lr 10\n")
    assert json.loads(Path("runs/houses-1/summary.json").read_text())["status"] == "diverged"


@pytest.mark.usefixtures("eager")
def test_config_file_and_options_over_it(command):
    Path("train.toml").write_text('data = "iris"\nhidden = [5]\nepochs = 3\nlr = 0.01\nactivation = "tanh"\n')
    result = command("train", "--config", "train.toml", "--epochs", "1")
    assert "network   4 → 5 → 3, tanh" in result.out
    assert "up to 1 epochs" in result.out
    Path("train.json").write_text('{"data": "iris", "hidden": [6], "epochs": 1}')
    assert "network   4 → 6 → 3" in command("train", "--config", "train.json").out


@pytest.mark.usefixtures("eager")
def test_the_learning_rate_has_its_full_name_too(command):
    short, long = (command("train", "iris", "--epochs", "1", name, "0.01") for name in ("--lr", "--learning-rate"))
    assert "training  adam 0.01, " in short.out
    assert long.out.splitlines()[:4] == short.out.splitlines()[:4]


def test_config_shows_checks_and_repeats(command):
    Path("full.toml").write_text(command("config").out)
    assert 'task = "auto"' in command("config", "full.toml").out
    command("train", "iris", *QUICK)
    Path("again.toml").write_text(command("config", "runs/iris-1").out)
    command("train", "--config", "again.toml")
    assert weights("runs/iris-1") == weights("runs/iris-2")


@pytest.mark.usefixtures("eager")
def test_npz_with_its_own_test_part(command):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, size=(60, 3, 3), dtype=np.uint8)
    y = (x.mean(axis=(1, 2)) > 127).astype(int)
    np.savez("images.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    result = command("train", "images.npz", *QUICK)
    assert "rows      34 to train, 6 to validate, 20 to test" in result.out
    assert command("predict", "runs/images-1", "images.npz").out.startswith("row,y,p(0),p(1)\n0,")


# ------------------------------------------------------------------------------------------- interrupting, resuming
@pytest.mark.usefixtures("eager")
def test_a_run_of_a_table_that_was_made_with_an_idle_context_goes_on(command):
    assert command("train", "wine", "--epochs", "1", "--hidden", "4", "--out", "old").code == 0
    file = Path("old", "config.json")
    stored = json.loads(file.read_text())
    stored["command"]["context"] = 64
    file.write_text(json.dumps(stored))
    assert command("train", "--resume", "old", "--epochs", "2").code == 0
    assert "--unit char" in command("train", "wine", "--context", "64").err


@pytest.mark.usefixtures("eager")
def test_interrupted_and_resumed_is_undisturbed(command, monkeypatch):
    from clearprop.cli.console import Display

    options = ("train", "wine", "--epochs", "5", "--hidden", "8", "--seed", "4")
    assert command(*options, "--out", "whole").code == 0

    def interrupt(self, state):
        if state.step == 11:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Display, "tick", interrupt)
        result = command(*options, "--out", "cut")
    assert result.code == 130
    assert "stopped: interrupted after step 11, in epoch 3" in result.err
    assert result.out.rstrip().endswith("saved in cut; clearprop train --resume cut goes on from there")
    assert json.loads(Path("cut/summary.json").read_text())["test"] is None
    assert command("train", "--resume", "cut").code == 0
    assert weights("cut") == weights("whole")
    for name in ("model", "optimizer", "best"):
        step = f"checkpoints/20/{name}.safetensors"
        assert Path("cut", step).read_bytes() == Path("whole", step).read_bytes()


def test_a_signal_from_outside(tmp_path):
    """The same in a process of its own, with a real SIGINT."""
    (tmp_path / "houses.csv").write_text(HOUSES)
    code = [sys.executable, "-c", SHORT, "train", "houses.csv", "--hidden", "4", "--batch-size", "8"]
    whole = subprocess.run([*code, "--epochs", "20", "--out", "whole"], cwd=tmp_path, capture_output=True, check=False)
    assert whole.returncode == 0
    process = subprocess.Popen(
        [*code, "--epochs", "20", "--out", "cut", "--json"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["epoch"] == 3:
            process.send_signal(signal.SIGINT)
            break
    events = [json.loads(line) for line in process.stdout]
    assert process.wait() == 130
    process.stdout.close()
    assert (events[-1]["event"], events[-1]["status"]) == ("end", "interrupted")
    assert any(event["event"] == "checkpoint" and event["reason"] == "interrupted" for event in events)
    done = subprocess.run(
        [sys.executable, "-c", SHORT, "train", "--resume", "cut"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


@pytest.mark.usefixtures("eager")
def test_data_that_changed_are_refused(command):
    Path("houses.csv").write_text(HOUSES)
    command("train", "houses.csv", *QUICK)
    Path("houses.csv").write_text(HOUSES.replace("5,town", "6,town"))
    result = command("train", "--resume", "runs/houses-1", "--epochs", "4")
    assert result.code == 2
    assert result.err.startswith("the run can only be resumed as it was started\n  expected  data.digest: ")
    checked = command("check", "runs/houses-1")
    assert checked.err.startswith("the data are not those that the run learned from\n")


# --------------------------------------------------------------------------------------------- predict, evaluate
@pytest.mark.usefixtures("eager")
def test_predict_repeats_the_preprocessing_of_training(command):
    command("train", "penguins", "--epochs", "8", "--lr", "0.02", "--hidden", "16")
    Path("new.csv").write_text(
        "sex,body_mass_g,extra,flipper_length_mm,bill_depth_mm,bill_length_mm,island\n"
        "FEMALE,3750,x,181,18.7,39.1,Torgersen\n,5200,y,221,15,48.2,Atlantis\n"
    )
    result = command("predict", "runs/penguins-1", "new.csv")
    rows = list(csv.reader(result.out.splitlines()))
    assert rows[0] == ["row", "species", "p(Adelie)", "p(Chinstrap)", "p(Gentoo)"]
    assert [row[:2] for row in rows[1:]] == [["0", "Adelie"], ["1", "Gentoo"]]
    assert [sum(map(float, row[2:])) for row in rows[1:]] == pytest.approx([1, 1], abs=2e-4)
    assert result.err.splitlines() == [
        "the columns stand in another order than in training: put right",
        "not used, because training did not: extra",
        "column 'island': no feature for 'Atlantis' (1 row); encoded as none of the known levels",
        "missing values filled in: sex (1)",
    ]
    run = cl.load("runs/penguins-1")
    with pytest.warns(cl.errors.DataWarning, match="'island': no feature for 'Atlantis'"):
        assert run.predict("new.csv").tolist() == ["Adelie", "Gentoo"]
    assert run.evaluate("penguins")["accuracy"] > 0.8


@pytest.mark.usefixtures("eager")
@pytest.mark.filterwarnings("always::clearprop.errors.DataWarning")
def test_warnings_are_sentences(command):
    command("train", "penguins", *QUICK)
    Path("new.csv").write_text(
        "species,sex,body_mass_g,flipper_length_mm,bill_depth_mm,bill_length_mm,island\n"
        "Adelie,FEMALE,3750,181,18.7,39.1,Torgersen\nGentoo,,5200,221,15,48.2,Atlantis\n"
    )
    told = command("importance", "runs/penguins-1", "new.csv", "--repeats", "1").err.splitlines()
    assert told == ["column 'island': no feature for 'Atlantis' (1 row); encoded as none of the known levels"]


@pytest.mark.usefixtures("eager")
def test_predict_needs_the_columns_of_training(command):
    command("train", "iris", *QUICK)
    Path("new.csv").write_text("petal width (cm)\n1\n2\n")
    result = command("predict", "runs/iris-1", "new.csv", "-o", "out.csv")
    assert (result.code, result.out) == (2, "")
    assert (
        result.err
        == """\
3 columns of training missing: sepal length (cm), sepal width (cm), petal length (cm)
  expected  sepal length (cm), sepal width (cm), petal length (cm), petal width (cm)
  got       petal width (cm)
  where     new.csv
  try       add the missing columns; the order does not matter, and single cells may be empty; \
to take them as empty: --fill 'sepal length (cm),sepal width (cm),petal length (cm)'
"""
    )
    assert not Path("out.csv").exists()
    Path("other.csv").write_text("petal width (cm);sepal width (cm);target\n1,5;3,1;setosa\nk.A.;3,2;setosa\n")
    said = ("--decimal", ",", "--missing", "k.A.", "--fill", "sepal length (cm),petal length (cm)")
    filled = "sepal length (cm) (2), petal length (cm) (2), petal width (cm) (1)"
    for do in ("predict", "evaluate"):
        result = command(do, "runs/iris-1", "other.csv", *said)
        assert (result.code, filled in result.err) == (0, True)


@pytest.mark.usefixtures("eager")
def test_predict_into_a_file(command):
    command("train", "iris", *QUICK)
    shown = command("predict", "runs/iris-1", "iris").out
    assert command("predict", "runs/iris-1", "iris", "-o", "out.csv").out == ""
    assert Path("out.csv").read_text() == shown
    again = command("predict", "runs/iris-1", "iris", "-o", "out.csv")
    assert again.code == 2
    assert (
        again.err
        == """\
'out.csv' is there already
  expected  the name of a new file
  got       a file
  where     -o out.csv
  try       another name, or --overwrite
"""
    )
    assert command("predict", "runs/iris-1", "iris", "-o", "out.csv", "--overwrite").code == 0
    Path("new.csv").write_text(
        "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)\n5.1,3.5,1.4,0.2\n"
    )
    held = Path("new.csv").read_bytes()
    Path("same.csv").symlink_to("new.csv")
    for source, out in (("new.csv", "new.csv"), ("new.csv", "same.csv"), ("same.csv", "new.csv")):
        refused = command("predict", "runs/iris-1", source, "-o", out, "--overwrite")
        assert refused.code == 2 and "would replace the data that they are made from" in refused.err
        assert Path("new.csv").read_bytes() == held
    assert command("predict", "runs/iris-1", "new.csv", "--keep", "petal").err.splitlines()[:2] == [
        "no column named 'petal'",
        "  expected  one of: sepal length (cm), sepal width (cm), petal length (cm), petal width (cm)",
    ]


@pytest.mark.usefixtures("eager")
def test_evaluate_measures(command):
    command("train", "iris", *QUICK)
    table = command("evaluate", "runs/iris-1", "iris").out.split()
    assert table[:2] == ["loss", "accuracy"]
    results = json.loads(command("evaluate", "runs/iris-1", "iris", "--json").out)
    assert results["rows"] == 150
    predicted = [row["target"] for row in csv.DictReader(command("predict", "runs/iris-1", "iris").out.splitlines())]
    truth = ["setosa"] * 50 + ["versicolor"] * 50 + ["virginica"] * 50
    assert results["accuracy"] == pytest.approx(np.mean(np.array(predicted) == truth))


# ------------------------------------------------------------------------------------------------- what it hangs on
@pytest.mark.usefixtures("eager")
def test_importance_and_a_prediction_opened(command):
    Path("houses.csv").write_text(HOUSES)
    command("train", "houses.csv", "--epochs", "30", "--lr", "0.02", "--hidden", "8")
    run = cl.load("runs/houses-1")
    told = command("importance", "runs/houses-1", "--repeats", "3").out.splitlines()
    assert told[0].startswith("r2 ") and {line.split()[0] for line in told[2:]} == {"size", "place"}
    given = json.loads(command("importance", "runs/houses-1", "houses.csv", "--metric", "mae", "--json").out)
    assert (given["part"], given["rows"]) == ("given", 120)
    wanted = {c.column: c.drop for c in run.importance("houses.csv", metric="mae").columns}
    assert {c["column"]: c["drop"] for c in given["columns"]} == wanted
    assert command("explain", "runs/houses-1", "--row", "3", "--prediction").out == f"{run.explain_prediction(3)}\n"
    page = command("explain", "runs/houses-1", "--row", "3", "--prediction", "--format", "html", "-o", "why.html")
    assert page.code == 0 and "the average row" in Path("why.html").read_text()


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(
    ("args", "headline"),
    [
        (("importance", "runs/houses-1", "--metric", "auc"), "auc judges classes, and the target is of numbers"),
        (("importance", "runs/houses-1", "--repeats", "0"), "every column is shuffled some times"),
        (("explain", "runs/houses-1", "--prediction"), "a prediction is that of one row"),
        (("explain", "runs/houses-1", "--prediction", "--row", "3", "--step", "1"), "a prediction is that of one row"),
        (("explain", "runs/houses-1", "--prediction", "--row", "120"), "the data have no such row"),
    ],
)
def test_what_cannot_be_opened_is_refused(args, headline, command):
    Path("houses.csv").write_text(HOUSES)
    command("train", "houses.csv", *QUICK)
    told = command(*args)
    assert (told.code, told.err.splitlines()[0]) == (2, headline)


# ------------------------------------------------------------------------------------------------- help, terminals
@pytest.mark.parametrize("name", app.COMMANDS)
def test_every_command_has_help_with_examples(name, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    result = command(name, "--help")
    assert result.code == 0
    assert "Examples" in result.out
    assert f"• clearprop {name}" in result.out


def test_help_lists_the_commands_and_the_exit_codes(command):
    shown = command("--help").out
    assert all(name in shown for name in app.COMMANDS)
    assert "Exit codes: 0 done" in shown
    assert command().out.split() == shown.split()


def test_version(command):
    assert command("--version") == (0, f"clearprop {cl.__version__}\n", "")


@pytest.mark.parametrize(
    ("typed", "offered"),
    {
        "clearprop train di": ["digits", "diabetes"],
        "clearprop train digits --seed 1 --seed 2 --sp": ["--split"],  # what is given twice is refused when it runs
    }.items(),
)
def test_completion_for_the_shell(typed, offered):
    script = Path(sys.executable).parent / "clearprop"
    environment = os.environ | {
        "_CLEARPROP_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
    }
    done = subprocess.run([script], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (offered, "")


def in_terminal(folder, *args, **environment):
    """What a terminal of 100 columns shows, and the exit code."""
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover - the child
        os.environ.update({"COLUMNS": "100", "TERM": "xterm-256color", **environment})
        os.chdir(folder)
        os.execv(sys.executable, [sys.executable, "-c", SHORT, *args])
    shown, deadline = b"", time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            part = os.read(terminal, 4096)
        except OSError:
            break
        shown += part
        if not part:
            break
    os.close(terminal)
    return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_on_a_terminal_progress_moves_in_colour(tmp_path):
    shown, code = in_terminal(tmp_path, "train", "iris", "--epochs", "3", NO_COLOR="")
    assert code == 0
    assert "epoch 3/3 " in shown
    assert "val accuracy" in shown
    assert "\x1b[2K" in shown and "\x1b[36m" in shown
    assert "epoch 1/3  loss" not in shown


def test_no_color_is_respected(tmp_path):
    shown, code = in_terminal(tmp_path, "train", "iris", "--epochs", "3", NO_COLOR="1")
    assert code == 0
    assert "epoch 3/3 " in shown
    colours = [f"\x1b[{n}m" for n in (*range(30, 38), *range(90, 98))]
    assert not any(colour in shown for colour in colours)


def test_a_reader_that_stops_reading_is_no_fault(tmp_path):
    code = f"{sys.executable} -c '{SHORT}' config | head -n 1"
    done = subprocess.run(["bash", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("# clearprop train --config FILE")
    assert "Traceback" not in done.stderr


def test_main_needs_the_packages_of_the_command_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "typer", None)
    monkeypatch.setattr(cl, "cli", cl.cli)  # is given back, as what is imported is
    for name in [name for name in sys.modules if name.split(".")[:2] == ["clearprop", "cli"]]:
        monkeypatch.delitem(sys.modules, name)
    assert importlib.import_module("clearprop.cli").main([]) == 2
    assert capsys.readouterr().err == (
        "the command line needs packages that are not installed\n"
        "  expected  typer, rich, pydantic, polars, pyarrow, narwhals, scikit-learn and matplotlib\n"
        "  got       no module named 'typer'\n"
        "  try       pip install 'clearprop[cli]'\n"
    )
