"""Convolution and pools: PyTorch's values and gradients, every order of derivatives, many forms, refusals."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import ArgumentError, ClearpropError, ShapeError
from tests.tiers import together


def wave(*shape):
    n = int(np.prod(shape))
    return np.sin(0.7 * np.arange(n) + 0.3 * np.arange(n) % 1.7).reshape(shape)


def seen(a):
    """One number that depends on every entry and its place."""
    return float((np.asarray(a) * np.cos(0.31 * np.arange(np.size(a))).reshape(np.shape(a))).sum())


# PyTorch 2.13, float64, channels moved: name, x, w, what is given; then the result's shape and what is seen of the
# result and of the gradients of what is seen of it
TORCH = [
    ("conv", (2, 9, 4), (3, 4, 6), {"stride": 2, "padding": 1},
     (2, 5, 6), 9.65651343570925, 0.8057834847371452, 20.40018450260108),
    ("conv", (2, 7, 6, 3), (3, 2, 3, 4), {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)},
     (2, 4, 4, 4), -5.31282585214984, -14.445043690205212, 0.3703639813836954),
    ("conv", (3, 6, 6, 4), (3, 3, 2, 6), {"groups": 2, "padding": 1},
     (3, 6, 6, 6), -1.8691409308667737, -4.176381983884339, 8.583064922729246),
    ("conv", (2, 8, 5, 6), (3, 3, 1, 12), {"groups": 6, "stride": 2},
     (2, 3, 2, 12), -4.541879390162107, 0.7669941413753669, -20.8444584495211),
    ("conv", (1, 5, 4, 6, 2), (2, 3, 2, 2, 3), {"padding": 1, "stride": (1, 2, 1)},
     (1, 6, 2, 7, 3), 9.404550950548137, 1.4881049057975169, 5.4143993464276985),
    ("conv", (2, 1, 1, 5), (1, 1, 5, 7), {}, (2, 1, 1, 7), 0.214113038009761, -0.1641314824687371, 4.9502662953302945),
    ("conv_transpose", (2, 5, 4), (3, 6, 4), {"stride": 2, "padding": 1, "output_padding": 1},
     (2, 10, 6), -0.7627585679791675, -0.4548960090924823, -4.5529444112731685),
    ("conv_transpose", (2, 3, 4, 4), (3, 2, 3, 4), {"stride": (3, 2), "dilation": (1, 2), "groups": 2},
     (2, 9, 9, 6), -0.5247709541992136, -0.21567496459964508, 8.814413426823714),
    ("conv_transpose", (1, 3, 2, 3, 2), (2, 2, 3, 2, 2), {"padding": 1, "stride": 2},
     (1, 4, 2, 5, 2), -0.13988005831841965, -1.050358877904208, 1.831582528086881),
]  # fmt: skip
POOLS = [
    ("max", (2, 8, 6, 3), (2, 2), {}, (2, 4, 3, 3), -1.0570080934858948, -4.134098535077465),
    ("avg", (2, 8, 6, 3), (2, 2), {}, (2, 4, 3, 3), 0.713566909049649, -1.8398286394648549),
    ("max", (2, 7, 6, 3), (3, 2), {"stride": (2, 1), "padding": (1, 1), "dilation": (2, 1)},
     (2, 3, 7, 3), -7.416228636596759, -17.914362883191487),
    ("avg", (2, 7, 6, 3), (3, 2), {"stride": (2, 1), "padding": (1, 1)},
     (2, 4, 7, 3), -0.6681365957509585, -7.849174458021121),
    ("avg", (2, 7, 6, 3), (3, 2), {"stride": (2, 1), "padding": (1, 1), "count_padding": False},
     (2, 4, 7, 3), 0.8388211886549715, -3.650331601547754),
    ("max", (2, 9, 4), (3,), {"stride": 2, "padding": 1}, (2, 5, 4), -3.9402048101055844, 1.5994936179700905),
    ("avg", (2, 9, 4), (3,), {"stride": 2, "padding": 1, "count_padding": False},
     (2, 5, 4), -0.8692038508214344, 0.18876278766028487),
    ("max", (1, 4, 5, 4, 2), (2, 2, 2), {}, (1, 2, 2, 2, 2), -2.583812186386209, 0.2851622874008667),
    ("avg", (1, 4, 5, 4, 2), (2, 2, 2), {}, (1, 2, 2, 2, 2), 0.08357404676793143, -0.48601813735348065),
]  # fmt: skip


def weighed(function, shape):
    weights = np.cos(0.31 * np.arange(np.prod(shape))).reshape(shape)
    return lambda *operands: cl.sum(function(*operands) * weights)


@pytest.mark.parametrize(("name", "xs", "ws", "given", "shape", "value", "by_x", "by_w"), TORCH)
def test_convolution_is_that_of_pytorch(name, xs, ws, given, shape, value, by_x, by_w):
    x, w = wave(*xs), 0.5 * wave(*ws)
    convolve = lambda x, w: getattr(cl, name)(x, w, **given)
    y = convolve(x, w)
    assert y.shape == shape
    assert seen(y) == pytest.approx(value, rel=1e-11)
    gradients = cl.grad(weighed(convolve, shape), argnums=(0, 1))(x, w)
    assert [seen(g) for g in gradients] == pytest.approx([by_x, by_w], rel=1e-11)
    single = convolve(x.astype(np.float32), w.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(np.asarray(single), np.asarray(y), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("kind", "xs", "window", "given", "shape", "value", "by_x"), POOLS)
def test_pools_are_those_of_pytorch(kind, xs, window, given, shape, value, by_x):
    x = wave(*xs)
    pool = lambda x: getattr(cl, f"{kind}_pool")(x, window, **given)
    y = pool(x)
    assert y.shape == shape
    assert seen(y) == pytest.approx(value, rel=1e-11)
    assert seen(cl.grad(weighed(pool, shape))(x)) == pytest.approx(by_x, rel=1e-11)


FORMS = {
    "a line": ((2, 7, 3), (3, 3, 2), {"padding": "same", "stride": 2}),
    "a plane, unequal sides": ((1, 4, 5, 2), (2, 3, 2, 3), {"padding": ((1, 0), (0, 2)), "dilation": (2, 1)}),
    "depthwise": ((2, 4, 4, 3), (2, 2, 1, 6), {"groups": 3}),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_order_of_derivatives(form):
    xs, ws, given = FORMS[form]
    x, w = wave(*xs), 0.5 * wave(*ws)
    loss = lambda x, w: cl.sum(cl.tanh(cl.conv(x, w, **given)) ** 2)
    cl.check_grads(loss, (x, w), order=2)
    compiled = cl.compile(cl.value_and_grad(loss, argnums=(0, 1)), executor="numpy")
    for ours, theirs in zip(cl.grad(loss, argnums=(0, 1))(x, w), compiled(x, w)[1], strict=True):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=1e-12, atol=1e-12)


def test_gradients_of_each_example_sum_to_that_of_all():
    x, w = wave(3, 4, 5, 4), wave(3, 3, 2, 4)
    loss = lambda w, x: cl.sum(cl.tanh(cl.conv(x, w, padding="same", groups=2)))
    each = cl.per_example_grad(lambda w, x: loss(w, x[None]), in_axes=(None, 0))(w, x)
    assert each.shape == (3, *w.shape)
    np.testing.assert_allclose(np.asarray(each).sum(0), np.asarray(cl.grad(loss)(w, x)), rtol=1e-11, atol=1e-12)


@together("size", range(1, 9))
@together("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_gives_as_many_outputs_as_strides_fit(size, kernel, stride):
    y = cl.conv(np.ones((1, size, 1)), np.ones((kernel, 1, 1)), stride=stride, padding="same")
    assert y.shape == (1, -(-size // stride), 1)


def test_many_images_are_convolved_some_at_a_time(monkeypatch):
    from clearprop.rules.on_demand import convolution

    x, w = wave(7, 5, 5, 2), wave(3, 3, 2, 4)
    loss = lambda x, w: cl.sum(cl.conv(x, w) ** 2)
    whole = cl.grad(loss, argnums=(0, 1))(x, w)
    monkeypatch.setattr(convolution, "PATCHES", 2 * 9 * 9 * 2)
    for a, b in zip(whole, cl.grad(loss, argnums=(0, 1))(x, w), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-12)


def test_the_first_of_equal_entries_is_chosen_and_nan_wins():
    x = np.array([1.0, 1.0, 0.0, np.nan, np.nan, 2.0]).reshape(1, 6, 1)
    y = np.asarray(cl.max_pool(x, (2,)))[0, :, 0]
    assert y[0] == 1.0 and np.isnan(y[1]) and np.isnan(y[2])
    g = cl.grad(lambda x: cl.sum(cl.max_pool(x, (2,))))(x[:, :4])
    assert np.asarray(g)[0, :2, 0].tolist() == [1.0, 0.0]


def test_a_pool_of_padding_alone_is_not_hidden():
    assert np.asarray(cl.max_pool(np.ones((1, 2, 1)), (2,), stride=2, padding=2))[0, :, 0].tolist() == [
        -np.inf,
        1.0,
        -np.inf,
    ]


REFUSED = [
    (lambda x, w: cl.conv(x, w[:, :, :1]), "conv cannot convolve x"),
    (lambda x, w: cl.conv(x, w, groups=2), "conv cannot convolve x"),
    (lambda x, w: cl.conv(x[0], w), "conv needs x (n, *space, channels)"),
    (lambda x, w: cl.conv(x[:, :2], w), "conv's kernel (3, 3) does not fit into (2, 6)"),
    (lambda x, w: cl.conv(x, w, stride=0), "stride is a whole number from 1"),
    (lambda x, w: cl.conv(x, w, stride=(1, 2, 3)), "stride is one number, or one for each axis of space"),
    (lambda x, w: cl.conv(x, w, dilation=1.5), "dilation is a whole number from 1"),
    (lambda x, w: cl.conv(x, w, padding="full"), "padding says how many zeros stand around"),
    (lambda x, w: cl.conv(x, w, padding=-1), "padding says how many zeros stand around"),
    (lambda x, w: cl.conv(x, w, groups=0), "groups is a whole number from 1"),
    (lambda x, w: cl.conv(x, w[..., :1, :3], groups=2), "conv cannot divide the outputs"),
    (lambda x, w: cl.conv_transpose(x, w), "conv_transpose takes the weight of the conv"),
    (lambda x, w: cl.conv_transpose(x[..., :1], w[..., :1], output_padding=1), "output_padding fills what a stride"),
    (lambda x, w: cl.conv_transpose(x[..., :1], w[..., :1], padding="same"), "padding says how many zeros"),
    (lambda x, w: cl.conv_transpose(x[..., :1], w[..., :1], padding=9), "conv_transpose has nothing left"),
    (lambda x, w: cl.max_pool(x, 2), "max_pool needs x (n, *space, channels) and a window over space"),
    (lambda x, w: cl.max_pool(x, (7, 1)), "max_pool's window does not fit"),
    (lambda x, w: cl.avg_pool(x, (2, 0)), "window is a whole number from 1"),
    (lambda x, w: cl.avg_pool(np.ones((1, 2, 2, 1), int), (2, 2)), "avg_pool is of floating-point numbers"),
]


@pytest.mark.parametrize(("call", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_what_makes_no_sense_is_refused(call, said):
    with pytest.raises((ShapeError, ArgumentError)) as caught:
        call(cl.tensor(wave(2, 6, 6, 2)), cl.tensor(wave(3, 3, 2, 4)))
    assert isinstance(caught.value, ClearpropError)
    assert str(caught.value).startswith(said)
