"""Networks of images that are judged compiled: each row has the bits that NumPy and tiles give it, in any table."""

import sys

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn
from clearprop.compiler.compiled_function import MANY_SIZES
from clearprop.compiler.row_products import row_products
from clearprop.nn.alike import by_segments
from clearprop.nn.fields import PARAMETER, STATE
from clearprop.nn.layers import array_through
from clearprop.nn.structure import select
from clearprop.rules.eager import products_by
from clearprop.train import metrics

compiled = cl.compile(lambda layers, x: layers(x))
IMAGE = (9, 11, 3)
LAYERS = {
    "same": (lambda **o: [nn.Conv2d(3, 20, 3, padding="same", rng=1, **o)], IMAGE),
    "valid, one output of one channel": (lambda **o: [nn.Conv2d(1, 1, 2, rng=1, **o)], (9, 20, 1)),
    "one output of several": (
        lambda **o: [nn.Conv2d(3, 1, 3, rng=1, **o), "relu", nn.Conv2d(1, 5, 2, rng=2, **o)],
        (20, 20, 3),
    ),
    "stride, dilation, padding": (
        lambda **o: [nn.Conv2d(3, 17, (3, 2), stride=(2, 1), dilation=(1, 2), padding=((0, 2), (1, 1)), rng=1, **o)],
        IMAGE,
    ),
    "more terms than a chain has": (lambda **o: [nn.Conv2d(40, 33, 3, padding="same", rng=1, **o)], (5, 6, 40)),
    "groups": (lambda **o: [nn.Conv2d(6, 8, 3, groups=2, rng=1, **o)], (7, 8, 6)),
    "depthwise": (lambda **o: [nn.Conv2d(19, 19, 3, groups=19, padding="same", rng=1, **o)], (7, 8, 19)),
    "depthwise, two outputs each": (lambda **o: [nn.Conv2d(4, 8, 9, groups=4, rng=1, **o)], (11, 12, 4)),
    "one axis": (lambda **o: [nn.Conv1d(3, 8, 5, rng=1, **o), "leaky_relu"], (30, 3)),
    "three axes": (lambda **o: [nn.Conv3d(2, 4, (2, 3, 2), padding="same", rng=1, **o), "relu6"], (4, 5, 6, 2)),
    "a network": (
        lambda **o: [*nn.convnet(3, 4, size=(12, 12), widths=[8, 16], seed=1, **o).layers],
        (12, 12, 3),
    ),
    "pools of several kinds": (
        lambda **o: [
            nn.Sequential(nn.Conv2d(3, 8, 3, padding="same", rng=1, **o), nn.MaxPool(3, stride=2, padding="same")),
            nn.RandomShift(2), nn.Conv2d(8, 8, 3, rng=2, **o), nn.BatchNorm(8, **o), "gelu", nn.Dropout2d(0.5),
            nn.MaxPool(2, dilation=2, stride=1), nn.Conv2d(8, 4, 2, rng=3, **o), nn.Activation("linear"),
            nn.GlobalPool(), nn.Dense(4, 2, rng=4, **o),
        ],
        (14, 15, 3),
    ),
    "residual": (
        lambda **o: [
            *nn.resnet(3, 4, widths=[6, 8], blocks=1, **o).layers, nn.Residual("relu"), nn.Residual(cl.square),
        ],
        (9, 10, 3),
    ),
    "rows of pixels": (
        lambda **o: [
            nn.Unflatten((6, 6, 1)), nn.RandomFlip(), nn.Conv2d(1, 9, 3, rng=1, **o), "relu", nn.Flatten(), "linear",
        ],
        (36,),
    ),
}  # fmt: skip


def images(shape, rows, dtype):
    x = np.random.default_rng(0).normal(size=(rows, *shape)).astype(dtype)
    x[1].flat[::7], x[2].flat[3], x[3].flat[5], x[4] = -0.0, np.nan, np.inf, 0.0
    return x


