"""The training step, as one pure function written in the library's own functions.

It is here and nowhere else: the eager executor calls it, a compiled one traces it, an explanation opens it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from clearprop import nn, optim
from clearprop.autodiff.transforms import hvp, value_and_grad
from clearprop.program.values import name_variable

Loss: TypeAlias = Callable[[Any, Any], Any]
"""`loss(outputs, y)`: a scalar, the mean over the rows."""
Step: TypeAlias = Callable[[Any, Any, Any, Any, Any], tuple[Any, Any, Any, tuple[Any, ...]]]
"""`step(model, opt_state, x, y, rng) -> (model, opt_state, loss, metrics)`."""
Objective: TypeAlias = Callable[[Any, Any, Any, Any], tuple[Any, tuple[Any, tuple[Any, ...], Any]]]
"""`objective(model, x, y, rng) -> (loss + penalty, (loss, metrics, model with new state))`."""
NONE = nn.Penalty()
"""No penalty."""


def make_step(loss: Loss, metrics: Sequence[Loss], optimizer: Any, penalty: nn.Penalty = NONE) -> Step:
    """One step of training: forward, loss + penalty, backward, update.

    It minimises L(f(x), y) + penalty(f).  The `loss` that it returns is L alone; the metrics are those of the same
    batch, before the update.
    """
    objective = make_objective(loss, metrics, penalty)
    gradient = value_and_grad(objective, has_aux=True)

    def step(model: Any, opt_state: Any, x: Any, y: Any, rng: Any) -> Any:
        (total, (value, measured, trained)), grads = gradient(model, x, y, rng)
        extra = supplies(optimizer, total, lambda m: objective(m, x, y, rng)[0], model, rng)
        updates, opt_state = optimizer.update(grads, opt_state, model, **extra)
        return optim.apply_updates(trained, updates), opt_state, value, measured

    return step


def supplies(optimizer: Any, value: Any, f: Callable[[Any], Any], model: Any, rng: Any) -> dict[str, Any]:
    """What the optimizer needs besides gradients: the loss, the loss as a function, v ↦ Hv, the step's key."""
    offered = {"value": value, "f": f, "hvp": lambda v: hvp(f, model, v), "rng": rng}
    return {name: offered[name] for name in optimizer.needs if name in offered}


def make_objective(loss: Loss, metrics: Sequence[Loss] = (), penalty: nn.Penalty = NONE) -> Objective:
    """What a step minimises, as a function of the model; the loss alone, the metrics and the new state come along."""

    def objective(model: Any, x: Any, y: Any, rng: Any) -> Any:
        outputs, trained = nn.apply(model, x, train=True, rng=rng)
        value = name_variable(loss(outputs, y), "loss")
        measured = tuple(metric(outputs, y) for metric in metrics)
        total = value + penalty(model) if penalty else value
        return total, (value, measured, trained)

    return objective
