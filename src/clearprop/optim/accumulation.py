"""Gradients of several batches for one update."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.arrays.tensor import Tensor
from clearprop.autodiff.trees import is_array, tree_map
from clearprop.errors import ArgumentError, user_line
from clearprop.optim.first_order import adam
from clearprop.optim.hyperparameters import COUNT, hyper
from clearprop.optim.transform import ParameterView, Stage, Transform, operand
from clearprop.program.values import raw
from clearprop.rules.comparison import logical_and, not_equal
from clearprop.rules.elementwise import equal, where
from clearprop.rules.reductions import any
from clearprop.rules.structural import zeros_like

_STAYS = -0.0  # p + (−0) is p to the bit, also where p is −0
_OF_ONE_BATCH = frozenset({"value", "f", "hvp", "residuals"})


class accumulate(Transform):
    """One update of `inner` for the mean of the gradients of `every` batches; in the other steps nothing moves.

    s ← s + g; in every k-th step `inner` takes s/k, and s ← 0.  With batches of equal size it is the update of one
    batch k times as large.  Schedules, momentum and averages of `inner` count updates, not batches; what is summed
    when an epoch ends goes on in the next.

    inner  the rule of the updates
    every  k, the batches of one update

    Raises ArgumentError for an inner rule that asks for the loss of a step's own batch (`sam`, `polyak`, …).

    >>> import clearprop as cl
    >>> opt, p = cl.optim.accumulate(cl.optim.sgd(0.5), every=2), cl.tensor(1.0)
    >>> state = opt.init(p)
    >>> for g in (2.0, 4.0):
    ...     updates, state = opt.update(cl.tensor(g), state, p)
    ...     p = cl.optim.apply_updates(p, updates)
    ...     print(p)
    Tensor(1.0)
    Tensor(-0.5)
    """

    complete = True
    inner: Transform = hyper(default=adam(), kind=Transform)
    every: int = hyper(default=2, within=COUNT)

    def __post_init__(self) -> None:
        super().__post_init__()
        asked = self.inner.needs & _OF_ONE_BATCH
        if asked:
            raise ArgumentError(
                f"accumulate cannot sum what {type(self.inner).__name__} needs",
                expected="a rule of gradients alone, such as adam or sgd",
                got=f"inner = {self.inner!r:.80}, which looks at the loss of one batch ({', '.join(sorted(asked))})",
                where=user_line(),
                try_="a larger batch_size",
            )

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]  # here it depends on the inner rule
        """What the inner rule needs."""
        return self.inner.needs

    @property
    def batches(self) -> int:  # type: ignore[override]  # here it is a setting
        """The batches of one update."""
        return self.every

    def init(self, params: Any) -> dict[str, Any]:
        """No batches so far, sums of 0, the inner state."""
        sums = ParameterView(params).make(zeros_like)
        return {"batches": Tensor(np.int64(0)), "sum": sums, "inner": self.inner.init(params)}

    def update(self, grads: Any, state: dict[str, Any], params: Any, **extra: Any) -> tuple[Any, dict[str, Any]]:
        """The inner update in every k-th step, no change in the others."""
        view, (batches, sums) = ParameterView(params), self._summed(grads, state, params)
        meets = equal(batches, self.every)
        updates, inner = self.inner.update(self._mean(view, sums, grads), state["inner"], params, **extra)
        taken = [_gate(meets, g, s) for g, s in zip(view.gradients(grads), sums, strict=True)]
        moved = [None if u is None else where(t, u, _STAYS) for t, u in zip(taken, view.of(updates), strict=True)]
        return view.build(moved), {
            "batches": where(meets, 0, batches),
            "sum": view.build([None if s is None else where(meets, 0.0, s) for s in sums]),
            "inner": _inner(view, meets, taken, inner, state["inner"]),
        }

    def _summed(self, grads: Any, state: dict[str, Any], params: Any) -> tuple[Any, list[Any]]:
        """How many batches there are with this one, and the sums of their gradients."""
        view = ParameterView(params)
        pairs = zip(view.gradients(grads), view.of(state["sum"], "sums"), strict=True)
        return operand(state["batches"]) + 1, [s if g is None or s is None else s + g for g, s in pairs]

    def _mean(self, view: ParameterView, sums: list[Any], grads: Any) -> Any:
        """The mean of the gradients; none, where none came: what stays is not moved by a decay of weights, either."""
        pairs = zip(view.gradients(grads), sums, strict=True)
        return view.build([None if s is None or (g is None and not _holds(s)) else s / self.every for g, s in pairs])

    def stages(self, grads: Any, state: dict[str, Any], params: Any, **extra: Any) -> list[Stage]:
        """The mean of the gradients and what the inner rule made of it; nothing, where batches are still awaited."""
        view, (batches, sums) = ParameterView(params), self._summed(grads, state, params)
        if raw(batches) < self.every:
            return [(self, state, view.make(zeros_like))]
        mean = self._mean(view, sums, grads)
        return [(self, state, mean), *self.inner.stages(mean, state["inner"], params, **extra)]

    def eval_params(self, state: dict[str, Any], params: Any) -> Any:
        """The parameters to evaluate, as the inner rule says."""
        return self.inner.eval_params(state["inner"], params)


def _is_known(total: Any) -> bool:
    return isinstance(raw(total), np.ndarray)


def _holds(total: Any) -> bool:
    """Whether a sum that got nothing now may have numbers of other batches; of one that is traced `_gate` asks."""
    return not _is_known(total) or bool(raw(total).any())


def _gate(meets: Any, grad: Any, total: Any) -> Any:
    """Whether a leaf's update is taken: where it got nothing now, and its sum is traced, the sum says when it runs."""
    if grad is not None or total is None or _is_known(total):
        return meets
    return logical_and(meets, any(not_equal(total, 0.0)))


def _inner(view: ParameterView, meets: Any, taken: list[Any], new: Any, old: Any) -> Any:
    """The inner state: in trees like the parameters a leaf is new where its update is taken."""
    pairs = None if all(t is meets for t in taken) else _like_parameters(view, new, old)
    if pairs is not None:
        leaves = zip(taken, pairs, strict=True)
        return view.build([None if a is None else where(t, operand(a), operand(b)) for t, (a, b) in leaves])
    if type(new) is dict:
        return {name: _inner(view, meets, taken, value, old[name]) for name, value in new.items()}
    if type(new) is tuple:
        return tuple(_inner(view, meets, taken, *both) for both in zip(new, old, strict=True))
    return tree_map(lambda a, b: where(meets, operand(a), operand(b)), new, old)


def _like_parameters(view: ParameterView, new: Any, old: Any) -> list[tuple[Any, Any]] | None:
    """The leaves of two trees built like the parameters; None for others."""
    try:
        pairs = list(zip(*map(view.structure.flatten_up_to, (new, old)), strict=True))
    except ValueError:
        return None
    return pairs if all(a is None or is_array(a) for a, _ in pairs) else None