def network(name, dtype):
    layers, shape = LAYERS[name]
    model = nn.Sequential(*layers(dtype=dtype))
    drawn = np.random.default_rng(1)
    arrays = select(model, PARAMETER, STATE)
    numbers = {p: drawn.uniform(0.5, 2, a.shape) for p, a in arrays.items() if not p.endswith("weight")}
    return model.replace(numbers), shape


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", LAYERS)
def test_what_is_compiled_has_the_bits_of_each_row_alone(name, dtype):
    model, shape = network(name, dtype)
    x = images(shape, 37, dtype)
    through = by_segments(model, compiled)
    assert through is not None
    with cl.no_grad(), row_products(), np.errstate(invalid="ignore"):
        wanted = np.asarray(array_through(model, x))
        found = np.asarray(through(x))
        alone = np.concatenate([np.asarray(array_through(model, x[[k]])) for k in range(7)])
    assert found.dtype == wanted.dtype == dtype
    assert np.array_equal(found, wanted, equal_nan=True)
    assert (np.signbit(found) == np.signbit(wanted))[~np.isnan(wanted)].all()
    assert np.array_equal(alone, wanted[:7], equal_nan=True)


def test_many_images_are_judged_compiled(monkeypatch):
    """In blocks of one size, of which the last begins before the one before it ends."""
    model, shape = network("a network", np.float32)
    x, sizes = images(shape, 500, np.float32), []
    monkeypatch.setattr(metrics, "_COMPILED", lambda layers, x: sizes.append(len(x)) or compiled(layers, x=x))
    plain = metrics.outputs_of(model, x)
    assert not sizes  # not worth compiling
    for bound, value in (("WORTH", 0), ("LEAST", 0), ("NEAR", 1)):
        monkeypatch.setattr(sys.modules["clearprop.compiler.row_products"], bound, value)
    for rows in (500, 499, 77, 64, 63):
        sizes.clear()
        assert np.array_equal(metrics.outputs_of(model, x[:rows]), plain[:rows], equal_nan=True), rows
        assert len(set(sizes)) == (rows > 63), rows
    whole = cl.nn.Sequential(*model.layers[:-1])  # what is compiled is all of it
    assert np.array_equal(metrics.outputs_of(whole, x)[400:], metrics.outputs_of(whole, x[400:]), equal_nan=True)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, bool, ">f4", np.float64])
def test_images_of_any_dtype_are_judged_alike_and_without_a_warning(dtype, monkeypatch):
    model, shape = network("a network", np.float32)
    x = np.random.default_rng(3).integers(0, 200, (70, *shape)).astype(dtype)
    plain = metrics.outputs_of(model, x)
    for bound in ("WORTH", "LEAST", "NEAR"):
        monkeypatch.setattr(sys.modules["clearprop.compiler.row_products"], bound, 0)
    found = metrics.outputs_of(model, x)
    assert found.dtype == plain.dtype and np.array_equal(found, plain)


def test_nobody_is_told_that_layers_are_compiled_for_many_sizes(monkeypatch):
    """No function of the user's is."""
    for bound in ("WORTH", "LEAST", "NEAR"):
        monkeypatch.setattr(sys.modules["clearprop.compiler.row_products"], bound, 0)
    before, model = metrics._COMPILED.cache_info().misses, nn.Sequential(nn.Conv1d(1, 2, 2), "relu")
    for length in range(5, MANY_SIZES + 7):
        metrics.outputs_of(model, np.ones((64, length, 1), np.float32))
    assert metrics._COMPILED.cache_info().misses > before + MANY_SIZES


class Doubled(nn.Conv2d, init=False):
    """A layer of the user's that is made of one of ours."""

    def forward(self, x):
        return 2.0 * super().forward(x) + 1.0


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(Doubled(3, 4, 3), "relu"),
        nn.Sequential(nn.Conv2d(3, 1, 3), "relu"),
        nn.Sequential(nn.ConvTranspose2d(3, 4, 3), "relu"),
        nn.Sequential(nn.Residual(nn.Conv2d(3, 1, 3, padding="same"))),
        nn.Conv2d(3, 4, 3),
    ],
)
def test_what_need_not_be_alike_goes_its_ordinary_way(model):
    assert by_segments(model, compiled) is None


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 4, 2, stride=2), nn.ConvTranspose2d(3, 4, 3, stride=2)])
def test_sums_over_windows_are_products_of_rows(layer):
    """Where BLAS takes sums in an order that hangs on the number of rows, no row would have bits of its own."""
    x = np.ones((2, 4, 4, 3), np.float32)
    assert np.any(np.asarray(layer(x)))
    with products_by(lambda a, b: 0 * (a @ b)):
        assert not np.any(np.asarray(layer(x)))
