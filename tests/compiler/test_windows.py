"""Convolution natively: the values of NumPy's form for tiles of every kind, in both dtypes, on one and two threads."""

import warnings

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler.native import window_calls
from clearprop.compiler.native.window_calls import _best_rows

# what it is there for: x, w, what is given
FORMS = {
    "as many channels as a vector has": ((5, 9, 9, 16), (3, 3, 16, 16), {"padding": "same"}),
    "channel by channel": ((3, 8, 8, 32), (3, 3, 1, 32), {"groups": 32, "stride": 2, "padding": 1}),
}
RARE = {
    "pixels of one channel, in planes with gaps": (
        (3, 21, 34, 1),
        (3, 2, 1, 5),
        {"padding": [(2, 1), (0, 1)], "stride": (2, 1), "dilation": (1, 2)},
    ),
    "one output, in planes": ((2, 9, 19, 5), (3, 3, 5, 1), {"padding": "same"}),
    "channel by channel, panels and a rest, gaps": (
        (3, 9, 7, 75),
        (3, 3, 1, 75),
        {"groups": 75, "dilation": (2, 1), "padding": "same"},
    ),
    "channel by channel, rows of taps that are many": (
        (2, 11, 17, 33),
        (2, 9, 1, 33),
        {"groups": 33, "padding": [(1, 0), (4, 4)], "stride": (2, 1)},
    ),
    "channel by channel, strides and gaps that meet": (
        (2, 9, 17, 20),
        (3, 5, 1, 20),
        {"groups": 20, "padding": "same", "dilation": (1, 2)},
    ),
    "channel by channel, fewer outputs than go at a time": ((2, 5, 4, 40), (4, 3, 1, 40), {"groups": 40}),
    "channel by channel along a line": ((2, 19, 20), (4, 1, 20), {"groups": 20, "stride": 3, "padding": [(1, 4)]}),
    "channel by channel in space": ((2, 4, 5, 6, 8), (2, 3, 2, 1, 8), {"groups": 8, "padding": 1}),
    "more zeros than the kernel reaches": ((2, 5, 6, 3), (2, 2, 3, 4), {"padding": [(4, 0), (1, 3)], "stride": (2, 1)}),
    "a kernel as large as all": ((3, 4, 4, 2), (6, 6, 2, 3), {"padding": 1}),
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


TRANSPOSED = {
    "a part is cut off": ((2, 5, 4, 3), (3, 3, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
    "more than the kernel reaches": ((2, 5, 6, 3), (2, 3, 4, 3), {"padding": [(3, 0), (2, 2)], "stride": (2, 1)}),
    "channel by channel": ((2, 5, 4, 8), (3, 3, 1, 8), {"groups": 8, "padding": 1, "dilation": 2}),
}


@pytest.mark.parametrize("form", TRANSPOSED)
def test_what_is_cut_off_of_a_transpose_is_not_computed(form):
    xs, ws, given = TRANSPOSED[form]
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=xs), rng.normal(size=ws)
    loss = lambda x, w: cl.sum(cl.sin(cl.conv_transpose(x, w, **given)))
    both = lambda x, w: (cl.conv_transpose(x, w, **given), *cl.grad(loss, argnums=(0, 1))(x, w))
    compiled = cl.compile(both)
    for ours, wanted in zip(compiled(x, w), both(x, w), strict=True):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(wanted), rtol=0, atol=1e-12)
    assert "padding=" in compiled.source("numba")


def test_bands_of_large_images_are_the_image(monkeypatch):
    """Rows of the room are other rows of the image in every band: zeros come and go."""
    monkeypatch.setattr(window_calls, "NEAR", 1 << 12)
    for form in ("as many channels as a vector has", "channel by channel"):
        assert_native_is_numpy(form, np.float32)
    assert_native_is_numpy("more zeros than the kernel reaches", np.float64)
    test_what_is_cut_off_of_a_transpose_is_not_computed("a part is cut off")


def chain_of_two(x, w, v, cotangent):
    """Sums that stand beside each other, and sums that read what others gave; some memory is another's before."""
    y, pullback = cl.vjp(lambda x, w, v: cl.conv(cl.conv(x, w, padding="same"), v, padding="same"), x, w, v)
    return y, *pullback(cotangent), cl.conv(x, w, padding="same")


def chain_of_four(x, w, v, cotangent):
    """Sums whose memory is, at another image, that of the sum before the last."""
    y = cl.conv(cl.conv(x, w, padding="same"), v[:, :, :, :4], padding="same")
    return 2.0 * cl.conv(cl.conv(y, w[:, :, :4], padding="same"), v, padding="same")[:, 1:] + cotangent[:, 1:]


@pytest.mark.parametrize(("f", "count"), [(chain_of_two, 8), (chain_of_two, 7), (chain_of_four, 8)])
def test_sums_over_the_same_images_go_together_and_each_has_the_bits_that_it_has_alone(f, count, monkeypatch):
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
    given = draw(count, 32, 32, 16), draw(3, 3, 16, 24), draw(3, 3, 24, 16), draw(count, 32, 32, 16)
    together, found, join = [], [], window_calls._fits
    monkeypatch.setattr(window_calls, "NEAR_TOGETHER", 1 << 18)
    before = cl.get_threads()
    for fits in (join, lambda *_: False):
        monkeypatch.setattr(
            window_calls, "_fits", lambda *given, fits=fits: together.append(fits(*given)) or together[-1]
        )
        for threads in (1, 2):
            try:
                cl.set_threads(threads)
                native = cl.compile(f)
                found += [list(map(np.asarray, native(*given))) for _ in range(2)]
            finally:
                cl.set_threads(before)
    assert f is chain_of_four or {True, False} <= set(together), "some meet what others write, and some do not"
    for values in found[1:]:
        assert all(map(np.array_equal, values, found[0]))
    for ours, wanted in zip(found[0], f(*(a.astype(float) for a in given)), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=0, atol=1e-5 * np.abs(np.asarray(wanted)).max())


@pytest.mark.parametrize(("images", "channels", "outputs"), [(0, 3, 4), (2, 0, 4), (2, 0, 0), (2, 3, 0)])
def test_there_may_be_no_images_and_no_channels(images, channels, outputs):
    x, w = np.zeros((images, 5, 5, channels)), np.zeros((3, 3, channels, outputs))
    both = lambda x, w: (cl.conv(x, w), *cl.grad(lambda x, w: cl.sum(cl.conv(x, w) ** 2), argnums=(0, 1))(x, w))
    for ours, wanted in zip(cl.compile(both)(x, w), both(x, w), strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(wanted))


def test_a_padded_image_that_others_see_is_made():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 5, 5, 3)), rng.normal(size=(3, 3, 3, 4))

    def both(x, w):
        padded = cl.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
        return padded, cl.conv(padded, w), cl.conv(padded + 1.0, w)

    for ours, wanted in zip(cl.compile(both)(x, w), both(x, w), strict=True):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(wanted), rtol=0, atol=1e-13)


