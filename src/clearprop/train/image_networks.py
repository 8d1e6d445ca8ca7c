"""Networks for images, as settings describe them: how they are changed in training, and convolutions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from clearprop import nn
from clearprop.data.image_shape import image_shape
from clearprop.data.readers.reading import words_of
from clearprop.errors import ArgumentError, ClearpropError
from clearprop.runs.settings import Settings

FEW = 20_000
"""Below FEW images of the training part, batches are smaller and epochs more."""
SHIFT = 2
"""By so many pixels images are shifted where nothing else is said."""


def network_for_images(settings: Settings, columns: Sequence[str], outputs: int, source: str) -> nn.Sequential:
    """The convolutional network of the settings for images whose pixels are these columns.

    Raises DataError for columns that are no images, ArgumentError for settings that do not suit them.
    """
    if settings.pieces:
        raise ArgumentError(
            "--pieces cuts the numbers of a table",
            expected="--model conv without --pieces",
            got=f"--pieces {settings.pieces}",
            where="--pieces",
            try_="--model mlp, or no --pieces",
        )
    height, width, channels = image_shape(columns, source)
    try:
        network = nn.convnet(
            channels,
            outputs,
            size=(height, width),
            widths=settings.hidden,
            activation=settings.activation,
            dropout=settings.dropout,
            seed=settings.own_seed,
        )
    except ClearpropError as problem:
        raise ArgumentError(
            "these convolutions do not suit images of this size",
            expected=str(problem.expected),
            got=f"--hidden {','.join(map(str, settings.hidden))}, and images of {height} × {width}",
            where="--hidden",
            try_="fewer sizes, such as --hidden 16",
        ) from None
    return nn.Sequential(nn.Unflatten((height, width, channels)), *augmentations(settings.augment), *network.layers)


def augmentations(text: str | None) -> Iterator[Any]:
    """The layers that change images in training: `shift`, `shift:3`, `flip`.  Raises ArgumentError for anything else.

    >>> [layer.label() for layer in augmentations("shift:3, flip")]
    ['RandomShift(by=3)', 'RandomFlip(rate=0.5, axis=-2)']
    """
    for word in words_of(text):
        name, sign, pixels = word.partition(":")
        if name == "flip" and not sign:
            yield nn.RandomFlip()
        elif name == "shift" and (not sign or (pixels.isdecimal() and len(pixels) < 4 and int(pixels) > 0)):
            yield nn.RandomShift(int(pixels) if sign else SHIFT)
        else:
            raise ArgumentError(
                f"--augment cannot be {word!r}",
                expected="shift, shift:PIXELS, flip, or several with commas between them",
                got=repr(word),
                where="--augment",
                try_="--augment shift:2,flip",
            )


def images_recipe(rows: int) -> Settings:
    """What suits so many images of the training part: convolutions, and a rate that rises and falls.

    >>> images_recipe(60_000).hidden, images_recipe(1_000).epochs
    ((32, 64), 30)
    """
    few = rows < FEW
    return Settings(
        hidden=(32, 64),
        activation="relu",
        dropout=0.3,
        optimizer="adamw",
        lr=3e-3 if few else 5e-3,
        schedule="one_cycle",
        epochs=30 if few else 10,
        batch_size=32 if few else 128,
    )
