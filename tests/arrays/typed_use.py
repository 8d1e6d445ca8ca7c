"""Typical code of a user; type checkers read it, nobody runs it."""

from collections.abc import Callable
from typing import Any, assert_type

import numpy as np

import clearprop as cl
from clearprop import Tensor, nn, optim

x = cl.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)

# operators, methods, functions
assert_type(2 * x + 1, Tensor)
assert_type(1 - x / 2, Tensor)
assert_type(-x // 2, Tensor)
assert_type(x @ x.T, Tensor)
assert_type(x[0], Tensor)
assert_type(x > 0, Tensor)
assert_type(x == 0, Tensor)
assert_type((x > 0) & (x < 3), Tensor)
assert_type(x.reshape(4).sum(), Tensor)
assert_type(x.mean(axis=0), Tensor)
assert_type(x.astype("float32"), Tensor)
assert_type(x.detach(), Tensor)
assert_type(cl.einsum("ij,jk->ik", x, x), Tensor)
assert_type(cl.sum(cl.relu(x @ x), axis=0), Tensor)
assert_type(cl.histogram(x, 3).counts, Tensor)
assert_type(cl.unique_all(x).inverse_indices, Tensor)
assert_type(cl.topk(x, 1), tuple[Tensor, ...])
values: np.ndarray[Any, Any] = np.asarray(cl.linalg.eigh(x).eigenvalues)

# namespaces
assert_type(cl.linalg.solve(x, x), Tensor)
assert_type(cl.linalg.svd(x).S, Tensor)
assert_type(cl.linalg.qr(x).R, Tensor)
assert_type(cl.fft.rfft(x), Tensor)
key = cl.random.key(0)
assert_type(key, Tensor)
assert_type(cl.random.split(key), list[Tensor])
assert_type(cl.random.fold_in(key, 1), Tensor)
assert_type(cl.random.normal(key, (2,)), Tensor)
assert_type(cl.random.gamma(key, 2.0), Tensor)
assert_type(cl.random.categorical(key, x), Tensor)


# derivatives and compiling keep the function's parameters
def squares(w: Tensor, scale: float = 1.0) -> Tensor:
    return cl.sum(w**2) * scale


slope: Callable[[Tensor, float], Any] = cl.grad(squares)
value, gradient = cl.value_and_grad(squares)(x, scale=2.0)
assert_type(cl.compile(squares)(x), Tensor)
assert_type(cl.compile(executor="numpy")(squares)(x, scale=2.0), Tensor)
rows: Any = cl.jacobian(squares)(x)
curvature: Any = cl.hessian(squares)(x)


@cl.compile
def halved(w: Tensor) -> Tensor:
    return w / 2


assert_type(halved(x), Tensor)
assert_type(halved.cache_info().hits, int)

# networks, optimizers, training
model = nn.mlp([2, 8, 1], "tanh", seed=0)
assert_type(model, nn.Sequential)
assert_type(nn.Dense(2, 3).weight, Tensor)
assert_type(nn.parameter_count(model), int)
assert_type(nn.summary(model), str)
layers = [nn.Conv2d(1, 4, 3), nn.LSTM(4, 8), nn.Embedding(10, 4)]
loss: Any = nn.mse(model(x), np.zeros((2, 1)))
optimizer = optim.adam(0.01)
state = optimizer.init(model)
updates, state = optimizer.update(model, state, model)
moved: Any = optim.apply_updates(model, updates)
assert_type(cl.fit(model, (np.zeros((8, 2)), np.zeros(8)), optimizer=optimizer, epochs=1), cl.Run)


# functions that are loaded when they are first asked for
assert_type(cl.gammainc(2.0, x), Tensor)
assert_type(cl.polygamma(x, order=2), Tensor)
assert_type(cl.ndtri(cl.sigmoid(x)), Tensor)
assert_type(cl.sort(x, axis=0, descending=True), Tensor)
assert_type(cl.median(x, axis=-1, keepdims=True), Tensor)
assert_type(cl.quantile(x, 0.25), Tensor)
assert_type(cl.nanmean(x), Tensor)
assert_type(cl.cummax(x, axis=0), Tensor)
assert_type(cl.logcumsumexp(x), Tensor)
assert_type(cl.segment_sum(x, np.array([0, 1]), size=2), Tensor)
assert_type(cl.searchsorted(x[0], x[1]), Tensor)
assert_type(cl.unique_values(x), Tensor)
assert_type(cl.pad(x, ((1, 1), (0, 0)), mode="reflect"), Tensor)
assert_type(cl.meshgrid(x[0], x[1]), tuple[Tensor, ...])
assert_type(cl.split(x, 2), tuple[Tensor, ...])
assert_type(cl.tile(x, (2, 1)), Tensor)
assert_type(cl.where(x > 0, x, 0.0), Tensor)
assert_type(cl.linspace(0.0, 1.0, 5), Tensor)
assert_type(cl.kron(x, x), Tensor)
assert_type(cl.conv(cl.zeros((1, 8, 3)), cl.zeros((3, 3, 4)), padding="same"), Tensor)

# entries written into a new array
assert_type(x.at[0].set(0.0), Tensor)
assert_type(x.at[..., 1].add(x[0]), Tensor)
assert_type(x.at[x > 0].multiply(2.0), Tensor)
assert_type(x.at[[0, 1], 0].get(), Tensor)


# derivatives of one's own, loops and branches
def doubled_slope(g: Tensor) -> Tensor:
    return 2.0 * g


@cl.custom_rule(w=doubled_slope)
def doubled(w: Tensor) -> Tensor:
    return 2.0 * w


def step(carry: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
    return carry + row, carry * row


last, all_rows = cl.scan(step, cl.zeros(2), x)
powers: Any = cl.fori_loop(0, 3, lambda i, h: h * 2.0, x)
reached: Any = cl.while_loop(lambda h: cl.sum(h) < 10.0, lambda h: h * 2.0, x)
either: Any = cl.cond(cl.sum(x) > 0, halved, doubled, x)
root: Any = cl.root(lambda z: z * z - 2.0, cl.tensor(1.0))
each: Any = cl.vmap(squares)(x)
tangent: Any = cl.jvp(squares, (x,), (x,))[1]
product: Any = cl.hvp(squares, (x,), (x,))
kept: Any = cl.remat(squares)(x)

# explanations and minimisers
entry: Any = cl.explain(squares, wrt=0, args=(x,), index=(0, 0))
found = optim.minimize(lambda w: cl.sum((w - 1.0) ** 2), np.zeros(3), optim.lbfgs())
assert_type(found.converged, bool)
assert_type(found.evaluations.values, int)

# estimators of scikit-learn's form
from clearprop.sklearn import MLPClassifier, MLPRegressor  # noqa: E402 - beside what is said of it

classifier = MLPClassifier((8,), random_state=0).fit(np.zeros((8, 2)), np.zeros(8))
classes: Any = classifier.predict(np.zeros((2, 2)))
shares: Any = classifier.predict_proba(np.zeros((2, 2)))
amounts: Any = MLPRegressor().fit(np.zeros((8, 2)), np.zeros(8)).predict(np.zeros((2, 2)))
