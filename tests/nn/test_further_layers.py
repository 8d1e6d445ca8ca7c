"""What layers beyond `Dense` promise besides values: masks, single examples, random numbers, errors, files."""

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn
from clearprop.errors import ClearpropError
from clearprop.files import tree_arrays
from clearprop.runs import model_json
from tests.nn.peer_cases import LAYERS

RNG = np.random.default_rng(7)
X = RNG.normal(size=(3, 4, 8)).astype(np.float32)


# --------------------------------------------------------------------------------------------------- masks
def test_what_is_masked_changes_nothing_and_gets_no_gradient():
    layer, lengths = nn.MultiHeadAttention(8, 2), np.array([2, 4, 1])
    mask = nn.length_mask(lengths, 4)
    real = np.asarray(mask)
    other = np.where(real[..., None], X, 100.0).astype(np.float32)

    def total(x):
        return cl.sum(cl.where(mask[..., None], layer(x, mask=mask[..., None, :]), 0.0) ** 2)

    assert float(total(X)) == float(total(other))
    slope = np.asarray(cl.grad(total)(X))
    assert not slope[~real].any() and slope[real].all()


def test_a_query_that_sees_nothing_reads_nothing():
    layer = nn.MultiHeadAttention(8, 2).replace({"output.bias": RNG.normal(size=8)})
    mask = np.array([[True, True, False, True], [False] * 4, [True] * 4, [False, True, True, True]])
    y = layer(X, mask=mask)
    np.testing.assert_array_equal(np.asarray(y)[:, 1], np.broadcast_to(np.asarray(layer.output.bias), (3, 8)))
    grads = cl.grad(lambda m: cl.sum(m(X, mask=mask)[:, 1]))(layer).parameters()
    assert not any(np.asarray(g).any() for path, g in grads.items() if path != "output.bias")


def test_the_future_is_not_seen():
    """Nothing before an element changes with it, in a whole block; and the last element sees all."""
    block = nn.TransformerBlock(8, 2, causal=True, rotary=True)
    slope = np.asarray(cl.jacobian(lambda x: block(x))(X[0]))  # (to, feature, from, feature)
    seen = np.abs(slope).sum(axis=(1, 3)) > 0
    assert (seen == np.tri(4, dtype=bool)).all()


def test_rotary_products_hang_on_the_distance_alone():
    q, k = RNG.normal(size=(2, 6))
    turned_q, turned_k = (np.asarray(nn.rotary(np.tile(v, (9, 1)))) for v in (q, k))
    products = turned_q @ turned_k.T
    for distance in range(-4, 5):
        np.testing.assert_allclose(np.diag(products, distance), np.diag(products, distance)[0], rtol=1e-12)


@pytest.mark.parametrize("mode", ["mean", "sum", "max"])
def test_padding_counts_as_nothing(mode):
    bag = nn.EmbeddingBag(6, 3, mode=mode, padding=0)
    bag = bag.replace({"weight": RNG.normal(size=(6, 3))})
    padded, alone = np.asarray(bag([[4, 0, 5, 0], [0, 0, 0, 0]])), np.asarray(bag([[4, 5]]))
    np.testing.assert_array_equal(padded, [alone[0], np.zeros(3)])
    slope = np.asarray(cl.grad(lambda m: cl.sum(m([[4, 0, 5, 0], [0, 0, 0, 0]])))(bag).weight)
    assert not slope[[0, 1, 2, 3]].any() and slope[[4, 5]].any()
    table = nn.Embedding(6, 3, padding=0).replace({"weight": RNG.normal(size=(6, 3))})
    assert not np.asarray(table([0])).any()


# -------------------------------------------------------------------------------- one example, several, compiled
BATCHED = [c for c in LAYERS if isinstance(c.layer, nn.Module) and c.call is LAYERS[0].call and c.inputs[0].ndim > 1]


