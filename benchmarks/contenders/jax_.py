"""JAX: `lax.scan` over steps and `jit` per step, with donated buffers; Adam written out, for XLA to fuse."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.flatten_util
import numpy as np

from benchmarks import loops
from benchmarks import workloads as w
from benchmarks.chains import arrays
from benchmarks.contenders import Door, Repeated, Runner, chain_of, jax_layers

jnp = jax.numpy
VERSION = jax.__version__
ENGINE = ["XLA's own (Eigen, oneDNN)"]
B1, B2, EPS = 0.9, 0.999, 1e-8


def prepare(row: w.Workload) -> Any:
    if row.kind in (w.PAIR_CALL, w.CHAIN, w.LAYER, w.NET):
        return (None, None, None, None)
    if row.dtype == "float64":
        jax.config.update("jax_enable_x64", True)
    if row.kind == w.SCAN:
        return [jnp.asarray(a) for a in loops.arguments(row)]
    return *w.dataset(row), w.initial(row), w.order(row)


def build(form: str, row: w.Workload, prepared: Any) -> Runner:
    if row.kind == w.LAYER:
        return jax_layers.Layer(row)
    if row.kind == w.NET:
        return Door(row, jax_layers.epochs_of(form, row))
    if row.kind in w.DOORS:
        return Door(row, DOORS[form](row, *prepared[:3]))
    if row.kind == w.CHAIN:
        f, given = jax.jit(partial(chain_of(row).f, jnp)), [jnp.asarray(a) for a in arrays(row.dtype)]
        return Repeated(row, lambda: f(*given), jax.block_until_ready)
    if row.kind == w.SCAN:
        return Loop(row, prepared)
    forms: dict[str, Any] = {"scan": Scan, "step": Step, "jit": Jitted, "call": Call}
    return forms[form](row, *prepared)


# ---------------------------------------------------------------------------------------------------- models
def parameters(row: w.Workload, weights: Any) -> list[dict[str, Any]]:
    layers = [{"w": jnp.asarray(a), "b": jnp.asarray(b)} for a, b in weights]
    for layer in layers[:-1] if row.layer_norm else []:
        layer |= {"scale": jnp.ones_like(layer["b"]), "offset": jnp.zeros_like(layer["b"])}
    return layers


ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh, "gelu": lambda x: jax.nn.gelu(x, approximate=False)}


def forward(row: w.Workload, layers: Any, x: Any, key: Any = None) -> Any:
    for i, layer in enumerate(layers[:-1]):
        x = x @ layer["w"] + layer["b"]
        if row.layer_norm:
            c = x - jnp.mean(x, axis=-1, keepdims=True)
            x = layer["scale"] * (c / jnp.sqrt(jnp.mean(c * c, axis=-1, keepdims=True) + 1e-5)) + layer["offset"]
        x = ACTIVATIONS[row.activation](x)
        if row.dropout:
            kept = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - row.dropout, x.shape)
            x = jnp.where(kept, x / (1 - row.dropout), 0.0)
    return x @ layers[-1]["w"] + layers[-1]["b"]


def loss_of(row: w.Workload, layers: Any, x: Any, y: Any, key: Any = None) -> Any:
    out = forward(row, layers, x, key)
    if row.loss == "mse":
        return jnp.mean((out - y) ** 2)
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(out), y[..., None], -1))


def as_targets(row: w.Workload, y: Any) -> Any:
    return jnp.asarray(y.astype(np.int32) if row.loss != "mse" else y)


def train_step(row: w.Workload, carry: Any, x: Any, y: Any) -> Any:
    """One step; the carry is (parameters, t, m, v)."""
    layers, t, m, v = carry
    key = jax.random.fold_in(jax.random.key(0), t) if row.dropout else None
    value, g = jax.value_and_grad(lambda p: loss_of(row, p, x, y, key))(layers)
    if row.clip:
        norm = jnp.sqrt(sum(jnp.sum(a * a) for a in jax.tree.leaves(g)))
        g = jax.tree.map(lambda a: a * (row.clip / jnp.maximum(norm, row.clip)), g)
    t = t + 1
    m = jax.tree.map(lambda m, g: B1 * m + (1 - B1) * g, m, g)
    v = jax.tree.map(lambda v, g: B2 * v + (1 - B2) * g * g, v, g)
    c1, c2 = row.rate / (1 - B1 ** t.astype(row.dtype)), 1 / (1 - B2 ** t.astype(row.dtype))
    keep = 1 - row.rate * row.weight_decay
    layers = jax.tree.map(lambda p, m, v: keep * p - c1 * m / (jnp.sqrt(v * c2) + EPS), layers, m, v)
    return (layers, t, m, v), value


class Training(Runner):
    def __init__(self, row: w.Workload, x: Any, y: Any, weights: Any, order: Any) -> None:
        self.row = row
        self.x, self.y = jnp.asarray(x), as_targets(row, y)
        self.order = jnp.asarray(order.astype(np.int32))
        layers = parameters(row, weights)
        zeros = [jax.tree.map(jnp.zeros_like, layers) for _ in range(2)]
        self.carry: Any = (layers, jnp.int32(0), *zeros)

    def first(self) -> None:
        self.check = float(self.run())

    def run(self) -> Any:
        raise NotImplementedError

    def call(self) -> None:
        self.run()


class Scan(Training):
    """Gather and step inside the scan; one call is the whole order."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)

        def epoch(carry: Any, x: Any, y: Any, order: Any) -> Any:
            return jax.lax.scan(lambda c, rows: train_step(self.row, c, x[rows], y[rows]), carry, order)

        self.epoch = jax.jit(epoch, donate_argnums=0)

    def run(self) -> Any:
        self.carry, losses = self.epoch(self.carry, self.x, self.y, self.order)
        return jax.block_until_ready(losses)[-1]


