"""What a rule needs besides gradients, and gets as keywords of `update`: the loss, and the loss as a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from clearprop.autodiff.transforms import grad, jvp
from clearprop.errors import ArgumentError, user_line
from clearprop.optim.transform import ParameterView, Transform, operand, scalar_like
from clearprop.rules.structural import zeros_like

_WHAT = {
    "value": ("the loss of this step", "value=loss"),
    "f": ("the loss as a function of the parameters, on the batch of this step", "f=lambda params: loss(params, x, y)"),
    "hvp": ("the Hessian of the loss as a function v -> Hv", "hvp=lambda v: cl.hvp(loss, params, v)"),
    "rng": ("random numbers", "rng=cl.random.fold_in(cl.random.key(0), step)"),
}


def require_argument(rule: Transform, extra: dict[str, Any], name: str) -> Any:
    """The keyword of that name.  Raises ArgumentError if `update` was called without it."""
    if extra.get(name) is not None:
        return extra[name]
    what, example = _WHAT[name]
    owner = type(rule).__name__
    raise ArgumentError(
        f"{owner} needs {what}",
        expected=f"update(grads, state, params, {example})",
        got=f"update without {name}=",
        where=user_line(),
        try_=f"{example}; cl.fit passes it by itself",
    )


def require_loss(rule: Transform, extra: dict[str, Any]) -> Any:
    """The loss of this step, as rules compute on it."""
    return operand(require_argument(rule, extra, "value"))


def move_parameters(view: ParameterView, steps: Sequence[Any], by: Any = 1.0) -> Any:
    """The parameters plus `by` times these steps (None: leave as it is), as a tree."""
    pairs = zip(view.leaves, steps, strict=True)
    return view.build([p if s is None else p + scalar_like(by, p) * s for p, s in pairs])


def gradient_at(f: Callable[[Any], Any], view: ParameterView, point: Any) -> list[Any]:
    """∇f at a tree built like the parameters: the trained leaves' gradients, None for the others."""
    return view.gradients(grad(f)(point))


def gradient_and_curvature(
    f: Callable[[Any], Any], view: ParameterView, point: Any, direction: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    """∇f and the Hessian times a direction, at a tree built like the parameters."""
    pairs = zip(view.leaves, direction, strict=True)
    tangent = view.build([zeros_like(p) if d is None else d for p, d in pairs])
    slope, curved = jvp(grad(f), (point,), (tangent,))
    return view.gradients(slope), view.gradients(curved)
