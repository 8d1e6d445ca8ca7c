"""Losses that know their target: weights of classes, amounts; and losses by name at every door."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss, mean_poisson_deviance
from sklearn.utils.class_weight import compute_class_weight

import clearprop as cl
from clearprop.cli import main
from clearprop.errors import ArgumentError
from clearprop.runs.folder import RunFolder

RNG = np.random.default_rng(5)
X = RNG.normal(size=(300, 3)).astype(np.float32)
RARE = (X[:, 0] + 0.5 * RNG.normal(size=300) > 1.2).astype(int)
MARKS = np.random.default_rng(3).integers(0, 2, (len(RARE), 3))
COUNTS = RNG.poisson(np.exp(0.5 * X[:, 0] + 1))
TABLE = pl.DataFrame({"a": X[:, 0], "b": X[:, 1], "n": COUNTS})


def train(y, outputs, **more):
    return cl.fit(cl.nn.mlp([3, 8, outputs]), (X, y), epochs=3, progress=False, **more)


@pytest.mark.parametrize("outputs", [1, 2])
def test_balanced_weights_are_scikit_learns(outputs):
    run = train(RARE, outputs, class_weight="balanced")
    wanted = compute_class_weight("balanced", classes=np.array([0, 1]), y=RARE)
    assert run.config.settings.class_weight == pytest.approx(dict(zip("01", wanted, strict=True)))
    shares = run.probabilities(X)[:, -1]
    weighted = log_loss(RARE, shares, sample_weight=wanted[RARE])  # Σ w·loss / Σ w, and balanced weights sum to n
    assert run.evaluate(X, RARE)["loss"] == pytest.approx(weighted, rel=1e-5)


def test_weights_of_one_change_no_loss_and_a_rare_class_is_found_with_balanced_ones():
    plain, ones = (train(RARE, 2, class_weight=w) for w in (None, {0: 1.0, 1: 1}))
    assert ones.history[-1]["train"]["loss"] == pytest.approx(plain.history[-1]["train"]["loss"], rel=1e-5)
    recalls = [
        cl.fit(cl.nn.mlp([3, 8, 2]), (X, RARE), epochs=30, class_weight=w, metrics=("recall",), progress=False)
        for w in (None, "balanced")
    ]
    found = [run.evaluate(X, RARE)["recall"] for run in recalls]
    assert found[1] > found[0]


def test_batches_add_up_to_the_loss_of_all_rows():
    frozen = cl.optim.sgd(1e-30)
    run = cl.fit(
        cl.nn.mlp([3, 8, 2]),
        (X, RARE),
        epochs=1,
        optimizer=frozen,
        class_weight={1: 7.0},
        batch_size=13,
        progress=False,
    )
    assert run.history[-1]["train"]["loss"] == pytest.approx(run.evaluate(X, RARE)["loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("y", "outputs", "more", "said"),
    [
        (RARE, 2, {"class_weight": {2: 1.0}}, "no class named '2'"),
        (RARE, 2, {"class_weight": {1: -1.0}}, "no class weights"),
        (RARE, 2, {"class_weight": {0: 0, 1: 0}}, "no class weights"),
        (RARE, 2, {"class_weight": "even"}, "no class weights"),
        (COUNTS, 1, {"class_weight": "balanced", "loss": "mse"}, "need a loss of classes"),
        (MARKS, 3, {"class_weight": {2: 5.0}, "loss": "binary_cross_entropy"}, "need one class a row"),
        (np.eye(3)[MARKS[:, 0]], 3, {"class_weight": {2: 5.0}}, "need one class a row"),
        (COUNTS - 5.0, 1, {"loss": "poisson"}, "no count or amount"),
    ],
)
def test_what_does_not_fit_is_refused(y, outputs, more, said):
    with pytest.raises(ArgumentError, match=said):
        train(y, outputs, **more)


def test_a_table_of_another_task_or_with_negative_amounts_is_refused():
    with pytest.raises(ArgumentError, match="cross_entropy compares classes, and the target 'a' is of numbers"):
        cl.fit(cl.nn.mlp([2, 1]), TABLE, target="a", loss="cross_entropy", progress=False)
    with pytest.raises(ArgumentError, match="poisson is a loss of counts and amounts"):
        cl.fit(cl.nn.mlp([2, 1]), TABLE, target="a", loss="poisson", progress=False)


@pytest.mark.parametrize("loss", ["poisson", "tweedie:1.2"])
def test_amounts_of_arrays_and_of_tables(loss, tmp_path):
    run = cl.fit(
        cl.nn.mlp([2, 16, 1], seed=1), TABLE, loss=loss, epochs=40, metrics=("mae", "r2", "poisson_deviance"),
        optimizer=cl.optim.adam(1e-2), progress=False, out=tmp_path / "run",
    )  # fmt: skip
    said = run.predict(TABLE)
    assert (said > 0).all() and said.mean() == pytest.approx(COUNTS.mean(), rel=0.1)
    found = run.evaluate(TABLE)
    assert found["mae"] == pytest.approx(np.abs(said - COUNTS).mean(), rel=1e-4)
    assert found["poisson_deviance"] == pytest.approx(mean_poisson_deviance(COUNTS, said), rel=1e-4)
    assert found["poisson_deviance"] < mean_poisson_deviance(COUNTS, np.full(300, COUNTS.mean()))
    again = cl.load(tmp_path / "run")
    assert again.evaluate(TABLE) == found and (again.predict(TABLE) == said).all()
    arrays = train(COUNTS, 1, loss=loss, metrics=("mae",))
    assert arrays.evaluate(X, COUNTS)["mae"] == pytest.approx(np.abs(arrays.predict(X) - COUNTS).mean(), rel=1e-4)


def test_a_quantile_is_what_so_many_targets_lie_below():
    run = cl.fit(
        cl.nn.mlp([2, 8, 1]), TABLE, loss="quantile:0.9", epochs=60, optimizer=cl.optim.adam(1e-2), progress=False
    )
    assert run.config.settings.loss == "pinball:quantile=0.9"
    assert (run.predict(TABLE) >= COUNTS).mean() == pytest.approx(0.9, abs=0.06)


# ---------------------------------------------------------------------------------------------- the command line
def command(capsys, *arguments):
    code = main([str(a) for a in arguments])
    said = capsys.readouterr()
    return code, said.out + said.err


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    TABLE.with_columns(kind=pl.Series(np.where(RARE, "rare", "usual"))).write_csv("t.csv")
    return "t.csv"


def test_losses_and_weights_on_the_command_line(table, capsys, tmp_path):
    quick = ("--epochs", 3, "--hidden", 4)
    code, said = command(capsys, "train", table, "--target", "n", "--loss", "quantile:0.9", *quick, "--out", "q")
    assert code == 0 and "For the 0.9-quantile of 'n' the pinball loss in" in said
    code, _ = command(
        capsys, "train", table, "--target", "kind", "--class-weight", "rare=4", "--loss", "focal", *quick, "--out", "w"
    )
    assert code == 0
    config = RunFolder(tmp_path / "w").config()
    assert (config.settings.loss, config.settings.class_weight) == ("focal", {"rare": 4.0, "usual": 1.0})
    assert config.command["class_weight"] == {"rare": 4.0}
    run = cl.load("w")
    assert run.replay(2).step == 2
    assert command(capsys, "train", "--resume", "w", "--epochs", 4)[0] == 0
    assert command(capsys, "explain", "w", "--step", 1)[0] == 0
    assert command(capsys, "train", "--fork", "w@2", "--lr", "0.1", "--out", "f")[0] == 0
    assert command(capsys, "report", "q")[0] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--target", "n", "--loss", "quantil:0.9"), "no loss named 'quantil'"),
        (("--target", "n", "--loss", "huber:x"), "the loss 'huber:x' cannot be read"),
        (("--target", "a", "--loss", "focal"), "focal compares classes, and the target 'a' is of numbers"),
        (("--target", "a", "--class-weight", "balanced"), "class weights need a loss of classes"),
        (("--target", "a", "--loss", "poisson"), "poisson is a loss of counts and amounts"),
        (("--target", "kind", "--class-weight", "none=2"), "no class named 'none'"),
        (("--target", "kind", "--class-weight", "rare=-2"), "--class-weight cannot be 'rare=-2'"),
    ],
)
def test_what_the_command_line_cannot_use(table, options, said, capsys, tmp_path):
    code, text = command(capsys, "train", table, *options)
    assert code == 2 and said in text
    assert not (tmp_path / "runs").exists()


def test_a_file_exported_with_class_weights_stands_alone(tmp_path):
    run = train(RARE, 2, class_weight="balanced", loss="cross_entropy:0.1")
    paths = cl.export(run, path=tmp_path / "net.py")
    text = paths[0].read_text()
    assert "np.array([" in text
    compile(text, "net.py", "exec")
    scope = {"__name__": "net"}
    exec(text, scope)
    start, _ = scope["start"](paths[1])
    loss, _, _ = scope["loss_and_gradients"](start, X[:32], RARE[:32], np.zeros(2, np.uint32))
    weights = np.array(list(run.config.settings.class_weight.values()))
    first = cl.nn.cross_entropy(
        run.replay(0).model(X[:32]), RARE[:32], label_smoothing=0.1, reduction="sum", sample_weight=weights[RARE[:32]]
    )
    assert loss == pytest.approx(float(first) / 32, rel=1e-5)


def test_weights_of_classes_are_as_exact_as_the_network():
    net = cl.nn.mlp([3, 4, 2], dtype=float)
    x, y = np.random.default_rng(0).normal(size=(30, 3)), np.arange(30) % 7 // 6
    run = cl.fit(net, (x, y), class_weight={0: 0.1, 1: 0.7}, epochs=1, batch_size=30, optimizer=cl.optim.sgd(0.0))
    logits = np.asarray(net(x))
    each = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(30), y]
    assert run.evaluate(x, y)["loss"] == pytest.approx(np.mean(np.where(y == 1, 0.7, 0.1) * each), rel=1e-14)
