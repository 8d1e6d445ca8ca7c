"""The exported file runs with NumPy alone, agrees with central differences, and repeats the run's own losses."""

import ast
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

import clearprop as cl

STEPS = 50
TOLERANCE = 1e-5  # float32: two executors, fifty updates


def digits():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return (x[:600] / 16).astype(np.float32), y[:600].astype(np.int64)


def diabetes():
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    return (x * 20).astype(np.float32), ((y - y.mean()) / y.std())[:, None].astype(np.float32)


def classification():
    model = cl.nn.mlp([64, 24, 10], dropout=0.1, seed=1)
    return cl.fit(model, digits(), epochs=3, l1=1e-5, l2=1e-4, seed=3)


def regression():
    model = cl.nn.mlp([10, 16, 16, 1], activation="gelu", norm="layer", seed=1)
    rule = cl.optim.chain(cl.optim.clip_by_norm(1.0), cl.optim.adamw(1e-3))
    return cl.fit(model, diabetes(), loss="mse", epochs=4, optimizer=rule, seed=3)


def own_losses(run, steps):
    """The losses of the run's first steps, from its own executor."""
    plan, state, losses = run.workings.plan(), run.replay(0).state, []
    for _ in range(steps):
        if state.batch == plan.feed.count:
            state = state.next_epoch()
        before = state.totals or (0.0, 0.0)
        state, _ = plan.executor(state, plan.feed, state.batch + 1, lambda _: True)
        losses.append((state.totals[1] - before[1]) / (state.totals[0] - before[0]))
    return losses


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory):
    """An interpreter that has NumPy and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    (place,) = folder.glob("lib/python*/site-packages")
    root = Path(np.__file__).parent
    for name in (root, root.with_name("numpy.libs")):
        (place / name.name).symlink_to(name)
    return folder / "bin" / "python"


@pytest.mark.parametrize("make", [classification, regression])
def test_the_file_repeats_the_run(make, bare_python, tmp_path):
    run = make()
    files = cl.export(run, "python", tmp_path / "network.py")
    assert [f.name for f in files] == ["network.py", "network.safetensors", "network.npz"]
    shown = subprocess.run(
        [bare_python, files[0], "--steps", str(STEPS)], capture_output=True, text=True, check=True, timeout=120
    )
    first, *lines = shown.stdout.splitlines()
    assert float(first.split()[-1]) < 1e-6, first
    losses = [float(line.split()[-1]) for line in lines]
    np.testing.assert_allclose(losses, own_losses(run, STEPS), rtol=TOLERANCE)


def test_the_file_is_readable(tmp_path):
    (path, *_) = cl.export(classification(), "python", tmp_path / "network.py")
    text = path.read_text(encoding="utf-8")
    functions = {n.name: n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef)}
    assert {"predict", "loss_and_gradients", "update", "train", "check_gradients", "main"} <= set(functions)
    assert all(ast.get_docstring(functions[name]) for name in ("predict", "loss_and_gradients", "update"))
    assert "    h0 = x @ layers_0_weight + layers_0_bias" in text
    assert "    # relu(x), g = y_bar:  x_bar = where(y > 0, g, zero_or_nan(y))\n" in text
    assert " = np.where(h1 > 0, h1_bar, np.where(np.isnan(h1), h1, 0.0))\n" in text
    imported = {n.names[0].name for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Import)}
    assert imported <= {"argparse", "json", "numpy"}


def test_weights_alone(tmp_path):
    from safetensors.numpy import load_file

    model = cl.nn.mlp([4, 8, 3], norm="batch")
    (path,) = cl.export(model, "safetensors", tmp_path / "w.safetensors")
    assert {k: v.shape for k, v in load_file(path).items()} == {k: v.shape for k, v in model.arrays().items()}


def test_mistakes(tmp_path):
    model = cl.nn.mlp([4, 3])
    with pytest.raises(cl.ClearpropError) as caught:
        cl.export(model, "onyx")
    assert caught.value.message.startswith(
        "no export format named 'onyx'\n  expected  one of: onnx, python, safetensors\n  got       'onyx'\n  where     "
    )
    with pytest.raises(cl.ClearpropError, match="a Python file is written of a run"):
        cl.export(model, "python", tmp_path / "m.py")
    with pytest.raises(cl.ClearpropError, match="the file's ending does not fit the format"):
        cl.export(model, "safetensors", tmp_path / "m.py")
    with pytest.raises(cl.ClearpropError, match="the folder does not exist"):
        cl.export(model, "safetensors", tmp_path / "no" / "m.safetensors")


class Named(cl.nn.Module):
    """Multiplies by weights that stand in a dictionary, under names of the user's."""

    weights: dict = cl.nn.parameter()

    def forward(self, x):
        for w in self.weights.values():
            x = x @ w
        return x


