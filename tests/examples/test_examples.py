"""Every example runs, and what it promises is true."""

import numpy as np
import pytest

from problems.nist import regression
from tests.examples.running import EXAMPLES, functions_of, ran

SHORT = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem != "demo")


@pytest.mark.parametrize("name", SHORT)
def test_runs_is_short_and_says_what_it_is(name):
    source = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 60
    assert source.startswith('"""')
    assert ran(name)[0]


def test_neuron():
    printed, values = ran("neuron")
    assert "forward   y = 6.0" in printed
    assert values["y"].item() == 6.0
    assert "∂y/∂w₀ = dReLU/dsum · dsum/dmul(x₀,w₀) · dmul(x₀,w₀)/dw₀ = 1 · 1 · 1 = 1" in printed
    assert "one step  w = [-3.001, -0.998, 1.997]  b = 0.999  y = 5.985" in printed


def test_from_scratch_learns_xor():
    predicted = np.asarray(ran("from_scratch")[1]["predict"](*(ran("from_scratch")[1][k] for k in ("params", "x"))))
    assert predicted.round().ravel().tolist() == [0, 1, 1, 0]


def test_spirals_are_told_apart():
    values = ran("spirals")[1]
    assert values["run"].evaluate(values["x_new"], values["y_new"])["accuracy"] >= 0.98
    picture = ran("spirals")[0].splitlines()[-28:]
    assert {len(line) for line in picture} == {64}
    assert set("".join(picture)) == {".", "#"}


def test_images_are_read():
    values = ran("images")[1]
    assert values["run"].evaluate(*values["test"])["accuracy"] >= 0.93


@pytest.fixture
def image_file(tmp_path):
    """A file of images in the form that the example takes: four of each class, told apart by which half is bright."""
    x = np.zeros((8, 8, 8), np.uint8)
    x[::2, :4] = x[1::2, 4:] = 255
    path = tmp_path / "halves.npz"
    np.savez(path, x_train=x, y_train=np.arange(8) % 2, x_test=x[:3], y_test=np.arange(3) % 2)
    return path


def test_images_of_a_file_are_scaled(image_file):
    (x, y), (x_test, _) = functions_of("images")["images"](image_file)
    assert (x.shape, x_test.shape, x.dtype, y[:2].tolist()) == ((8, 8, 8, 1), (3, 8, 8, 1), np.float32, [0, 1])
    assert (x.min(), x.max()) == (0.0, 1.0)


def test_own_primitive():
    printed = ran("own_primitive")[0]
    x = 1.0
    third = (12 * x**2 - 3) / (1 + x**2) ** 3.5  # d³/dx³ of x / √(1 + x²), by hand
    assert f"third         Tensor({third:.8f})" in printed


def test_own_module():
    values = ran("own_module")[1]
    assert values["error"]["loss"] < 0.01
    assert len(values["scales"]) == 4


def test_rat42_finds_its_certified_weights():
    values = ran("rat42")[1]
    problem = regression("Rat42")
    x = values["found"].x
    assert problem.digits([x["v"].item(), -x["c"].item(), x["w"].item()]) > 9
    assert (values["time"].tolist(), values["yield_"].tolist()) == (problem.x.tolist(), problem.y.tolist())
    assert abs(values["by_gradients"].value - problem.sum_of_squares) < 1e-10
    assert abs(values["by_adam"].value - problem.sum_of_squares) < 1e-6
