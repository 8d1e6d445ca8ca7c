"""The parts of a training step as lowered programs: prediction, loss with gradients, update."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.autodiff.transforms import value_and_grad
from clearprop.autodiff.trees import flatten, paths, unflatten
from clearprop.compiler import lower
from clearprop.optim import apply_updates
from clearprop.program.ir import Program, trace
from clearprop.program.types import Type, type_of
from clearprop.program.values import raw
from clearprop.rules.checking import trusted_values
from clearprop.rules.structural import zeros_like
from clearprop.shapes import Scope


@dataclass(frozen=True)
class StepProgram:
    """A lowered program with names for its inputs and outputs: paths of parameters and state, or plain names."""

    program: Program
    inputs: list[str]
    outputs: list[str]


class Tracer:
    """Traces functions of a model, an optimizer's state and a batch, whose sizes stay open."""

    def __init__(self, model: Any, state: Any, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> None:
        self.model, self.state = model, state
        self.x, self.y = x, y

    def predict(self) -> StepProgram:
        """x → the network's outputs."""
        return self._trace(lambda model, x: {"outputs": model(x)}, {"": self.model, "x": self.x})

    def gradients(self, objective: Callable[..., Any]) -> StepProgram:
        """(model, x, y, rng) → loss, gradients by parameter, and the model's new state."""
        names = list(self.model.parameters())

        def f(model: Any, x: Any, y: Any, rng: Any) -> dict[str, Any]:
            (_, (loss, _, trained)), grads = value_and_grad(objective, has_aux=True)(model, x, y, rng)
            flat = dict(zip(paths(model), flatten(grads)[0], strict=True))
            kept = dict(zip(paths(trained), flatten(trained)[0], strict=True))
            own = {f"gradient {n}": flat[n] for n in names}
            return {"loss": loss, **own, **{f"new {n}": v for n, v in kept.items() if n not in names}}

        rng = np.zeros(2, np.uint32)
        return self._trace(f, {"": self.model, "x": self.x, "y": self.y, "rng": rng})

    def update(self, optimizer: Any) -> StepProgram:
        """(parameters, gradients, state) → new parameters and state: the update rule."""
        names = list(self.model.parameters())
        leaves, structure = flatten(self.model)
        where = dict(zip(paths(self.model), range(len(leaves)), strict=True))

        def f(model: Any, gradients: dict[str, Any], state: Any) -> dict[str, Any]:
            own = list(flatten(model)[0])
            filled = [gradients.get(p) for p in paths(model)]
            grads = unflatten(structure, [zeros_like(v) if g is None else g for g, v in zip(filled, own, strict=True)])
            updates, after = optimizer.update(grads, state, model)
            new = flatten(apply_updates(model, updates))[0]
            kept = dict(zip(paths(after), flatten(after)[0], strict=True))
            return {**{f"new {n}": new[where[n]] for n in names}, **{f"state {n}": v for n, v in kept.items()}}

        gradients = {n: np.zeros(np.shape(raw(v)), raw(v).dtype) for n, v in self.model.parameters().items()}
        return self._trace(f, {"": self.model, "gradient": gradients, "state": self.state})

    def _trace(self, f: Callable[..., dict[str, Any]], arguments: dict[str, Any]) -> StepProgram:
        scope = Scope()
        flat: list[Any] = []
        names: list[str] = []
        structures = []
        for name, tree in arguments.items():
            leaves, structure = flatten(tree)
            structures.append((structure, len(leaves)))
            flat += leaves
            names += [f"{name} {leaf}".strip() for leaf in (_keys(tree) if name == "gradient" else paths(tree))]
        outputs: list[str] = []

        def called(*xs: Any) -> Sequence[Any]:
            rest = list(xs)
            trees = []
            for structure, count in structures:
                trees.append(unflatten(structure, rest[:count]))
                del rest[:count]
            out = f(*trees)
            outputs.extend(out)
            return list(out.values())

        types = [_open_type(raw(v), scope) for v in flat]
        shown = [n.removeprefix("gradient ") + "_bar" if n.startswith("gradient ") else n for n in names]
        with trusted_values():  # as in training
            program = trace(called, types, shown, scope)
        return StepProgram(lower(program), names, outputs)


def _keys(tree: dict[str, Any]) -> list[str]:
    """The keys of a flat dictionary in the order of its leaves."""
    return [str(key) for key in flatten({key: key for key in tree})[0]]


def _open_type(value: Any, scope: Scope) -> Type:
    t = type_of(value)
    return Type(tuple(1 if n == 1 else scope.new(n) for n in t.shape), t.dtype)
