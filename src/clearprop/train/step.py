"""The training step, as one pure function written in the library's own functions.

It is here and nowhere else: the eager executor calls it, a compiled one traces it, an explanation opens it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import FunctionType
from typing import Any, TypeAlias

from clearprop import nn, optim
from clearprop.arrays import tensor
from clearprop.autodiff.transforms import hvp, value_and_grad
from clearprop.autodiff.trees import flatten, unflatten
from clearprop.errors import GradientError, user_line
from clearprop.nn.fields import PARAMETER, STATE
from clearprop.nn.structure import layout
from clearprop.program.types import is_floating, type_of
from clearprop.program.values import name_variable, raw
from clearprop.rules.arithmetic import astype
from clearprop.train.shards import mean_over_shards, state_change, with_change

Loss: TypeAlias = Callable[..., Any]
"""`loss(outputs, y)`: a scalar, the mean over the rows; `loss(outputs, y, weight)` where rows have weights."""
Objective: TypeAlias = Callable[..., tuple[Any, tuple[Any, tuple[Any, ...], Any]]]
"""`objective(model, x, y, rng[, weight]) -> (loss + penalty, (loss, metrics, model with new state))`."""
ShardTerms: TypeAlias = tuple[Any, dict[str, Any], tuple[Any, ...]]
"""The gradient, the change of each state field by path, and (objective, loss, metric, …): of a shard, or their mean."""
NONE = nn.Penalty()
"""No penalty."""


@dataclass(frozen=True, eq=False)
class Step:
    """One step of training: forward, loss + penalty, backward, update.

    `step(model, opt_state, x, y, rng) -> (model, opt_state, loss, metrics)` minimises L(f(x), y) + penalty(f).  The
    `loss` that it returns is L alone; the metrics are those of the same batch, before the update.  A last argument
    `weight` `(rows,)` says how much each row counts.  With `shards` a batch is the mean of so many (see `shards`).
    Its fields are all that it is made of, so that `identity_of` tells steps that compute something else apart.
    """

    loss: Loss
    metrics: tuple[Loss, ...]
    optimizer: Any
    penalty: nn.Penalty
    shards: int = 1

    def __call__(self, model: Any, opt_state: Any, x: Any, y: Any, rng: Any, *weight: Any) -> Any:
        """The model and the optimizer's state after a batch; its loss and metrics."""
        objective = make_objective(self.loss, self.metrics, self.penalty, self.shards)
        gradient = value_and_grad(objective, has_aux=True)
        (total, (value, measured, trained)), grads = gradient(model, x, y, rng, *weight)
        extra = supplies(self.optimizer, total, lambda m: objective(m, x, y, rng, *weight)[0], model, rng)
        updates, opt_state = self.optimizer.update(grads, opt_state, model, **extra)
        return optim.apply_updates(trained, updates), opt_state, value, measured

    def of_shard(self, model: Any, x: Any, y: Any, rng: Any, share: Any, *weight: Any) -> ShardTerms:
        """What one shard gives to the mean over a batch, in which it counts by its `share`.

        The gradient, by how much it changes each state, and objective, loss and metrics: all of them times the share.
        """
        objective = make_objective(self.loss, self.metrics, self.penalty)

        def counted(*arguments: Any) -> Any:  # the cotangent begins at the share, so no gradient is multiplied
            total, found = objective(*arguments)
            return share * total, found

        (total, (value, measured, trained)), grads = value_and_grad(counted, has_aux=True)(model, x, y, rng, *weight)
        change = {path: share * by for path, by in state_change(model, trained).items()}
        return grads, change, (total, *(share * _as_floating(v, total) for v in (value, *measured)))

    def after(self, model: Any, opt_state: Any, rng: Any, mean: ShardTerms) -> tuple[Any, Any]:
        """The model and the optimizer's state after a batch, of whose shards `mean` is the mean."""
        grads, change, (total, *_) = mean
        extra = supplies(self.optimizer, total, None, model, rng)
        updates, opt_state = self.optimizer.update(grads, opt_state, model, **extra)
        return optim.apply_updates(with_change(model, change), updates), opt_state


def _as_floating(value: Any, like: Any) -> Any:
    """A number that counts as what `like` is, where it is none that is floating."""
    return value if is_floating(type_of(raw(value)).dtype) else astype(value, dtype=type_of(raw(like)).dtype)


def make_step(loss: Loss, metrics: Sequence[Loss], optimizer: Any, penalty: nn.Penalty = NONE, shards: int = 1) -> Step:
    """The step that minimises a loss plus a penalty, and measures metrics."""
    return Step(loss, tuple(metrics), optimizer, penalty, shards)


def supplies(optimizer: Any, value: Any, f: Callable[[Any], Any] | None, model: Any, rng: Any) -> dict[str, Any]:
    """What the optimizer needs besides gradients: the loss, the loss as a function, v ↦ Hv, the step's key.

    `f` is None where `require_shardable` saw to it that nobody needs the loss as a function.
    """
    offered = {"value": value, "rng": rng}
    if f is not None:
        offered |= {"f": f, "hvp": lambda v: hvp(f, model, v)}
    return {name: offered[name] for name in optimizer.needs if name in offered}


