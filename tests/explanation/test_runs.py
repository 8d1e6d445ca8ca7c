"""Gradients of runs: a step's own objective, one row, all rows, an input column; and what does not exist."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import ArgumentError

ROWS = 60


def _run(seed=0, **options):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((ROWS, 4)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    settings = {"epochs": 2, "batch_size": 16, "loss": "cross_entropy", **options}
    return cl.fit(cl.nn.mlp([4, 6, 2], seed=1), (x, y), **settings)


@pytest.fixture(scope="module")
def run():
    return _run()


@pytest.fixture(scope="module")
def table_run(tmp_path_factory):
    from clearprop.cli import main

    folder = tmp_path_factory.mktemp("runs") / "iris"
    assert main(["train", "iris", "--epochs", "3", "--hidden", "6", "--out", str(folder)]) == 0
    return folder


def _gradient_step(run, step):
    """The gradient that plain gradient descent with learning rate 1 took in that step."""
    before = run.replay(step - 1).model.parameters()
    after = run.replay(step).model.parameters()
    return {n: np.asarray(before[n], np.float64) - np.asarray(after[n], np.float64) for n in before}


def test_a_step_is_opened_at_what_it_minimised():
    run = _run(optimizer=cl.optim.sgd(1.0), l2=0.01, l1=0.001)
    for step in (1, 3, 5, 8):
        applied = _gradient_step(run, step)
        found = cl.explain(run, "model", step=step)
        for name, gradient in applied.items():
            np.testing.assert_allclose(found[name].gradient, gradient, atol=1e-6)
        entry = found["layers[0].weight"][1, 2].show(100)
        assert entry.check().agrees
        assert entry.rounding.holds
        assert entry.count == (16 if step % 4 else 12) + 2  # the rows of the batch, and the two penalties


def test_the_compiled_step_computes_the_same_gradient(run):
    explanation = cl.explain(run, "layers[0].weight", step=3)
    for at in range(0, len(explanation), 5):
        entry = explanation[np.unravel_index(at, explanation.shape)]
        assert entry.native() == pytest.approx(entry.value, rel=1e-4, abs=1e-8)
        assert abs(entry.native() - entry.total) <= 10 * entry.rounding.bound
    assert cl.explain(run, "layers[0].weight")[0, 0].native() is None


def test_dropout_is_replayed_with_its_own_numbers():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((ROWS, 4)).astype(np.float32), rng.integers(0, 2, ROWS)
    model = cl.nn.mlp([4, 8, 2], seed=1, dropout=0.5)
    run = cl.fit(model, (x, y), epochs=1, batch_size=16, optimizer=cl.optim.sgd(1.0))
    applied = _gradient_step(run, 3)
    found = cl.explain(run, "model", step=3)
    for name, gradient in applied.items():
        np.testing.assert_allclose(found[name].gradient, gradient, atol=1e-6)


def test_all_rows_are_the_mean_of_the_single_rows(run):
    whole = cl.explain(run, "layers[0].weight")
    single = [cl.explain(run, "layers[0].weight", row=i).gradient for i in range(ROWS)]
    np.testing.assert_allclose(whole.gradient, np.mean(single, axis=0), atol=1e-7)
    assert whole.where == f"loss of all {ROWS} training rows, the run's model"
    assert cl.explain(run, "layers[0].weight", row=7).where == "loss of training row 7, the run's model"
    assert cl.explain(run, "layers[0].bias", row=7, step=2).where == "loss of training row 7, the model before step 2"


def test_a_column_is_opened_as_the_network_takes_it_and_says_so():
    """By finite differences of the whole pipeline, in the unit of the table: the derivative divided by the scale."""
    size = np.arange(60) * 7 % 60 * 1.0
    table = {"size": size, "place": ["town", "sea"] * 30, "y": size**2 / 90}
    network = cl.nn.mlp(hidden=[6], activation="tanh", seed=0)
    run = cl.fit(network, table, target="y", epochs=3, progress=False)
    column = run.preprocessing.columns[0]
    told = f"(v − {column.centre:.4g}) / {column.scale:.4g}"
    for row in (0, 3, 41):
        explanation = cl.explain(run, "size", row=row)
        assert explanation.where.endswith(f"row {row}, the run's model; size as the network takes it: {told}")

        def loss(shift, row=row):
            frame = {name: [values[row]] for name, values in table.items()}
            return run.evaluate({**frame, "size": [frame["size"][0] + shift]})["loss"]

        slope = (loss(0.5) - loss(-0.5)) / 1.0
        np.testing.assert_allclose(explanation[()].value / column.scale, slope, rtol=2e-3, atol=2e-5)
    place = cl.explain(run, "place=sea", row=3).where
    assert place.endswith("; place as the network takes it: one-hot: sea, town")


def test_inputs_are_called_by_their_columns(table_run):
    run = cl.load(table_run)
    explanation = cl.explain(run, "petal width (cm)", row=3)
    assert (explanation.name, explanation.shape) == ("petal width (cm)", ())
    entry = explanation[()]
    assert entry.symbol == "∂loss/∂petal width (cm)"
    assert entry.check().agrees
    weights = cl.explain(run, "layers[0].weight", row=3)[3, 2]
    assert "petal width (cm)" in str(weights)
    several = cl.explain(run, "petal width (cm)")
    assert several.shape == (106,)
    assert several[4].place.label.text == "petal width (cm)[4]"


def test_inputs_without_columns_are_x(run):
    explanation = cl.explain(run, "x", row=3)
    assert explanation.shape == (1, 4)
    assert explanation[0, 2].check().agrees


MESSAGES = {
    "step": (
        {"wrt": "layers[0].bias", "step": 9},
        [
            "the run has no such step",
            "  expected  a step from 1 to 8",
            "  got       9",
            "  try       step=8, the last one",
        ],
    ),
    "step 0": (
        {"wrt": "layers[0].bias", "step": 0},
        [
            "the run has no such step",
            "  expected  a step from 1 to 8",
            "  got       0",
            "  try       step=8, the last one",
        ],
    ),
    "row": (
        {"wrt": "layers[0].bias", "row": -1},
        ["the data have no such row", "  expected  a row from 0 to 59", "  got       -1"],
    ),
    "name": (
        {"wrt": "layers[0].wight"},
        [
            "no parameter or input named 'layers[0].wight'",
            "  expected  one of: layers[0].bias, layers[0].weight, layers[2].bias, layers[2].weight",
            "  got       'layers[0].wight'",
            "  try       'layers[0].weight', the nearest name",
        ],
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_what_does_not_exist_is_refused(run, name):
    options, lines = MESSAGES[name]
    with pytest.raises(ArgumentError) as caught:
        cl.explain(run, **options)
    assert [line for line in str(caught.value).splitlines() if not line.startswith("  where")] == lines


def test_an_iterable_of_batches_is_opened_by_step():
    rng = np.random.default_rng(0)
    batches = [(rng.standard_normal((8, 4)).astype(np.float32), rng.integers(0, 2, 8)) for _ in range(3)]
    run = cl.fit(cl.nn.mlp([4, 6, 2], seed=1), batches, epochs=1)
    assert cl.explain(run, "layers[0].weight", step=2)[0, 0].check().agrees
    with pytest.raises(ArgumentError, match="iterable of batches"):
        cl.explain(run, "layers[0].weight")


# ------------------------------------------------------------------------------------------- the command line
def _command(capsys, *args):
    from clearprop.cli import main

    code = main(["explain", *map(str, args)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_command_opens_one_entry(table_run, capsys):
    code, out, err = _command(capsys, table_run, "--param", "layers[0].weight[2,3]", "--top", 3, "--paths", 2)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "loss of all 106 training rows, the run's model"
    assert lines[1].startswith("∂loss/∂layers[0].weight[2,3] = ")
    assert any("finite difference" in line and "agrees" in line for line in lines)
    assert "the 2 largest whole paths:" in lines
    assert max(map(len, lines)) <= 100


def test_the_command_compares_with_the_compiled_step(table_run, capsys):
    code, out, _ = _command(capsys, table_run, "--param", "layers[0].bias[2]", "--step", 2, "--native")
    assert code == 0
    assert out.splitlines()[-1].startswith("    native step ")


@pytest.mark.parametrize(
    ("form", "start"),
    [("latex", "\\begin{align*}"), ("html", "<!DOCTYPE html>"), ("json", '{\n "format": 1'), ("sentences", "∂loss/∂")],
)
def test_the_command_writes_every_format(table_run, capsys, tmp_path, form, start):
    file = tmp_path / f"why.{form}"
    options = (table_run, "--param", "layers[0].bias[2]", "--step", "4", "--format", form, "-o", file)
    assert _command(capsys, *options) == (0, "", "")
    assert file.read_text(encoding="utf-8").startswith(start)
    code, out, err = _command(capsys, *options)
    assert (code, out) == (2, "")
    assert err.startswith(f"{str(file)!r} is there already")


def test_the_command_lists_all_parameters(table_run, capsys):
    code, out, _ = _command(capsys, table_run)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[3:]] == [
        "layers[0].weight",
        "layers[0].bias",
        "layers[3].weight",
        "layers[3].bias",
    ]


MISTAKES = {
    "param": (
        ("--param", "layers[0].wight[1]"),
        "no parameter or input named 'layers[0].wight'",
        "--param layers[0].wight[1]",
    ),
    "index": (("--param", "layers[0].bias[99]"), "layers[0].bias has no entry [99]", "--param layers[0].bias[99]"),
    "row": (("--param", "layers[0].bias[1]", "--row", "500"), "the data have no such row", "--row 500"),
    "step": (("--param", "layers[0].bias[1]", "--step", "0"), "the run has no such step", "--step 0"),
    "input": (("--input", "petal"), "no parameter or input named 'petal'", "--input petal"),
    "format": (("--format", "pdf"), "no format named 'pdf'", "--format"),
    "both": (("--input", "x", "--param", "y"), "one thing is explained at a time", "--input"),
    "top": (("--top", "0"), "--top cannot be 0", "--top"),
    "native": (("--native",), "only a step of the training was run by compiled code", "--native"),
    "nothing": (("--format", "html"), "--format html needs one parameter or input", "--format"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_on_the_command_line(table_run, capsys, name):
    options, headline, where = MISTAKES[name]
    code, out, err = _command(capsys, table_run, *options)
    assert (code, out) == (2, "")
    assert err.splitlines()[0] == headline
    assert f"  where     {where}" in err.splitlines()


def test_a_folder_that_is_no_run(tmp_path, capsys):
    code, _, err = _command(capsys, tmp_path)
    assert code == 2
    assert err.startswith(f"{str(tmp_path)!r} is no run folder")
