"""Rules of the user's own: a function with another derivative than its body's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clearprop.primitives import Primitive, Zero


def custom_rule(
    *, jvp: Callable[..., Any] | None = None, **vjps: Callable[..., Any] | Zero
) -> Callable[[Callable[..., Any]], Primitive]:
    """Give a function a derivative of your own: one VJP per argument, by the argument's name.

    A rule takes by name what it needs: the cotangent `g`, the arguments, the output `y`, keyword parameters.  Forward
    mode needs `jvp=`, which takes the tangents as `x_dot`.  Arguments without a rule are not differentiable.

    >>> import clearprop as cl
    >>> @cl.custom_rule(x=lambda g: g)
    ... def straight_through(x):
    ...     return cl.round(x)
    >>> cl.grad(lambda x: straight_through(x) * 3)(1.4)
    Tensor(3.0)
    """
    rules: dict[str, Any] = {f"vjp_{name}": rule for name, rule in vjps.items()}
    if jvp is not None:
        rules["jvp"] = jvp

    def declare(function: Callable[..., Any]) -> Primitive:
        return Primitive(function, "general", rules=rules, register=False)

    return declare
