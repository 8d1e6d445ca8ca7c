"""A small convolutional network that learns to read digits.

    python examples/images.py            # 8×8 digits of scikit-learn, a few seconds
    python examples/images.py mnist.npz  # 28×28 digits, or images of the same form, minutes on two cores

The file holds `x_train, y_train, x_test, y_test`, images `(rows, height, width)` of bytes, labels from 0: the form in
which Keras offers MNIST (`keras.datasets.mnist`).
"""

import sys
import time

import numpy as np
from sklearn.datasets import load_digits

import clearprop as cl


def images(path=None):
    """`(x, y), (x_test, y_test)`: from a file, or 1200 and 597 of scikit-learn's digits."""
    if path is not None:
        with np.load(path) as file:
            x, y, x_test, y_test = (file[key] for key in ("x_train", "y_train", "x_test", "y_test"))
        return (scaled(x, 255), y), (scaled(x_test, 255), y_test)
    x, y = load_digits(return_X_y=True)
    x = scaled(x.reshape(-1, 8, 8), 16)
    return (x[:1200], y[:1200]), (x[1200:], y[1200:])


def scaled(x, highest):
    """Numbers from 0 to 1, and an axis for the only channel."""
    return (x / highest).astype(np.float32)[..., None]


def network(size, classes, kernel=3):
    """Convolution, pool, convolution, pool, and a dense layer of what is left: a quarter along each axis."""
    keys = cl.random.split(cl.random.key(0), 3)
    return cl.nn.Sequential(
        cl.nn.Conv2d(1, 16, kernel, padding="same", rng=keys[0]),
        cl.nn.MaxPool(2),
        "relu",  # behind the pool, where there is a quarter as much of it: the largest of a window stays the largest
        cl.nn.Conv2d(16, 32, kernel, padding="same", rng=keys[1]),
        cl.nn.MaxPool(2),
        "relu",
        cl.nn.Flatten(),
        cl.nn.Dropout(0.3),
        cl.nn.Dense((size // 4) ** 2 * 32, classes, rng=keys[2]),
    )


if __name__ == "__main__":
    file = sys.argv[1] if len(sys.argv) > 1 else None
    train, test = images(file)
    epochs, batch, kernel, peak = (10, 128, 5, 3e-3) if file else (8, 32, 3, 1e-2)
    model = network(train[0].shape[1], int(train[1].max()) + 1, kernel)
    rate = cl.optim.one_cycle(peak, steps=epochs * -(-len(train[0]) // batch))
    start = time.perf_counter()
    run = cl.fit(model, train, optimizer=cl.optim.adamw(rate), metrics=["accuracy"], epochs=epochs, batch_size=batch)
    print(run)
    print(f"{time.perf_counter() - start:.0f} s; new images: {run.evaluate(*test)}")
