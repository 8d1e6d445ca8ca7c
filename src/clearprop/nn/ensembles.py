"""`Ensemble`: networks beside each other whose answers are averaged."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.arrays.tensor import Tensor, asarray
from clearprop.errors import ArgumentError, unknown_name, user_line
from clearprop.nn.activations import as_layer
from clearprop.nn.argument_checks import require_features, require_size
from clearprop.nn.fields import state, static
from clearprop.nn.module import Module
from clearprop.rules.activations import softplus
from clearprop.rules.joining import stack
from clearprop.rules.reductions import log_softmax, logsumexp, mean

AVERAGES = ("values", "logs", "softmax", "sigmoid")
"""What of the outputs of its members an `Ensemble` averages."""


class Ensemble(Module):
    """The mean of what several networks answer, as one network (Hansen & Salamon 1990; Lakshminarayanan et al. 2017).

    members  modules, names of activations and functions with outputs `(…, k)`
    average  what is averaged: "values", ȳ = Σ y / n; "logs", outputs that are logarithms, log(Σ exp y / n);
             "softmax", the probabilities of classes, log(Σ softmax(y) / n); "sigmoid", those of labels that are each
             answered for themselves, logit(Σ σ(y) / n)
    widths   how many of the last axis of x each member takes, one after another; None: each takes all of x
    scale, shift  y·scale + shift is what is averaged, `(n, k)`: answers in units of their own come to one; None: y

    The outputs are what a member's would be: logits, logarithms or values.

    Raises ArgumentError for no member at all, a member with arrays that is given twice, and widths, scales or shifts
    that are not one for each member; ShapeError when x has another last axis than the widths.

    >>> import clearprop as cl
    >>> both = cl.nn.Ensemble([cl.negative, lambda x: 3.0 * x])
    >>> both(cl.tensor([[1.0, 2.0]]))
    Tensor([[1.0, 2.0]])
    >>> cl.softmax(cl.nn.Ensemble([cl.negative, "linear"], "softmax")(cl.tensor([[0.0, 1.0]])))
    Tensor([[0.5, 0.5]])
    """

    members: tuple[Module, ...]
    scale: Tensor | None = state()
    shift: Tensor | None = state()
    average: str = static(default="values")
    widths: tuple[int, ...] | None = static(default=None)

    def __init__(
        self,
        members: Sequence[Any],
        average: str = "values",
        widths: Sequence[int] | None = None,
        scale: Any = None,
        shift: Any = None,
    ) -> None:
        if not isinstance(average, str) or average not in AVERAGES:
            raise unknown_name("average", str(average), AVERAGES, user_line())
        layers = tuple(map(as_layer, _as_list("members", members)))
        own = None if widths is None else [require_size("Ensemble", "widths", w) for w in _as_list("widths", widths)]
        units = [None if unit is None else asarray(unit, dtype=np.float32) for unit in (scale, shift)]
        _require_for_each(layers, own, *units)
        super().__init__(members=layers, scale=units[0], shift=units[1], average=average, widths=own and tuple(own))

    def forward(self, x: Any) -> Any:
        """The averaged answers."""
        outputs = stack([self._answer(k, part) for k, part in enumerate(self._parts(asarray(x)))])
        if self.average == "values":
            return mean(outputs, axis=0)
        number = math.log(len(self.members))
        if self.average == "sigmoid":
            return logsumexp(-softplus(-outputs), axis=0) - logsumexp(-softplus(outputs), axis=0)
        return logsumexp(log_softmax(outputs) if self.average == "softmax" else outputs, axis=0) - number

    def _parts(self, x: Any) -> list[Any]:
        """What of x each member takes."""
        if self.widths is None:
            return [x] * len(self.members)
        require_features(self.label, sum(self.widths), x.shape)
        ends = list(itertools.accumulate(self.widths, initial=0))
        return [x[..., first:last] for first, last in itertools.pairwise(ends)]

    def _answer(self, k: int, x: Any) -> Any:
        y = asarray(self.members[k](x))
        y = y if self.scale is None else y * self.scale[k]
        return y if self.shift is None else y + self.shift[k]

    def label(self) -> str:
        """`Ensemble(5, softmax)`."""
        return f"Ensemble({len(self.members)}, {self.average})"


def _as_list(name: str, given: Any) -> Sequence[Any]:
    """What was given as a list; raises ArgumentError for anything else."""
    if isinstance(given, Sequence) and not isinstance(given, str):
        return given
    raise ArgumentError(
        f"{name} of an ensemble are a list",
        expected=f"a list or tuple, one of {name} for each network",
        got=type(given).__name__,
        where=user_line(),
        try_="cl.nn.Ensemble([first, second])",
    )


def _require_for_each(layers: Sequence[Module], widths: Any, scale: Any, shift: Any) -> None:
    """Raise ArgumentError unless there is a member, and one of everything for each."""
    if not layers:
        raise ArgumentError("an ensemble has members", expected="one or more", got="none", where=user_line())
    for name, given in (("widths", widths), ("scale", scale), ("shift", shift)):
        if given is not None and np.shape(given)[:1] != (len(layers),):
            raise ArgumentError(
                f"{name} of an ensemble are of its members",
                expected=f"one for each of the {len(layers)} members",
                got=f"shape {np.shape(given)}",
                where=user_line(),
            )
