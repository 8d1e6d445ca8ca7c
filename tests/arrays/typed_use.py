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