@pytest.mark.parametrize("case", BATCHED, ids=lambda c: c.name)
def test_a_batch_is_its_examples(case):
    """vmap over single examples, and the gradient of each, agree with the whole batch."""
    model, inputs, ct = case.model(), case.inputs, case.arrays["ct"]
    single = cl.vmap(lambda *xs: model(*xs))(*inputs)
    np.testing.assert_allclose(np.asarray(single), case.arrays["out"], rtol=1e-12, atol=1e-13)
    if not model.parameters():
        return
    each = cl.per_example_grad(lambda m, c, *xs: cl.sum(m(*xs) * c), in_axes=(None, 0, *(0 for _ in inputs)))
    for path, g in each(model, ct, *inputs).parameters().items():
        wanted = case.arrays[f"grad/{path}"]
        np.testing.assert_allclose(np.asarray(g).sum(axis=0), wanted, rtol=1e-10, atol=1e-12, err_msg=path)


@pytest.mark.parametrize("layer", [nn.LSTM(3, 2), nn.GRU(3, 2, layers=2)], ids=lambda v: v.label())
def test_a_sequence_in_pieces_is_the_sequence(layer):
    """`run` goes on from a state; and what fills a short sequence up does not matter, whatever it is."""
    x = RNG.normal(size=(4, 7, 3)).astype(np.float32)
    whole, end = layer.run(x)
    first, state = layer.run(x[:, :3])
    second, last = layer.run(x[:, 3:], state)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), np.asarray(whole), rtol=1e-5, atol=1e-6)
    cl.tree_map(lambda a, b: np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-6), last, end)
    mask = nn.length_mask([7, 2, 4, 1], 7)
    other = np.where(np.asarray(mask)[..., None], x, 1e3).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(layer(x, mask=mask)), np.asarray(layer(other, mask=mask)))


@pytest.mark.parametrize("executor", ["numpy", pytest.param(None, marks=pytest.mark.verify)])  # 40 s of compiling
def test_a_compiled_step_of_a_whole_network_equals_the_eager_one(executor):
    """One program with most of the layers: a training step on sequences of numbers, with masks and dropout."""
    tokens, mask = np.array([[1, 2, 3, 0], [4, 0, 0, 0]]), np.array([[True] * 3 + [False], [True] + [False] * 3])
    parts = {
        "words": nn.Embedding(5, 8, padding=0),
        "places": nn.SinusoidalPositions(8),
        "learned": nn.LearnedPositions(6, 8),
        "block": nn.TransformerBlock(8, 4, kv_heads=2, rotary=True, causal=True, dropout=0.2, norm="rms"),
        "head": nn.Sequential(
            nn.GroupNorm(2, 8, space=1),
            nn.Residual(nn.Sequential(nn.WeightNorm(nn.Dense(8, 8)), nn.DropPath(0.5))),
            nn.Parallel(nn.SwiGLU(8, 4), nn.PReLU(8)),
            nn.GLU(),
            nn.Flatten(2),
            nn.Dense(32, 1),
        ),
    }

    def forward(parts, tokens, mask):
        h = parts["learned"](parts["places"](parts["words"](tokens)))
        return parts["head"](parts["block"](h, mask=mask[..., None, :]))

    def step(parts, tokens, mask, key):
        def loss(parts):
            y, _ = nn.apply(lambda *xs: forward(parts, *xs), tokens, mask, rng=key)
            return cl.mean(cl.square(y))

        return cl.value_and_grad(loss)(parts)

    arguments = (parts, tokens, mask, cl.random.key(3))
    eager, compiled = step(*arguments), cl.compile(step, executor=executor)(*arguments)
    cl.tree_map(
        lambda a, b: np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=2e-4, atol=2e-6), eager, compiled
    )


# -------------------------------------------------------------------------------------------------- randomness
def test_channels_and_examples_are_dropped_whole():
    x = cl.ones((40, 3, 2, 50))
    y = np.asarray(nn.apply(nn.Dropout2d(0.25), x, rng=1)[0])
    assert set(np.unique(y)) == {0.0, 1 / 0.75} and (y == y[:, :1, :1]).all()
    assert abs((y == 0).mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 2000)
    y = np.asarray(nn.apply(nn.DropPath(0.5), x, rng=2)[0])
    assert set(np.unique(y)) == {0.0, 2.0} and (y == y[:, :1, :1, :1]).all()
    assert nn.Dropout2d(0.25)(x) is x and nn.DropPath(0.0)(x) is x


