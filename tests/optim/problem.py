"""One noisy problem that every optimizer is run on, and the loop that runs it."""

import numpy as np

import clearprop as cl

STEPS = 100
_rng = np.random.default_rng(3)
START = {"weight": _rng.normal(size=(3, 2)), "bias": _rng.normal(size=2), "scale": np.array(0.7)}
_NOISE = {k: _rng.normal(size=(STEPS + 1, *np.shape(v))) for k, v in START.items()}


def gradient(params, t):
    """∇ of ½‖p‖⁴-like wells plus the noise of step t; changes sign, and is far from constant in size."""
    return {k: np.sin(3 * np.asarray(p)) + 0.2 * np.asarray(p) ** 3 + 0.3 * _NOISE[k][t] for k, p in params.items()}


def run(opt, start=None, steps=STEPS, dtype=np.float64):
    """The parameters and the state after each step."""
    params = {k: cl.tensor(v, dtype=dtype) for k, v in (start or START).items()}
    state = opt.init(params)
    for t in range(1, steps + 1):
        grads = {k: g.astype(dtype) for k, g in gradient(params, t).items()}
        updates, state = opt.update(grads, state, params)
        params = cl.optim.apply_updates(params, updates)
        yield params, state


def bits(tree):
    """Every array of a tree as bytes, to compare exactly."""
    from clearprop.autodiff.trees import flatten

    return [np.asarray(v).tobytes() for v in flatten(tree)[0]]


def loss(params, t):
    """The function whose gradient `gradient(params, t)` is, in the library's functions."""
    parts = [
        cl.sum(-cl.cos(3 * p) / 3 + 0.05 * p**4 + np.asarray(0.3 * _NOISE[k][t], p.dtype) * p)
        for k, p in params.items()
    ]
    return sum(parts[1:], parts[0])


def advance(opt, params, state, t):
    """The parameters and the state after step t, with everything passed that a rule may need."""
    dtype = next(iter(params.values())).dtype
    grads = {k: g.astype(dtype) for k, g in gradient(params, t).items()}
    updates, state = opt.update(grads, state, params, value=loss(params, t), f=lambda p: loss(p, t))
    return cl.optim.apply_updates(params, updates), state


def run_supplied(opt, steps=STEPS, dtype=np.float64):
    """Like `run`, for rules that need the loss."""
    params = {k: cl.tensor(v, dtype=dtype) for k, v in START.items()}
    state = opt.init(params)
    for t in range(1, steps + 1):
        params, state = advance(opt, params, state, t)
        yield params, state
