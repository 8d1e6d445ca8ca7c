"""Writes networks of JAX and Keras as ONNX files, and what they give for some inputs.

    pip install jax jax2onnx==0.17.1 keras==3.15.1 torch==2.13.0 onnxscript && python tests/interop/exported/make.py

writes `jax.onnx`, `keras_dense.onnx`, `keras_images.onnx` and `outputs.npz` beside this file. Keras runs on PyTorch.
"""

import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import jax
import keras
import numpy as np
import onnx
from jax2onnx import to_onnx
from keras import layers

HERE = Path(__file__).parent
RNG = np.random.default_rng(0)
ROWS, IMAGES = RNG.normal(size=(4, 6)).astype(np.float32), RNG.normal(size=(4, 8, 8, 1)).astype(np.float32)


def of_jax():
    """Two dense layers, tanh and softmax between and behind them."""
    w1, w2 = (RNG.normal(size=size).astype(np.float32) for size in ((6, 5), (5, 3)))

    def network(x):
        return jax.nn.softmax(jax.numpy.tanh(x @ w1 + 0.1) @ w2)

    onnx.save(to_onnx(network, inputs=[("rows", 6)]), HERE / "jax.onnx")
    return network(ROWS)


def of_keras(name, size, inputs, *parts):
    """A network of Keras, with running statistics that are not those of a new one."""
    network = keras.Sequential([layers.Input(size), *parts])
    for variable in network.non_trainable_variables:
        variable.assign(RNG.uniform(0.5, 1.5, variable.shape) if "variance" in variable.path else variable + 0.1)
    outputs = network.predict(inputs, verbose=0)  # before it is exported: Keras exports what was called
    network.export(HERE / f"{name}.onnx", format="onnx", verbose=False)
    return outputs


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    convolution = layers.Conv2D(4, 3, padding="same", activation="relu")
    np.savez(
        HERE / "outputs.npz",
        jax_in=ROWS,
        jax=of_jax(),
        keras_dense_in=ROWS,
        keras_dense=of_keras(
            "keras_dense", (6,), ROWS, layers.Dense(5, activation="gelu"), layers.BatchNormalization(), layers.Dense(3)
        ),
        keras_images_in=IMAGES,
        keras_images=of_keras(
            "keras_images", (8, 8, 1), IMAGES, convolution, layers.BatchNormalization(), layers.MaxPooling2D(),
            layers.Flatten(), layers.Dense(3, activation="softmax"),
        ),
    )  # fmt: skip