def make_objective(loss: Loss, metrics: Sequence[Loss] = (), penalty: nn.Penalty = NONE, shards: int = 1) -> Objective:
    """What a step minimises, as a function of the model; the loss alone, the metrics and the new state come along."""

    def objective(model: Any, x: Any, y: Any, rng: Any, *weight: Any) -> Any:
        outputs, trained = nn.apply(model, x, train=True, rng=rng)
        value = name_variable(loss(outputs, y, *weight), "loss")
        measured = tuple(metric(outputs, y, *weight) for metric in metrics)
        total = value + penalty(model) if penalty else value
        return total, (value, measured, trained)

    return objective if shards == 1 else mean_over_shards(objective, shards)


def require_dependence(loss: Loss, model: Any, x: Any, y: Any, rng: Any, *weight: Any) -> list[str]:
    """The paths of parameters that are not trained: the loss does not hang on them, or they are whole numbers.

    Raises GradientError where it hangs on none.
    """
    leaves, structure = flatten(model)
    paths, kinds = layout(structure)
    parameters = [i for i, kind in enumerate(kinds) if kind == PARAMETER]
    trained = [i for i in parameters if is_floating(type_of(raw(leaves[i])).dtype)]
    for i in trained:
        leaves[i] = tensor(raw(leaves[i]), requires_grad=True)
    outputs, _ = nn.apply(unflatten(structure, leaves), x, train=True, rng=rng)
    value = loss(outputs, y, *weight)
    if value.tracked:
        value.backward()
    reached = {i for i in trained if leaves[i].grad is not None}
    if not reached:
        raise GradientError(
            "no derivative of the loss reaches the network",
            expected="a loss computed from the outputs, and outputs computed from the parameters",
            got="outputs or a loss that are cut off from them",
            where=user_line(),
            try_="compute with cl's functions to the end: stop_gradient, detach and steps such as cl.round cut it off",
        )
    return [paths[i] for i in parameters if i not in reached]


# ------------------------------------------------------------------------------------------------------- identity
class _OfTheUser(Exception):
    """A part is no value of the library's own: what it computes may be something else the next time."""


_PACKAGE = str(Path(nn.__file__).parents[1])
_VALUES = (type(None), bool, int, float, complex, str, bytes)


def own_code(model: Any, *measures: Any) -> Callable[..., Any]:
    """What stands for code of the user's in a network, a loss and metrics where variables around it are looked at."""
    return functools.partial(print, model, *(getattr(measure, "function", measure) for measure in measures))


def identity_of(value: Any) -> Hashable:
    """What is equal for two values only if they compute the same; None where a part was written by the user.

    Everything that a value of the library holds counts, but not the numbers in the parameters of a module.  A
    function of the user's is not looked into: it may use variables that change.

    >>> from clearprop import optim
    >>> rule = identity_of(optim.sgd(0.1))
    >>> rule == identity_of(optim.sgd(0.1)), rule == identity_of(optim.sgd(0.2))
    (True, False)
    >>> identity_of(lambda outputs, y: outputs - y) is None
    True
    """
    try:
        return _identity(value)
    except _OfTheUser:
        return None


def _identity(value: Any) -> Hashable:
    kind: Any = type(value)
    if kind in _VALUES:
        return kind, repr(value)  # 1, 1.0 and True are equal, and so are 0.0 and -0.0, but they do not compute the same
    if kind in (tuple, list):
        return kind, *map(_identity, value)
    if kind is dict:
        return kind, *((_identity(k), _identity(v)) for k, v in value.items())
    if kind is FunctionType and value.__code__.co_filename.startswith(_PACKAGE) and _stands_in_module(value):
        return kind, value
    if not kind.__module__.startswith("clearprop.") or not _stands_in_module(kind):
        raise _OfTheUser
    if isinstance(value, tuple):
        return kind, *map(_identity, value)
    if is_dataclass(value):
        return kind, *((name, _identity(getattr(value, name))) for name in _fields_that_count(kind))
    raise _OfTheUser


@functools.cache
def _fields_that_count(kind: Any) -> tuple[str, ...]:
    """The names of the fields of a class of the library, but for those that hold the arrays of a module."""
    arrays = (PARAMETER, STATE) if issubclass(kind, nn.Module) else ()
    kinds = getattr(kind, "field_kinds", {})
    return tuple(f.name for f in fields(kind) if kinds.get(f.name) not in arrays)


def _stands_in_module(named: Any) -> bool:
    """Whether a function or class is what stands under its name, and no other that was made like it."""
    module = sys.modules.get(named.__module__)
    return (
        functools.reduce(lambda found, name: getattr(found, name, None), named.__qualname__.split("."), module) is named
    )
