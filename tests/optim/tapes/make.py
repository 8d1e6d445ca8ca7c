"""Records what PyTorch's and optax's optimizers do with given gradients: 100 steps in float64.

    pip install torch==2.13.0 optax==0.2.8 numpy && python tests/optim/tapes/make.py

writes `peers.npz` beside this file: the start, the gradients, and per rule the parameters after every step.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from optax import contrib

jax.config.update("jax_enable_x64", True)
torch.set_default_dtype(torch.float64)  # NAdam keeps its product of momenta in the default dtype
STEPS, SHAPES = 100, {"bias": (1,), "weight": (2, 2)}


def gradients():
    """Noise around a slowly turning direction, its size changing a hundredfold: signs flip, and averages matter."""
    rng = np.random.default_rng(2024)
    start = {k: rng.normal(size=s) for k, s in SHAPES.items()}
    phase = {k: rng.uniform(0, 6, size=s) for k, s in SHAPES.items()}
    size = 10.0 ** (np.sin(np.arange(STEPS) / 9) - 1)
    steps = {
        k: np.stack([size[t] * (np.sin(t / 15 + phase[k]) + 0.5 * rng.normal(size=s)) for t in range(STEPS)])
        for k, s in SHAPES.items()
    }
    return start, steps


def with_torch(make, schedule=None):
    """The parameters after every step of a torch optimizer."""
    start, steps = gradients()
    params = {k: torch.nn.Parameter(torch.tensor(v)) for k, v in start.items()}
    opt = make(params.values())
    rate = schedule(opt) if schedule else None
    path = {k: [] for k in SHAPES}
    for t in range(STEPS):
        for k, p in params.items():
            p.grad = torch.tensor(steps[k][t])
        opt.step()
        if rate is not None and t < STEPS - 1:
            rate.step()
        for k, p in params.items():
            path[k].append(p.detach().numpy().copy())
    return {k: np.stack(v) for k, v in path.items()}


def with_optax(opt, wrap=lambda p: p, unwrap=lambda p: p):
    """The parameters after every step of an optax transformation."""
    start, steps = gradients()
    params = wrap({k: jnp.asarray(v) for k, v in start.items()})
    state, path = opt.init(params), {k: [] for k in SHAPES}
    for t in range(STEPS):
        updates, state = opt.update({k: jnp.asarray(s[t]) for k, s in steps.items()}, state, params)
        params = optax.apply_updates(params, updates)
        for k, p in unwrap(params).items():
            path[k].append(np.asarray(p))
    return {k: np.stack(v) for k, v in path.items()}


O = torch.optim  # noqa: E741 - short, for the table below
S = torch.optim.lr_scheduler
TORCH = {
    "sgd": lambda p: O.SGD(p, 0.05),
    "momentum": lambda p: O.SGD(p, 0.05, momentum=0.9, weight_decay=0.1),
    "nesterov": lambda p: O.SGD(p, 0.05, momentum=0.9, nesterov=True),
    "adam": lambda p: O.Adam(p, 0.05),
    "amsgrad": lambda p: O.Adam(p, 0.05, betas=(0.8, 0.9), amsgrad=True),
    "adamw": lambda p: O.AdamW(p, 0.05, weight_decay=0.1),
    "nadam": lambda p: O.NAdam(p, 0.05),
    "radam": lambda p: O.RAdam(p, 0.05, eps=0.0),
    "rmsprop": lambda p: O.RMSprop(p, 0.05, alpha=0.9),
    "rmsprop centered": lambda p: O.RMSprop(p, 0.05, alpha=0.95, momentum=0.5, centered=True),
    "adagrad": lambda p: O.Adagrad(p, 0.1),
    "adadelta": lambda p: O.Adadelta(p, 0.5, rho=0.95, eps=1e-5, weight_decay=0.1),
    "adamax": lambda p: O.Adamax(p, 0.05, betas=(0.8, 0.95), weight_decay=0.1),
    "rprop": lambda p: O.Rprop(p, 0.05),
}
SCHEDULED = {
    "cosine": lambda o: S.CosineAnnealingLR(o, 120),
    "step": lambda o: S.StepLR(o, 30, 0.1),
    "exponential": lambda o: S.ExponentialLR(o, 0.97),
    "one_cycle": lambda o: S.OneCycleLR(o, 0.1, total_steps=STEPS, cycle_momentum=False),
}
OPTAX = {
    "sgd": optax.sgd(0.05),
    "nesterov": optax.sgd(0.05, momentum=0.9, nesterov=True),
    "adam": optax.adam(0.05),
    "adamw": optax.adamw(0.05, weight_decay=0.1),
    "radam": optax.radam(0.05),
    "rmsprop": optax.rmsprop(0.05, decay=0.9, eps_in_sqrt=False),
    "adagrad": optax.adagrad(0.1, initial_accumulator_value=0.1, eps=0.0),
    "lion": optax.lion(0.01, weight_decay=0.1),
    "clipped": optax.chain(optax.clip_by_global_norm(0.3), optax.clip(0.2), optax.adam(0.05)),
    "adaptive clipping": optax.chain(optax.adaptive_grad_clip(0.05), optax.sgd(0.5)),
    "schedule_free sgd": contrib.schedule_free(optax.sgd(0.05), learning_rate=0.05, b1=0.9),
}


def main():
    start, steps = gradients()
    tapes = {f"start/{k}": v for k, v in start.items()} | {f"gradients/{k}": v for k, v in steps.items()}
    runs = {f"torch/{name}": with_torch(make) for name, make in TORCH.items()}
    runs |= {f"torch/{n}": with_torch(lambda p: O.SGD(p, 0.1), schedule) for n, schedule in SCHEDULED.items()}
    runs |= {f"optax/{name}": with_optax(opt) for name, opt in OPTAX.items()}
    runs["optax/lookahead"] = with_optax(
        optax.lookahead(optax.adam(0.05), 5, 0.5), optax.LookaheadParams.init_synced, lambda p: p.fast
    )
    for name, path in runs.items():
        tapes |= {f"{name}/{k}": v for k, v in path.items()}
    np.savez_compressed(Path(__file__).with_name("peers.npz"), **tapes)


if __name__ == "__main__":
    main()
