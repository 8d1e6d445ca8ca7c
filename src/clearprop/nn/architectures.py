"""Networks by their names: for images, for sequences, and those that learn to give back what they get."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.errors import ArgumentError, checked_call, require_flag, user_line
from clearprop.nn.argument_checks import require_fraction, require_size
from clearprop.nn.attention import TransformerBlock
from clearprop.nn.combinations import Flatten, Residual
from clearprop.nn.convolution import Conv2d
from clearprop.nn.embedding import Embedding
from clearprop.nn.layers import Dense, Dropout, Sequential
from clearprop.nn.module import Module
from clearprop.nn.networks import mlp
from clearprop.nn.norms import BatchNorm, LayerNorm
from clearprop.nn.pooling import AvgPool, GlobalPool, MaxPool
from clearprop.nn.positions import LearnedPositions
from clearprop.nn.recurrent import LSTM
from clearprop.rules import random


class _Keys:
    """A key for every layer, in order."""

    def __init__(self, seed: Any) -> None:
        self.key, self.drawn = random.key(seed), 0

    def next(self) -> Any:
        self.drawn += 1
        return random.fold_in(self.key, self.drawn - 1)


@checked_call
def lenet(
    channels: int = 1,
    classes: int = 10,
    *,
    size: tuple[int, int] = (28, 28),
    activation: Any = "tanh",
    seed: int = 0,
    dtype: Any = np.float32,
) -> Sequential:
    """LeNet-5 for images (LeCun et al. 1998): two convolutions of 5 × 5, each with a pool behind it, and dense layers.

    x (…, *size, channels), y (…, classes).

    channels    the number of channels of an image
    classes     the number of outputs
    size        height and width of an image, 16 at the least
    activation  between the layers: a name of `cl.nn.ACTIVATIONS`, a module or a function
    seed        what the weights depend on
    dtype       of all arrays

    Raises ArgumentError for sizes that leave nothing.

    >>> import clearprop as cl
    >>> net = cl.nn.lenet()
    >>> net(cl.ones((2, 28, 28, 1))).shape, cl.nn.parameter_count(net)
    ((2, 10), 61706)
    """
    height, width = (require_size("lenet", f"size[{i}]", n) for i, n in enumerate(_pair(size)))
    if min(height, width) < 16:
        raise ArgumentError(
            "lenet has nothing left of such small images",
            expected="height and width of 16 or more",
            got=f"size = {size!r}",
            where=user_line(),
        )
    rest = (height // 2 - 4) // 2 * ((width // 2 - 4) // 2) * 16
    keys = _Keys(seed)
    return Sequential(
        Conv2d(channels, 6, 5, padding="same", init="glorot", rng=keys.next(), dtype=dtype),
        activation,
        AvgPool(2),
        Conv2d(6, 16, 5, init="glorot", rng=keys.next(), dtype=dtype),
        activation,
        AvgPool(2),
        Flatten(3),
        Dense(rest, 120, rng=keys.next(), dtype=dtype),
        activation,
        Dense(120, 84, rng=keys.next(), dtype=dtype),
        activation,
        Dense(84, classes, rng=keys.next(), dtype=dtype),
    )


@checked_call
def convnet(
    channels: int = 1,
    classes: int = 10,
    *,
    size: tuple[int, int] = (28, 28),
    widths: Sequence[int] = (32, 64),
    kernel: int = 3,
    norm: bool = True,
    activation: Any = "relu",
    dropout: float = 0.0,
    seed: int = 0,
    dtype: Any = np.float32,
) -> Sequential:
    """A convolution, a normalisation and a pool for each width, then a dense layer of what is left (LeCun et al. 1989).

    x (…, *size, channels), y (…, classes).  The activation stands behind the pool, where there is a quarter as much
    of it: where it never falls, as relu, the largest of a window stays the largest.

    channels    the number of channels of an image
    classes     the number of outputs
    size        height and width of an image; each pool halves both
    widths      the channels of each convolution
    kernel      height and width of the kernels
    norm        whether there is a `BatchNorm` behind each convolution (Ioffe & Szegedy 2015)
    activation  behind each pool: a name of `cl.nn.ACTIVATIONS`, a module or a function
    dropout     the rate of `Dropout` before the dense layer
    seed        what the weights depend on
    dtype       of all arrays

    Raises ArgumentError for more pools than an image can be halved.

    >>> import clearprop as cl
    >>> net = cl.nn.convnet(widths=[8, 16])
    >>> net(cl.ones((2, 28, 28, 1))).shape, cl.nn.parameter_count(net)
    ((2, 10), 9122)
    """
    height, width = (require_size("convnet", f"size[{i}]", n) for i, n in enumerate(_pair(size)))
    require_flag("convnet", "norm", norm)
    require_fraction("convnet", "dropout", dropout, 0.0)
    keys, before, layers = _Keys(seed), channels, list[Any]()
    for i, n in enumerate(_widths("convnet", widths)):
        if min(height, width) < 2:
            raise ArgumentError(
                "convnet has nothing left of such small images",
                expected=f"height and width of {2 ** len(widths)} or more for {len(widths)} pools, or fewer widths",
                got=f"size = {tuple(size)!r}, and {len(widths)} widths",
                where=user_line(),
                try_=f"widths={list(widths)[:i]!r}" if i else "larger images",
            )
        layers.append(Conv2d(before, n, kernel, padding="same", bias=not norm, rng=keys.next(), dtype=dtype))
        layers += [BatchNorm(n, dtype=dtype)] if norm else []
        layers += [MaxPool(2), activation]
        height, width, before = height // 2, width // 2, n
    last = Dense(height * width * before, classes, rng=keys.next(), dtype=dtype)
    return Sequential(*layers, Flatten(3), *([Dropout(dropout)] if dropout else []), last)


@checked_call
def resnet(
    channels: int = 3,
    classes: int = 10,
    *,
    widths: Sequence[int] = (16, 32, 64),
    blocks: int = 3,
    seed: int = 0,
    dtype: Any = np.float32,
) -> Sequential:
    """A residual network for small images (He et al. 2016, §4.2): 6·blocks + 2 layers of weights for three widths.

    x (…, height, width, channels), y (…, classes).  A width has `blocks` of relu(x + norm(conv(relu(norm(conv(x))))));
    the first of a wider one halves height and width, its shortcut a convolution of 1 × 1.

    channels  the number of channels of an image
    classes   the number of outputs
    widths    the number of channels in each stage
    blocks    how many blocks a stage has
    seed      what the weights depend on
    dtype     of all arrays

    >>> import clearprop as cl
    >>> net = cl.nn.resnet(blocks=1)
    >>> net(cl.ones((2, 32, 32, 3))).shape, cl.nn.parameter_count(net)
    ((2, 10), 78042)
    """
    stages = _widths("resnet", widths)
    blocks, keys = require_size("resnet", "blocks", blocks), _Keys(seed)
    layers: list[Any] = [*_conv_and_norm(channels, stages[0], 3, 1, keys, dtype), "relu"]
    before = stages[0]
    for stage, width in enumerate(stages):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            layers += [_residual_block(before, width, stride, keys, dtype), "relu"]
            before = width
    return Sequential(*layers, GlobalPool(), Dense(before, classes, rng=keys.next(), dtype=dtype))


def _conv_and_norm(inputs: int, outputs: int, kernel: int, stride: int, keys: _Keys, dtype: Any) -> list[Module]:
    options: dict[str, Any] = {"padding": "same", "bias": False, "rng": keys.next(), "dtype": dtype}
    return [Conv2d(inputs, outputs, kernel, stride=stride, **options), BatchNorm(outputs, dtype=dtype)]


def _residual_block(inputs: int, outputs: int, stride: int, keys: _Keys, dtype: Any) -> Residual:
    first = _conv_and_norm(inputs, outputs, 3, stride, keys, dtype)
    second = _conv_and_norm(outputs, outputs, 3, 1, keys, dtype)
    same = inputs == outputs and stride == 1
    shortcut = None if same else Sequential(*_conv_and_norm(inputs, outputs, 1, stride, keys, dtype))
    return Residual(Sequential(*first, "relu", *second), shortcut)


@checked_call
def transformer(
    words: int,
    classes: int | None = None,
    *,
    size: int = 64,
    heads: int = 4,
    layers: int = 2,
    longest: int = 256,
    causal: bool = True,
    dropout: float = 0.0,
    seed: int = 0,
    dtype: Any = np.float32,
) -> Sequential:
    """Embedding, learned positions, blocks of attention, normalisation, outputs of each element (Radford et al. 2018).

    x whole numbers (…, length), y (…, length, classes): with causal=True and classes=None a model of the next word.

    words    how many words there are, numbered from 0
    classes  the number of outputs of each element; None: the words
    size     how many numbers stand for a word
    heads    how many heads each attention has
    layers   how many blocks there are
    longest  the most elements of a sequence
    causal   whether an element sees only those before it and itself
    dropout  the rate of `Dropout` behind the embedding and in the blocks
    seed     what the weights depend on
    dtype    of all arrays

    >>> import clearprop as cl
    >>> cl.nn.transformer(50, size=16, heads=2, layers=1)([[3, 1, 4, 1, 5]]).shape
    (1, 5, 50)
    """
    words, layers = require_size("transformer", "words", words), require_size("transformer", "layers", layers)
    require_flag("transformer", "causal", causal)
    require_fraction("transformer", "dropout", dropout, 0.0)
    keys = _Keys(seed)
    front = [Embedding(words, size, rng=keys.next(), dtype=dtype)]
    places = [LearnedPositions(longest, size, rng=keys.next(), dtype=dtype), *([Dropout(dropout)] if dropout else [])]
    blocks = [
        TransformerBlock(size, heads, causal=causal, dropout=dropout, rng=keys.next(), dtype=dtype)
        for _ in range(layers)
    ]
    outputs = words if classes is None else require_size("transformer", "classes", classes)
    last = [LayerNorm(size, dtype=dtype), Dense(size, outputs, rng=keys.next(), dtype=dtype)]
    return Sequential(*front, *places, *blocks, *last)


@checked_call
def lstm_classifier(
    words: int,
    classes: int,
    *,
    size: int = 64,
    layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
    seed: int = 0,
    dtype: Any = np.float32,
) -> Sequential:
    """Embedding, `LSTM`, and outputs from its state after the last element: classes of sequences.

    x whole numbers (…, length), y (…, classes).

    words          how many words there are, numbered from 0
    classes        the number of outputs
    size           how many numbers stand for a word, and the size of the state
    layers         how many layers of cells there are
    bidirectional  whether there are cells in both directions
    dropout        the rate of `Dropout` between the layers and before the outputs
    seed           what the weights depend on
    dtype          of all arrays

    >>> import clearprop as cl
    >>> cl.nn.lstm_classifier(50, 3, size=16, bidirectional=True)([[3, 1, 4, 1, 5]]).shape
    (1, 3)
    """
    keys = _Keys(seed)
    table = Embedding(words, size, rng=keys.next(), dtype=dtype)
    cells = LSTM(
        size,
        size,
        layers=layers,
        bidirectional=bidirectional,
        output="last",
        dropout=dropout,
        rng=keys.next(),
        dtype=dtype,
    )
    last = Dense((2 if bidirectional else 1) * size, classes, rng=keys.next(), dtype=dtype)
    return Sequential(table, cells, *([Dropout(dropout)] if dropout else []), last)


@checked_call
def autoencoder(
    sizes: Sequence[int], activation: Any = "relu", *, seed: int = 0, dtype: Any = np.float32
) -> Sequential:
    """Dense layers down to a few numbers and up again, to give back what they get (Hinton & Salakhutdinov 2006).

    x and y (…, sizes[0]); `net[0]` is the encoder and gives the code, `net[1]` the decoder.

    sizes       [inputs, hidden …, code]; the way up has them in reverse
    activation  between the layers, as in `mlp`; code and output are linear
    seed        what the weights depend on
    dtype       of all arrays

    >>> import clearprop as cl
    >>> cl.nn.autoencoder([784, 64, 8])
    Sequential(
      layers[0].layers[0]  Dense(784 → 64)  weight (784, 64), bias (64,)   50,240
      layers[0].layers[1]  relu
      layers[0].layers[2]  Dense(64 → 8)    weight (64, 8), bias (8,)         520
      layers[1].layers[0]  Dense(8 → 64)    weight (8, 64), bias (64,)        576
      layers[1].layers[1]  relu
      layers[1].layers[2]  Dense(64 → 784)  weight (64, 784), bias (784,)  50,960
      102,296 parameters, float32
    )
    """
    down = mlp(sizes, activation, seed=seed, dtype=dtype)
    up = mlp(list(sizes)[::-1], activation, seed=seed + 1, dtype=dtype)
    return Sequential(down, up)


def _widths(owner: str, widths: Any) -> list[int]:
    """The number of channels of each stage."""
    if not isinstance(widths, (list, tuple)) or not widths:
        raise ArgumentError(
            f"{owner} needs the widths of its stages",
            expected="a list of numbers of channels",
            got=f"widths = {widths!r}",
            where=user_line(),
            try_="widths=[16, 32, 64]",
        )
    return [require_size(owner, f"widths[{i}]", n) for i, n in enumerate(widths)]


def _pair(size: Any) -> tuple[Any, Any]:
    if not isinstance(size, (list, tuple)) or len(size) != 2:
        raise ArgumentError(
            "an image has a height and a width",
            expected="size=(height, width)",
            got=f"size = {size!r}",
            where=user_line(),
            try_="size=(28, 28)",
        )
    return size[0], size[1]
