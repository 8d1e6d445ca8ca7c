"""Convolution natively: the values of NumPy's form for tiles of every kind, in both dtypes, on one and two threads."""

import warnings

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler.native.window_calls import _best_rows

# what it is there for: x, w, what is given
FORMS = {
    "as many channels as a vector has": ((5, 9, 9, 16), (3, 3, 16, 16), {"padding": "same"}),
    "channel by channel": ((3, 8, 8, 32), (3, 3, 1, 32), {"groups": 32, "stride": 2, "padding": 1}),
}
RARE = {
    "panels and a rest, taps side by side": ((5, 9, 9, 16), (3, 3, 16, 35), {"padding": "same"}),
    "one channel in, fewer columns than a vector": ((3, 8, 7, 1), (3, 3, 1, 10), {"stride": 2}),
    "groups, strides and gaps": ((4, 13, 12, 6), (3, 3, 3, 40), {"groups": 2, "stride": (2, 3), "dilation": (1, 2)}),
    "a line with gaps": ((2, 17, 4), (3, 4, 16), {"dilation": 2, "padding": "same"}),
    "a space": ((2, 4, 5, 4, 2), (2, 2, 2, 2, 3), {"padding": 1, "stride": (1, 2, 1)}),
    "single pixels": ((2, 1, 1, 5), (1, 1, 5, 7), {}),
    "two panels": ((3, 6, 16, 8), (3, 3, 8, 64), {"padding": "same"}),
    "several outputs for each channel": ((2, 6, 6, 3), (2, 2, 1, 6), {"groups": 3}),
}


def assert_native_is_numpy(form, dtype):
    xs, ws, given = {**FORMS, **RARE}[form]
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=xs).astype(dtype), rng.normal(size=ws).astype(dtype)

    def value_and_gradients(x, w):
        return cl.conv(x, w, **given), *cl.grad(lambda x, w: cl.sum(cl.sin(cl.conv(x, w, **given))), argnums=(0, 1))(
            x, w
        )

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing of it runs on the NumPy executor
        native = cl.compile(value_and_gradients)(x, w)
    for ours, wanted in zip(native, value_and_gradients(x, w), strict=True):
        wanted = np.asarray(wanted)
        assert ours.dtype == dtype
        np.testing.assert_allclose(
            np.asarray(ours), wanted, rtol=0, atol=40 * np.finfo(dtype).eps * np.abs(wanted).max()
        )


@pytest.mark.parametrize("form", FORMS)
def test_kernels_compute_what_numpy_does(form):
    assert_native_is_numpy(form, np.float32)


def test_a_gradient_of_pixels_in_every_step_of_a_loop():
    """Memory around an image is zero once and for all: in later steps, and in later calls."""
    xs, ws, given = FORMS["as many channels as a vector has"]
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=xs).astype(np.float32), 0.1 * rng.normal(size=ws).astype(np.float32)
    step = lambda x, _: (x - 0.1 * cl.grad(lambda x: cl.sum(cl.sin(cl.conv(x, w, **given))))(x), None)
    steps = lambda x: cl.scan(step, x, length=3)[0]
    native = cl.compile(steps)
    for start in (x, 2 * x):
        np.testing.assert_allclose(np.asarray(native(start)), np.asarray(steps(start)), rtol=0, atol=2e-5)


@pytest.mark.verify
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("form", [*FORMS, *RARE])
def test_every_form_in_both_dtypes(form, dtype):
    assert_native_is_numpy(form, dtype)


def test_images_have_the_same_bits_on_one_and_two_threads_and_alone():
    xs, ws, given = FORMS["as many channels as a vector has"]
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=xs).astype(np.float32), rng.normal(size=ws).astype(np.float32)
    convolve = cl.compile(lambda x, w: cl.conv(x, w, **given))
    before = cl.get_threads()
    try:
        cl.set_threads(1)
        one = np.asarray(convolve(x, w))
        cl.set_threads(2)
        assert np.array_equal(np.asarray(convolve(x, w)), one)
        assert np.array_equal(np.asarray(convolve(x[2:4], w)), one[2:4])
    finally:
        cl.set_threads(before)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 14, 16, 17, 28, 32, 144])
@pytest.mark.parametrize(("vectors", "most"), [(1, 6), (1, 16), (2, 14)])
@pytest.mark.parametrize("overlap", [False, True])
def test_tiles_fit(length, vectors, most, overlap):
    assert 1 <= _best_rows(length, vectors, most, overlap) <= min(length, most)