HOSTILE = [
    "a\"] = 1; import os; os.mkdir('owned') #",
    '"""\nimport os; os.mkdir(\'owned\')\n"""',
    "a\\\x1b\u202e",
    "x'y",
]


def test_names_of_the_users_are_no_code(tmp_path):
    x = np.random.default_rng(0).standard_normal((8, 2))
    model = Named(weights={name: np.eye(2) + i for i, name in enumerate(HOSTILE)})
    rule = cl.optim.groups(cl.optim.sgd(1e-4), ('*"""*', cl.optim.sgd(1e-3)))
    run = cl.fit(model, (x, x), loss="mse", epochs=1, batch_size=4, optimizer=rule)
    name = 'a"""; import os; os.mkdir(\'owned\') #\\'
    path, *_ = cl.export(run, "python", tmp_path / f"{name}.py")
    text = path.read_text(encoding="utf-8")
    assert "\x1b" not in text
    assert "\u202e" not in text
    calls = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call) and ast.unparse(n.func) == "os.mkdir"]
    assert not calls
    subprocess.run([sys.executable, path, "--steps", "2"], check=True, cwd=tmp_path, capture_output=True)
    assert not (tmp_path / "owned").exists()


FORMULAS = {
    "numbers": ({}, "price = "),
    "a logarithm": ({"target_transform": "log"}, " − 1, "),
    "amounts": ({"loss": "poisson"}, "·exp(z), z the output."),
    "two targets": ({"target": ["price", "rent"]}, "z the output number 1, from 0."),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_its_first_lines_tell_how_answers_come_to_the_targets_unit(name, tmp_path):
    import polars as pl

    asked, told = FORMULAS[name]
    size = np.random.default_rng(1).uniform(20, 90, 60)
    frame = pl.DataFrame({"size": size, "rent": 10 * size + 3, "price": (900 * size).round()})
    run = cl.fit(cl.nn.mlp(hidden=[8]), frame, epochs=3, progress=False, **asked)
    cl.export(run, path=tmp_path / "net.py")
    text = (tmp_path / "net.py").read_text(encoding="utf-8")
    head = ast.get_docstring(ast.parse(text))
    assert told in head and "The rows x are encoded, feature by feature: size" in head
    z = run.outputs(run.encode(frame).x).astype(np.float64)
    formulas = [line for line in head.splitlines() if ", z the output" in line]
    for k, line in enumerate(formulas):
        formula = line.partition(" = ")[2].partition(", z the output")[0]
        python = formula.replace("·", "*").replace("−", "-").replace("exp", "np.exp").replace("clip", "np.clip")
        said = np.asarray(run.predict(frame)).reshape(60, -1)[:, k]
        np.testing.assert_allclose(eval(python, {"np": np, "z": z[:, k]}), said, rtol=1e-5)
    assert len(formulas) == z.shape[1]


def test_its_first_lines_name_the_classes(tmp_path):
    run = cl.fit("iris", epochs=2, progress=False)
    cl.export(run, path=tmp_path / "net.py")
    head = ast.get_docstring(ast.parse((tmp_path / "net.py").read_text(encoding="utf-8")))
    assert "The outputs are logits of the classes setosa, versicolor, virginica." in head
