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
torch.Tensor.bfloat16 = torch.Tensor.clone  # Muon rounds to three digits: here not, so that the formula can be compared
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


def with_torch(make, schedule=None, kept=None):
    """The parameters after every step of a torch optimizer, or what it keeps of them under this name."""
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
            path[k].append((opt.state[p][kept] if kept else p).detach().numpy().copy())
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


class Both:
    """PyTorch's Muon for the matrices and another of its optimizers for the rest."""

    def __init__(self, params, other, of_other, of_muon):
        params = list(params)
        self.parts = [O.Muon([p for p in params if p.ndim == 2], **of_muon)]
        self.parts += [other([p for p in params if p.ndim != 2], **of_other)]

    def step(self):
        for part in self.parts:
            part.step()


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
    "dampened": lambda p: O.SGD(p, 0.05, momentum=0.9, dampening=0.4),
    "maximized": lambda p: O.SGD(p, 0.05, momentum=0.9, weight_decay=0.1, maximize=True),
    "nadam, all options": lambda p: O.NAdam(p, 0.05, (0.8, 0.95), 1e-3, weight_decay=0.1, momentum_decay=0.02),
    "nadam, decoupled": lambda p: O.NAdam(p, 0.05, weight_decay=0.1, decoupled_weight_decay=True),
    "radam, eps": lambda p: O.RAdam(p, 0.05, (0.8, 0.95), 1e-2, weight_decay=0.1),
    "radam, decoupled": lambda p: O.RAdam(p, 0.05, weight_decay=0.1, decoupled_weight_decay=True),
    "adafactor": lambda p: O.Adafactor(p, 0.3),
    "adafactor, all options": lambda p: O.Adafactor(p, 0.05, -0.6, (1e-3, 0.5), 1.2, weight_decay=0.1),
    "muon": lambda p: Both(p, O.Adam, {"lr": 0.05, "betas": (0.9, 0.95)}, {"lr": 0.05, "weight_decay": 0.0}),
    "muon, all options": lambda p: Both(
        p,
        O.Adam,
        {"lr": 0.05},
        {
            "lr": 0.05,
            "weight_decay": 0.1,
            "momentum": 0.8,
            "nesterov": False,
            "ns_steps": 3,
            "adjust_lr_fn": "match_rms_adamw",
        },
    ),
    "asgd": lambda p: O.ASGD(p, 0.05, lambd=0.1, alpha=0.6, t0=20, weight_decay=0.05),
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


def curved(params):
    """∇ of a convex function, half a square in coordinates that mix all parameters, and a wall of fourth power."""
    flat = jnp.concatenate([params[k].ravel() for k in sorted(params)])
    mix = jnp.asarray(np.random.default_rng(5).normal(size=(flat.size, flat.size)))
    slope = mix.T @ (mix @ flat) + flat**3
    ends = np.cumsum([params[k].size for k in sorted(params)])[:-1]
    return {k: g.reshape(params[k].shape) for k, g in zip(sorted(params), jnp.split(slope, ends), strict=True)}


def downhill(opt):
    """The parameters after every step of an optax transformation that follows the gradient of `curved`."""
    params = {k: jnp.asarray(v) for k, v in gradients()[0].items()}
    state, path = opt.init(params), {k: [] for k in SHAPES}
    for _ in range(STEPS):
        updates, state = opt.update(curved(params), state, params)
        params = optax.apply_updates(params, updates)
        for k, p in params.items():
            path[k].append(np.asarray(p))
    return {k: np.stack(v) for k, v in path.items()}


def main():
    start, steps = gradients()
    tapes = {f"start/{k}": v for k, v in start.items()} | {f"gradients/{k}": v for k, v in steps.items()}
    runs = {f"torch/{name}": with_torch(make) for name, make in TORCH.items()}
    runs |= {f"torch/{n}": with_torch(lambda p: O.SGD(p, 0.1), schedule) for n, schedule in SCHEDULED.items()}
    runs |= {f"optax/{name}": with_optax(opt) for name, opt in OPTAX.items()}
    runs["optax/lookahead"] = with_optax(
        optax.lookahead(optax.adam(0.05), 5, 0.5), optax.LookaheadParams.init_synced, lambda p: p.fast
    )
    runs["torch/asgd, mean"] = with_torch(TORCH["asgd"], kept="ax")
    runs["curved/lbfgs"] = downhill(optax.lbfgs(0.3, memory_size=3, linesearch=None))
    for name, path in runs.items():
        tapes |= {f"{name}/{k}": v for k, v in path.items()}
    np.savez_compressed(Path(__file__).with_name("peers.npz"), **tapes)


if __name__ == "__main__":
    main()
