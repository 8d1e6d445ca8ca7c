"""Muon: the momentum of a matrix made orthogonal, so that every direction of it moves alike."""

from __future__ import annotations

import math
from typing import Any

from clearprop.errors import ArgumentError, user_line
from clearprop.optim.adaptive import scale_by_adam
from clearprop.optim.basic_transforms import add_weight_decay
from clearprop.optim.hyperparameters import COUNT, FRACTION, NOT_NEGATIVE, Choices, hyper
from clearprop.optim.lengths import unit_lengths
from clearprop.optim.parameter_groups import masked
from clearprop.optim.schedules import Schedule
from clearprop.optim.transform import Composed, Leafwise, Transform, scale_by_learning_rate
from clearprop.program.ir import shape_of
from clearprop.rules.elementwise import maximum
from clearprop.rules.linear import matmul
from clearprop.rules.structural import matrix_transpose, reshape

QUINTIC = 3.4445, -4.7750, 2.0315
"""a, b, c of X ← aX + (bA + cA²)X, A = XXᵀ: steep at 0, so that few steps bring small singular values near 1."""


def orthogonalize(x: Any, steps: int, eps: float) -> Any:
    """A matrix with the singular vectors of x, its singular values near 1 (0.7 to 1.2) by Newton–Schulz iteration."""
    rows, columns = shape_of(x)
    x = matrix_transpose(x) if rows > columns else x  # the smaller of the two Gram matrices
    length = unit_lengths(x, None)
    x = length.shrink(x) / maximum(length.norm, eps * length.by)
    a, b, c = QUINTIC
    for _ in range(steps):
        gram = matmul(x, matrix_transpose(x))
        x = a * x + matmul(b * gram + c * matmul(gram, gram), x)
    return matrix_transpose(x) if rows > columns else x


class scale_by_muon(Leafwise):
    """m ← βm + (1 − β)g, u = s·orthogonal(m), or of (1 − β)g + βm with `nesterov` (Jordan et al. 2024).

    orthogonal(m) is near UVᵀ of m = UΣVᵀ, by Newton–Schulz steps X ← aX + (bA + cA²)X, A = XXᵀ, from m/‖m‖.  A kernel
    of more axes is the matrix (inputs, outputs) of its last axis and all others.  `scaling` says s for n inputs and k
    outputs: "width" is √max(1, k/n), "rms" 0.2·√max(n, k), where u is about as long as Adam's (Liu et al. 2025).

    momentum  β, the share of m that a step keeps
    nesterov  whether the step looks one step ahead
    steps     of Newton and Schulz
    eps       what the norm of m has at least
    scaling   "width" or "rms"

    Raises ArgumentError for a parameter of fewer than two axes.

    >>> import clearprop as cl
    >>> link, p = cl.optim.scale_by_muon(steps=30, scaling="width"), cl.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> u = link.update(cl.tensor([[3.0, 0.0], [0.0, 40.0]]), link.init(p), p)[0]
    >>> bool(cl.max(cl.abs(u - p)) < 0.35)
    True
    """

    slots = ("m",)
    momentum: float = hyper(default=0.95, within=FRACTION)
    nesterov: bool = True
    steps: int = hyper(default=5, within=COUNT._replace(high=100))
    eps: float = hyper(default=1e-7, within=NOT_NEGATIVE)
    scaling: str = hyper(default="rms", within=Choices(("rms", "width")))

    def first(self, slot: str, p: Any) -> Any:
        """No momentum; only a matrix has singular values."""
        if len(shape_of(p)) < 2:
            raise ArgumentError(
                "scale_by_muon moves matrices",
                expected="parameters of two axes or more",
                got=f"one of shape {shape_of(p)}",
                where=user_line(),
                try_='muon(), which moves all others by Adam, or masked(scale_by_muon(), "matrices")',
            )
        return super().first(slot, p)

    def leaf(self, g: Any, p: Any, m: Any) -> tuple[Any, ...]:
        """The rule."""
        m = self.momentum * m + (1 - self.momentum) * g
        ahead = (1 - self.momentum) * g + self.momentum * m if self.nesterov else m
        shape = shape_of(g)
        inputs, outputs = math.prod(shape[:-1]), shape[-1]
        matrix = orthogonalize(reshape(ahead, (inputs, outputs)), self.steps, self.eps)
        return self._scale(inputs, outputs) * reshape(matrix, shape), m

    def _scale(self, inputs: int, outputs: int) -> float:
        return 0.2 * math.sqrt(max(inputs, outputs)) if self.scaling == "rms" else math.sqrt(max(1, outputs / inputs))


class muon(Composed):
    """Muon for matrices, Adam for biases, scales and offsets, both with decoupled decay (Jordan et al. 2024).

    Matrices: m ← βm + (1 − β)g, θ ← θ − η·(s·orthogonal(m) + λθ), near m's own UVᵀ in place of UΣVᵀ, so that rare
    directions move as far as frequent ones.  With `scaling="rms"` one η suits both kinds of parameters (Liu et al.
    2025).  The authors leave embeddings and the last layer to Adam: `groups(muon(), ("embedding.*", adamw()))`.

    learning_rate  η, a number or a schedule
    weight_decay   λ, for matrices
    momentum, nesterov, steps, scaling  as in `scale_by_muon`
    b1, b2, eps    of Adam, for all other parameters

    >>> import clearprop as cl
    >>> opt, params = cl.optim.muon(0.1, weight_decay=0.0), {"w": cl.tensor([[1.0]]), "b": cl.tensor([1.0])}
    >>> updates, state = opt.update(params, opt.init(params), params)
    >>> updates["b"], bool(-0.025 < updates["w"][0, 0] < -0.01)
    (Tensor([-0.1]), True)
    """

    complete = True
    learning_rate: float | Schedule = hyper(default=1e-3, within=NOT_NEGATIVE, kind=Schedule)
    weight_decay: float = hyper(default=0.1, within=NOT_NEGATIVE)
    momentum: float = hyper(default=0.95, within=FRACTION)
    nesterov: bool = True
    steps: int = hyper(default=5, within=COUNT._replace(high=100))
    scaling: str = hyper(default="rms", within=Choices(("rms", "width")))
    b1: float = hyper(default=0.9, within=FRACTION)
    b2: float = hyper(default=0.999, within=FRACTION)
    eps: float = hyper(default=1e-8, within=NOT_NEGATIVE)

    @property
    def links(self) -> tuple[Transform, ...]:
        """Orthogonal momentum, adaptive scaling of the rest, decay if any, learning rate."""
        turning = scale_by_muon(self.momentum, self.nesterov, self.steps, scaling=self.scaling)
        return (
            masked(turning, "matrices"),
            masked(scale_by_adam(self.b1, self.b2, self.eps), "vectors"),
            *((add_weight_decay(self.weight_decay, "matrices"),) if self.weight_decay else ()),
            scale_by_learning_rate(self.learning_rate),
        )
