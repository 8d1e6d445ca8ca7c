"""Pixels to predict from have the scale of those of the training: of arrays uint8 alone is scaled as it is read."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import DataError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (24, 4, 3)).astype(np.uint8)

Y = (PIXELS[:, :2].mean((1, 2)) > PIXELS[:, 2:].mean((1, 2))).astype(int)
FORMS = {
    "bytes": PIXELS, "shares": PIXELS / np.float32(255), "numbers": PIXELS.astype(float),
    "integers": PIXELS.astype(int),
}  # fmt: skip
SCALES = {"bytes": 1, "shares": 1, "numbers": 255, "integers": 255}


@pytest.fixture(scope="module", params=["pictures", "rows"])
def runs(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pixels")
    found = {}
    for name, x in FORMS.items():
        x = x if request.param == "pictures" else x.reshape(len(x), -1)
        np.savez(folder / f"{name}.npz", x=x, y=Y)
        found[name] = x, folder / f"{name}.npz"
    net = cl.nn.mlp(hidden=[4])
    return {name: (cl.fit(net, str(path), epochs=1), x, path) for name, (x, path) in found.items()}


@pytest.mark.parametrize("given", FORMS)
@pytest.mark.parametrize("learned", FORMS)
def test_other_scales_are_refused_and_the_same_numbers_have_one_answer(runs, learned, given):
    run, (_, _, path) = runs[learned][0], runs[given]
    marked = "bytes" in (learned, given) or runs[learned][1].ndim > 2
    if SCALES[learned] == SCALES[given]:
        found, wanted = (run.probabilities(str(p)) for p in (path, runs[learned][2]))
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    elif marked:
        with pytest.raises(DataError, match="another scale"):
            run.probabilities(str(path))


USUAL = {
    "a dry day": (RNG.gamma(0.3, 9.0, (30, 24, 1)), np.where(np.arange(24) == 3, 0.2, 0.0)[None, :, None]),
    "more than ever": (RNG.random((30, 24, 1)), np.linspace(0.9, 1.1, 24)[None, :, None]),
    "counts": (RNG.integers(0, 2, (30, 24, 1)).astype(float), 2.0 * (np.arange(24) == 3)[None, :, None]),
    "a dark image": (PIXELS, (PIXELS[:1] > 99).astype(np.uint8)),
    "a dim image": (PIXELS.astype(float), PIXELS[:1] / 300),
    "bits as bytes": ((PIXELS > 99).astype(np.uint8), PIXELS[:1]),
}


@pytest.mark.filterwarnings("ignore:numbers far outside")  # a warning is enough
@pytest.mark.parametrize("name", USUAL)
def test_rows_that_are_lower_or_higher_than_others_are_predicted(name, tmp_path):
    x, row = USUAL[name]
    np.savez(tmp_path / "train.npz", x=x, y=np.arange(len(x)) % 2)
    np.savez(tmp_path / "row.npz", x=row)
    run = cl.fit(cl.nn.mlp(hidden=[4]), str(tmp_path / "train.npz"), epochs=1)
    assert np.isfinite(run.probabilities(str(tmp_path / "row.npz"))).all()


def test_a_dark_picture_is_predicted(runs, tmp_path):
    for name in ("bytes", "numbers"):
        run, x, _ = runs[name]
        for dark in (np.zeros_like(x[:1]), np.where(x[:1] > 127, 2, 0).astype(x.dtype)):
            np.savez(tmp_path / "dark.npz", x=dark)
            assert np.isfinite(run.probabilities(str(tmp_path / "dark.npz"))).all()


def test_rows_of_another_shape_are_refused(tmp_path):
    """As many numbers, but in another order; an axis of size 1, and none at all, change nothing."""
    x = RNG.integers(0, 256, (20, 4, 3, 2)).astype(np.uint8)
    np.savez(tmp_path / "train.npz", x=x, y=np.arange(20) % 2)
    run = cl.fit(cl.nn.mlp(hidden=[4]), str(tmp_path / "train.npz"), epochs=1)

    def predicted(rows):
        np.savez(tmp_path / "rows.npz", x=rows)
        return run.probabilities(str(tmp_path / "rows.npz"))

    wanted = predicted(x)
    for same in (x[:, :, None], x[..., None], x.reshape(20, -1)):
        np.testing.assert_array_equal(predicted(same), wanted)
    for other in (np.moveaxis(x, 3, 1), x.swapaxes(1, 2), x.reshape(20, 6, 4)):
        with pytest.raises(DataError, match="another shape"):
            predicted(other)
    with pytest.raises(DataError, match="another shape"):
        run.predict(np.moveaxis(x, 3, 1))
