import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.digits.common import BATCH, GOAL, MOST, RATE, arguments, done, initial

data, seed = arguments()
x, y, xv, yv = (jnp.asarray(data[n]) for n in ("x_train", "y_train", "x_val", "y_val"))


def logits(layers, x):
    for w, b in layers[:-1]:
        x = jax.nn.relu(x @ w + b)
    return x @ layers[-1][0] + layers[-1][1]


def loss(layers, x, y):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits(layers, x)), y[:, None], 1))


def step(carry, rows):
    layers, t, m, v = carry
    g = jax.grad(loss)(layers, x[rows], y[rows])
    t = t + 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
    c1, c2 = RATE / (1 - 0.9**t), 1 / (1 - 0.999**t)
    return (jax.tree.map(lambda p, m, v: p - c1 * m / (jnp.sqrt(v * c2) + 1e-8), layers, m, v), t, m, v), None


@jax.jit
def epoch_of(carry, order):
    carry, _ = jax.lax.scan(step, carry, order)
    return carry, jnp.mean(logits(carry[0], xv).argmax(1) == yv)


layers = jax.tree.map(jnp.asarray, initial(seed))
carry = (layers, jnp.float32(0), jax.tree.map(jnp.zeros_like, layers), jax.tree.map(jnp.zeros_like, layers))
r = np.random.default_rng(seed)
for epoch in range(1, MOST + 1):  # noqa: B007 - how far it came is what is reported
    carry, accuracy = epoch_of(carry, r.permutation(len(x)).astype(np.int32).reshape(-1, BATCH))
    if accuracy >= GOAL:
        break
done(epoch, accuracy)