def test_zeros_around_an_image_meet_infinite_weights():
    """0·∞ is NaN there too, although nothing is multiplied that need not be copied."""
    x, w = np.ones((1, 3, 3, 2)), np.ones((3, 3, 2, 2))
    w[0, 0] = np.inf
    f = lambda x, w: cl.conv(x, w, padding="same")
    np.testing.assert_array_equal(np.asarray(cl.compile(f)(x, w)), np.asarray(f(x, w)))


def test_each_example_of_a_batch_has_its_own_weights():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(4, 5, 5, 3)), rng.normal(size=(3, 3, 3, 4))
    loss = lambda w, x: cl.sum(cl.sin(cl.conv(x[None], w, padding="same")))
    each = lambda w, x: cl.per_example_grad(loss, in_axes=(None, 0))(w, x)
    np.testing.assert_allclose(np.asarray(cl.compile(each)(w, x)), np.asarray(each(w, x)), rtol=0, atol=1e-12)


def test_an_output_that_is_another_in_another_shape_is_not_copied():
    x = np.arange(24.0).reshape(4, 6)
    f = cl.compile(lambda x: (cl.reshape(cl.sin(x), (-1,)), cl.reshape(cl.cos(x), (-1,)), cl.sum(cl.cos(x))))
    first = f(x)
    assert "identity" not in f.source("numba")
    for ours, wanted in zip(first, (np.sin(x).ravel(), np.cos(x).ravel(), np.cos(x).sum()), strict=True):
        np.testing.assert_allclose(np.asarray(ours), wanted, rtol=1e-13)
    double = cl.compile(lambda x: (cl.reshape(x + x, (24,)), cl.reshape(x + x, (12, 2)), x + x, cl.reshape(x, (24,))))
    for ours, wanted in zip(double(x), ((x + x).ravel(), (x + x).reshape(12, 2), x + x, x.ravel()), strict=True):
        np.testing.assert_array_equal(np.asarray(ours), wanted)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 14, 16, 17, 28, 32, 144])
@pytest.mark.parametrize(("vectors", "most"), [(1, 6), (1, 16), (2, 14)])
@pytest.mark.parametrize("overlap", [False, True])
def test_tiles_fit(length, vectors, most, overlap):
    assert 1 <= _best_rows(length, vectors, most, overlap) <= min(length, most)