class Step(Training):
    """One jitted call per step; it gathers its own batch, by the number of the step in the carry."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        steps = len(self.order)

        def step(carry: Any, x: Any, y: Any, order: Any) -> Any:
            rows = order[carry[1] % steps]
            return train_step(self.row, carry, x[rows], y[rows])

        self.step = jax.jit(step, donate_argnums=0)

    def run(self) -> Any:
        carry, value = self.carry, None
        for _ in range(len(self.order)):
            carry, value = self.step(carry, self.x, self.y, self.order)
        self.carry = carry
        return jax.block_until_ready(value)


def scan_epochs(row: w.Workload, x: Any, y: Any, weights: Any) -> Any:
    """Its best form: one call an epoch; rows are ordered by NumPy, which sorts nothing."""
    start, x, y = parameters(row, weights), jnp.asarray(x), as_targets(row, y)

    def epoch(carry: Any, x: Any, y: Any, order: Any) -> Any:
        carry, losses = jax.lax.scan(lambda c, rows: train_step(row, c, x[rows], y[rows]), carry, order)
        return carry, jnp.mean(losses)

    epoch = jax.jit(epoch, donate_argnums=0)

    def train(epochs: int) -> float:
        zeros = [jax.tree.map(jnp.zeros_like, start) for _ in range(2)]
        carry, draw = (jax.tree.map(jnp.copy, start), jnp.int32(0), *zeros), np.random.default_rng(0)
        for _ in range(epochs):
            order = draw.permutation(row.rows).astype(np.int32).reshape(-1, row.batch)
            carry, value = epoch(carry, x, y, order)
            loss = float(value)
        return loss

    return train


def optax_loop(row: w.Workload, x: Any, y: Any, weights: Any) -> Any:
    """As its guides write it: a jitted step with optax, batches of NumPy arrays."""
    import optax

    y = np.asarray(as_targets(row, y))
    rule = optax.adam(row.rate)
    if row.optimizer == "adamw":
        rule = optax.adamw(row.rate, weight_decay=row.weight_decay)
    if row.clip:
        rule = optax.chain(optax.clip_by_global_norm(row.clip), rule)
    start, root = parameters(row, weights), jax.random.key(0)

    def step(layers: Any, state: Any, count: Any, x: Any, y: Any) -> Any:
        key = jax.random.fold_in(root, count) if row.dropout else None
        value, grads = jax.value_and_grad(lambda p: loss_of(row, p, x, y, key))(layers)
        updates, state = rule.update(grads, state, layers)
        return optax.apply_updates(layers, updates), state, value

    step = jax.jit(step, donate_argnums=(0, 1))

    def train(epochs: int) -> float:
        layers, draw, count = jax.tree.map(jnp.copy, start), np.random.default_rng(0), 0
        state = rule.init(layers)
        for _ in range(epochs):
            losses = []
            for rows in draw.permutation(row.rows).reshape(-1, row.batch):
                layers, state, value = step(layers, state, count, x[rows], y[rows])
                losses.append(value)
                count += 1
            loss = float(sum(map(float, losses)) / len(losses))
        return loss

    return train


DOORS: dict[str, Any] = {"fit": scan_epochs, "optax": optax_loop}


class Call(Runner):
    """A jitted step with donated state, or a jitted function of two small arrays, called again and again."""

    def __init__(self, row: w.Workload, x: Any, y: Any, weights: Any, order: Any) -> None:
        self.steps = row.steps
        if row.kind == w.PAIR_CALL:
            f, pair = jax.jit(lambda x, y: x * y + x), [jnp.asarray(a) for a in w.PAIR]
            self.next = lambda carry: (carry, f(*pair))
            self.carry: Any = None
            return
        step = jax.jit(lambda carry, x, y: train_step(row, carry, x, y), donate_argnums=0)
        batch = jnp.asarray(x[order[0]]), as_targets(row, y[order[0]])
        layers = parameters(row, weights)
        self.next = lambda carry: step(carry, *batch)
        self.carry = (layers, jnp.int32(0), *(jax.tree.map(jnp.zeros_like, layers) for _ in range(2)))

    def call(self) -> None:
        for _ in range(self.steps):
            self.carry, value = self.next(self.carry)
        self.check = float(jnp.sum(value))


class Loop(Runner):
    """A jitted loop of fixed arguments; `check` is the sum of squares of what it returns."""

    scan, tanh, log, mean = map(staticmethod, (jax.lax.scan, jnp.tanh, jnp.log, jnp.mean))

    def __init__(self, row: w.Workload, given: Any) -> None:
        program, gradient = loops.program_of(row)
        f = partial(program, self)
        self.f, self.given = jax.jit(jax.grad(f) if gradient else f), given

    def first(self) -> None:
        self.check = float(jnp.sum(jnp.square(self.f(*self.given))))

    def call(self) -> None:
        jax.block_until_ready(self.f(*self.given))


class Jitted(Runner):
    """Second derivatives and per-example gradients of fixed arguments."""

    def __init__(self, row: w.Workload, x: Any, y: Any, weights: Any, order: Any) -> None:
        layers, x, y = parameters(row, weights), jnp.asarray(x), jnp.asarray(y)
        self.f, self.args = getattr(self, row.kind)(row, layers, x, y)

    def hvp(self, row: w.Workload, layers: Any, x: Any, y: Any) -> Any:
        def product(p: Any, vector: Any, x: Any, y: Any) -> Any:
            return jax.jvp(jax.grad(lambda q: loss_of(row, q, x, y)), (p,), (vector,))[1]

        return jax.jit(product), (layers, parameters(row, w.direction(row)), x, y)

    def hessian(self, row: w.Workload, layers: Any, x: Any, y: Any) -> Any:
        flat, unravel = jax.flatten_util.ravel_pytree(layers)
        return jax.jit(lambda p, x, y: jax.hessian(lambda q: loss_of(row, unravel(q), x, y))(p)), (flat, x, y)

    def per_example(self, row: w.Workload, layers: Any, x: Any, y: Any) -> Any:
        one = jax.grad(lambda p, x, y: loss_of(row, p, x, y))
        return jax.jit(jax.vmap(one, in_axes=(None, 0, 0))), (layers, x, y)

    def first(self) -> None:
        leaves = jax.tree.leaves(self.f(*self.args))
        self.check = float(sum(np.sum(np.square(np.asarray(v), dtype=np.float64)) for v in leaves))

    def call(self) -> None:
        jax.block_until_ready(self.f(*self.args))