def test_attention_drops_weights_in_training_only():
    layer = nn.MultiHeadAttention(8, 2, dropout=0.5)
    train, _ = nn.apply(layer, X, rng=0)
    assert not np.allclose(np.asarray(train), np.asarray(layer(X)))
    plain = nn.MultiHeadAttention(8, 2).replace(layer.parameters())
    np.testing.assert_array_equal(np.asarray(layer(X)), np.asarray(plain(X)))


# ------------------------------------------------------------------------------------------------------ errors
WRONG = [
    (nn.Embedding(4, 3), [0.5], "looks rows up by their numbers"),
    (nn.Embedding(4, 3), [[0, 4]], "has no row 4"),
    (nn.Embedding(4, 3), [-1], "has no row -1"),
    (nn.EmbeddingBag(4, 3), 2, "needs an axis of numbers"),
    (nn.MultiHeadAttention(8, 2), np.ones((3, 7)), "cannot take an input of shape (3, 7)"),
    (nn.MultiHeadAttention(8, 2), np.ones(8), "cannot relate inputs"),
    (nn.TransformerBlock(8, 2), np.ones((2, 3, 1)), "cannot take an input of shape (2, 3, 1)"),
    (nn.GroupNorm(2, 8), np.ones((2, 8)), "2 axes of places before the channels"),
    (nn.GroupNorm(2, 8), np.ones((2, 3, 4, 6)), "8 numbers in the last axis"),
    (nn.InstanceNorm(8), np.ones((2, 1, 1, 8)), "cannot take statistics of one place"),
    (nn.RMSNorm(8), np.ones((2, 1)), "8 numbers in the last axis"),
    (nn.WeightNorm(nn.Dense(4, 2)), np.ones((2, 1)), "4 numbers in the last axis"),
    (nn.PReLU(8), np.ones((2, 1)), "8 numbers in the last axis"),
    (nn.GLU(), np.ones((2, 5)), "cannot halve an input"),
    (nn.GLU(), 1.0, "no axis at all"),
    (nn.SwiGLU(4, 8), np.ones(3), "4 numbers in the last axis"),
    (nn.SinusoidalPositions(8), np.ones(8), "no axis of positions"),
    (nn.LearnedPositions(3, 8), np.ones((4, 8)), "has no position 3"),
    (nn.Residual(nn.Dense(8, 1)), np.ones((4, 8)), "cannot add outputs of shapes (4, 1) and (4, 8)"),
    (nn.Parallel(nn.Dense(8, 1), "relu", join="sum"), np.ones((4, 8)), "Parallel cannot add outputs"),
    (nn.Flatten(3), np.ones((4, 8)), "3 axes or more"),
    (nn.Unflatten((3, 3, 1)), np.ones((4, 8)), "9 numbers in the last axis: 3 · 3 · 1"),
    (nn.Unflatten((3, 3, 1)), 1.0, "9 numbers in the last axis: 3 · 3 · 1"),
    (nn.Dropout2d(), np.ones((4, 8)), "(…, height, width, channels)"),
    (nn.LSTM(3, 4), np.ones((2, 5, 2)), "3 numbers in the last axis"),
    (nn.GRU(3, 4), np.ones(3), "no axis of steps"),
    (nn.RNNCell(3, 4), np.ones(2), "3 numbers in the last axis"),
    (nn.Conv2d(3, 4, 3), np.ones((2, 8, 8, 1)), "3 numbers in the last axis"),
    (nn.Conv2d(3, 4, 3), np.ones((8, 3)), "2 axes of places before the channels"),
    (nn.Conv2d(3, 4, 5), np.ones((1, 4, 4, 3)), "conv"),
    (nn.ConvTranspose1d(3, 4, 2), np.ones((2, 5, 4)), "3 numbers in the last axis"),
    (nn.ConvTranspose1d(3, 4, 2, padding=3), np.ones((2, 5, 3)), "conv_transpose has nothing left"),
    (nn.MaxPool(2), np.ones((4, 3)), "2 axes of places before the channels"),
    (nn.AvgPool(3, space=1), np.ones((2, 2, 3)), "avg_pool"),
    (nn.GlobalPool(), np.ones((4, 3)), "2 axes of places before the channels"),
    (nn.AdaptivePool(2), np.ones(3), "2 axes of places before the channels"),
    (nn.Upsample(2), np.ones((4, 3)), "2 axes of places before the channels"),
]


