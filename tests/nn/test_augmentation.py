"""Images that training changes: each could be made by hand, is drawn evenly, and the same again from the same key."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import ClearpropError

X = np.random.default_rng(0).normal(size=(400, 4, 5, 2)).astype(np.float32)


def parts(x, height, width, padding, mode):
    """Every part of an image with zeros around it, or its edge, by the place of its corner."""
    wide = np.pad(x, ((padding, padding), (padding, padding), (0, 0)), mode=mode)
    rows, columns = wide.shape[0] - height + 1, wide.shape[1] - width + 1
    return {(i, j): wide[i : i + height, j : j + width] for i in range(rows) for j in range(columns)}


@pytest.mark.parametrize(
    ("layer", "size", "padding"),
    [
        (cl.nn.RandomShift(1), (4, 5), 1),
        (cl.nn.RandomShift(3), (4, 5), 3),
        (cl.nn.RandomCrop(3), (3, 3), 0),
        (cl.nn.RandomCrop((4, 2), padding=1), (4, 2), 1),
        (cl.nn.RandomCrop((4, 5)), (4, 5), 0),
    ],
    ids=str,
)
def test_a_part_of_each_image_stands_at_a_place_of_its_own(layer, size, padding):
    y = np.asarray(cl.nn.apply(layer, X, rng=0)[0])
    assert y.shape == (400, *size, 2) and y.dtype == X.dtype
    places = []
    for image, got in zip(X, y, strict=True):
        known = parts(image, *size, padding, "edge" if isinstance(layer, cl.nn.RandomShift) else "constant")
        places.append([place for place, part in known.items() if np.array_equal(part, got)])
        assert places[-1], "no part of this image"
    counts = {place: sum(place in found for found in places) for place in known}
    expected = 400 / len(known)
    assert all(abs(count - expected) < 5 * np.sqrt(expected) + 1 for count in counts.values())


@pytest.mark.parametrize("dtype", [np.uint8, np.float64, bool])
def test_images_keep_their_dtype(dtype):
    for layer in (cl.nn.RandomFlip(), cl.nn.RandomShift(1), cl.nn.RandomCrop(2, padding=1)):
        assert cl.nn.apply(layer, X[:2].astype(dtype), rng=0)[0].dtype == dtype


@pytest.mark.parametrize("axis", [-2, -3])
def test_a_flip_turns_so_many(axis):
    y = np.asarray(cl.nn.apply(cl.nn.RandomFlip(0.25, axis), X, rng=1)[0])
    turned = [np.array_equal(a, np.flip(b, axis)) for a, b in zip(y, X, strict=True)]
    assert all(t or np.array_equal(a, b) for t, a, b in zip(turned, y, X, strict=True))
    assert abs(np.mean(turned) - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 400)


@pytest.mark.parametrize(
    "layer", [cl.nn.RandomFlip(), cl.nn.RandomShift(), cl.nn.Augment(lambda key, x: 0 * x)], ids=str
)
def test_in_inference_nothing_happens_and_the_middle_is_cut(layer):
    np.testing.assert_array_equal(np.asarray(layer(X)), X)
    np.testing.assert_array_equal(np.asarray(cl.nn.RandomCrop(2, padding=1)(X)), X[:, 1:3, 1:3])


def test_a_training_draws_anew_in_each_step_and_the_same_again():
    """Natively as eagerly, and a step that is replayed has the images that it had."""
    model = cl.nn.Sequential(
        cl.nn.RandomFlip(), cl.nn.RandomCrop(3, padding=1), cl.nn.Augment(noisy), cl.nn.Flatten(), cl.nn.Dense(18, 2)
    )
    y = (X.mean(axis=(1, 2, 3)) > 0).astype(int)
    run, again = (cl.fit(model, (X[:32], y[:32]), epochs=3, batch_size=16, progress=False) for _ in range(2))
    assert run.replay(run.steps).digest == again.replay(again.steps).digest
    first, second = (np.asarray(cl.nn.apply(model[0:2], X, rng=cl.random.key(k))[0]) for k in (0, 1))
    assert (first != second).any()


def noisy(key, x):
    return x + 0.1 * cl.random.normal(key, x.shape, dtype=np.float32)


WRONG = {
    "no image": (lambda: cl.nn.RandomFlip()(np.ones((4, 5))), "shape (…, height, width, channels)"),
    "small images": (lambda: cl.nn.RandomCrop(6)(X), "images of 6 × 6 at the least"),
    "axis": (lambda: cl.nn.RandomFlip(axis=-1), "axis = -2, the width, or -3, the height"),
    "rate": (lambda: cl.nn.RandomFlip(1.5), "rate"),
    "three sizes": (lambda: cl.nn.RandomCrop((1, 2, 3)), "a height and a width"),
    "padding": (lambda: cl.nn.RandomCrop(2, padding=-1), "padding"),
    "no shift": (lambda: cl.nn.RandomShift(0), "by"),
    "no function": (lambda: cl.nn.Augment(3), "Augment needs a function"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_is_refused(what):
    call, words = WRONG[what]
    with pytest.raises(ClearpropError) as caught:
        call()
    assert words in str(caught.value) and "where     test_augmentation.py:" in str(caught.value)