@pytest.mark.parametrize(("layer", "x", "words"), WRONG, ids=lambda v: v if isinstance(v, str) else "")
@pytest.mark.parametrize("compiled", [False, True])
def test_a_wrong_input_is_refused(layer, x, words, compiled):
    call = cl.compile(lambda x: layer(x)) if compiled else layer
    with pytest.raises(ClearpropError) as caught:
        call(np.asarray(x))
    if not compiled:  # while a program is traced, sizes have other names
        assert words in str(caught.value)
    assert "where     test_further_layers.py:" in str(caught.value)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.ones((4, 4)), "takes truth values as its mask"),
        (np.ones((4, 5), bool), "cannot use a mask of shape (4, 5)"),
        (np.ones((2, 4, 4), bool), "cannot use a mask of shape (2, 4, 4)"),
        (np.ones((1, 3, 4, 4), bool), "cannot use a mask of shape (1, 3, 4, 4)"),
    ],
)
def test_a_wrong_mask_is_refused(mask, words):
    with pytest.raises(ClearpropError, match="MultiHeadAttention") as caught:
        nn.MultiHeadAttention(8, 2)(X, mask=mask)
    assert words in str(caught.value)


MADE_WRONG = [
    lambda: nn.Embedding(0, 3),
    lambda: nn.Embedding(4, 3, padding=4),
    lambda: nn.EmbeddingBag(4, 3, mode="mode"),
    lambda: nn.EmbeddingBag(4, 3)([[1]], [[1.0]]),
    lambda: nn.EmbeddingBag(4, 3, mode="sum")([[1, 2]], [1.0, 2.0]),
    lambda: nn.MultiHeadAttention(8, 3),
    lambda: nn.MultiHeadAttention(8, 4, kv_heads=3),
    lambda: nn.MultiHeadAttention(6, 2, rotary=True),
    lambda: nn.MultiHeadAttention(8, 2, dropout=1.0),
    lambda: nn.MultiHeadAttention(8, 2)(X, X[:2]),
    lambda: nn.MultiHeadAttention(8, 2)(X, X, X[:, :2]),
    lambda: nn.MultiHeadAttention(8, 2)(X, X[:, :0]),
    lambda: nn.TransformerBlock(8, 2, norm="batch"),
    lambda: nn.TransformerBlock(8, 2, activation="geluu"),
    lambda: nn.GroupNorm(3, 8),
    lambda: nn.GroupNorm(2, 8, space=-1),
    lambda: nn.InstanceNorm(8, space=0),
    lambda: nn.WeightNorm(nn.Dropout()),
    lambda: nn.WeightNorm(3),
    lambda: nn.WeightNorm(nn.Dense(2, 2).replace({"weight": np.zeros((2, 2))})),
    lambda: nn.SinusoidalPositions(7),
    lambda: nn.SinusoidalPositions(8, base=0.5),
    lambda: nn.rotary(X[..., :3]),
    lambda: nn.rotary(1.0),
    lambda: nn.length_mask([1.0], 3),
    lambda: nn.Parallel(),
    lambda: nn.Parallel("relu", join="product"),
    lambda: nn.Residual(nn.Dense(2, 2), 3),
    lambda: nn.Flatten(0),
    lambda: nn.Unflatten(()),
    lambda: nn.Unflatten((2, 0)),
    lambda: nn.Unflatten(28),
    lambda: nn.GLU("siluu"),
    lambda: nn.PReLU(slope=-1.0),
    lambda: nn.DropPath(1.5),
    lambda: nn.LSTM(3, 0),
    lambda: nn.LSTM(3, 4, layers=0),
    lambda: nn.GRU(3, 4, output="first"),
    lambda: nn.RNN(3, 4, activation="tan"),
    lambda: nn.GRU(3, 4)(np.ones((2, 5, 3)), mask=np.ones((2, 5))),
    lambda: nn.GRU(3, 4)(np.ones((2, 5, 3)), mask=np.ones((2, 4), bool)),
    lambda: nn.GRU(3, 4).run(np.ones((2, 5, 3)), [1, 2]),
    lambda: nn.Conv2d(3, 4, 0),
    lambda: nn.Conv2d(3, 4, (3, 3, 3)),
    lambda: nn.Conv2d(3, 4, 3, stride=0),
    lambda: nn.Conv2d(3, 4, 3, padding="full"),
    lambda: nn.Conv2d(3, 4, 3, padding=-1),
    lambda: nn.Conv2d(3, 4, 3, padding=None),
    lambda: nn.Conv2d(4, 4, 3, groups=3),
    lambda: nn.ConvTranspose2d(3, 4, 3, padding="same"),
    lambda: nn.ConvTranspose2d(3, 4, 3, output_padding=1)(np.ones((1, 2, 2, 3))),
    lambda: nn.MaxPool(0),
    lambda: nn.MaxPool(2, padding=2),
    lambda: nn.MaxPool(2, padding="some"),
    lambda: nn.AvgPool(2, space=0),
    lambda: nn.GlobalPool("sum"),
    lambda: nn.AdaptivePool((2, 2, 2)),
    lambda: nn.Upsample(2, mode="cubic"),
]


@pytest.mark.parametrize("call", MADE_WRONG)
def test_a_wrong_argument_is_refused(call):
    with pytest.raises(ClearpropError) as caught:
        call()
    assert "where     test_further_layers.py:" in str(caught.value)


def test_a_shared_layer_is_refused():
    layer = nn.Dense(2, 2)
    for make in (lambda: nn.Parallel(layer, layer), lambda: nn.Residual(layer, layer)):
        with pytest.raises(ClearpropError, match="used twice"):
            make()


WRONG_LOSSES = [
    lambda: nn.nll([[0.0, 0.0]], [2]),
    lambda: nn.nll([[0.0, 0.0]], [1.0]),
    lambda: nn.nll([[0.0, 0.0]], [[1]]),
    lambda: nn.kl_divergence([[0.0, 0.0]], [[0.5, 1.5]]),
    lambda: nn.kl_divergence(0.0, 1.0),
    lambda: nn.hinge([0.0, 1.0], [-1, 1]),
    lambda: nn.hinge([0.0, 1.0], [0, 1], margin=0.0),
    lambda: nn.multi_margin([[0.0]], [0]),
    lambda: nn.gaussian_nll([0.0], [1.0], [-1.0]),
    lambda: nn.gaussian_nll([0.0], [1.0], [1.0, 1.0]),
    lambda: nn.gaussian_nll([0.0], [1.0], [1.0], least=0.0),
    lambda: nn.cosine_distance([1.0, 2.0], [[1.0, 2.0]]),
    lambda: nn.contrastive([[1.0]], [[2.0]], [[1]]),
    lambda: nn.contrastive([[1.0]], [[2.0]], [2]),
    lambda: nn.triplet([[1.0]], [[2.0]], [[2.0, 1.0]]),
    lambda: nn.triplet([[1.0]], [[2.0]], [[2.0]], reduction="average"),
]


@pytest.mark.parametrize("call", WRONG_LOSSES)
def test_a_wrong_loss_is_refused(call):
    with pytest.raises(ClearpropError) as caught:
        call()
    assert "where     test_further_layers.py:" in str(caught.value)


# ------------------------------------------------------------------------------------------------------- files
def test_every_layer_is_described_and_made_again(tmp_path):
    """What a run folder keeps of a network is enough to build it."""
    layers = list({id(case.layer): case.layer for case in LAYERS if isinstance(case.layer, nn.Module)}.values())
    layers += [nn.SinusoidalPositions(8), nn.LearnedPositions(4, 8), nn.Flatten(2), nn.Dropout2d(), nn.DropPath()]
    layers += [nn.Unflatten((2, 2))]
    layers += [nn.RandomFlip(axis=-3), nn.RandomShift(1), nn.RandomCrop((2, 3), padding=1)]
    layers += [nn.Residual(nn.Dense(3, 3), "relu"), nn.Parallel("tanh", nn.Dense(3, 3), join="sum")]
    model = nn.Sequential(layers)
    assert {type(layer).__name__ for layer in layers} <= model_json.STANDARD
    path = tmp_path / "model.safetensors"
    path.write_bytes(tree_arrays.to_bytes(model))
    again = model_json.read_model(path, model_json.describe(model))
    assert repr(again) == repr(model)
    for name, value in model.arrays().items():
        np.testing.assert_array_equal(np.asarray(again.arrays()[name]), np.asarray(value))
