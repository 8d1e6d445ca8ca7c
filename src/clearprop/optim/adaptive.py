"""Links that scale every element by its own history: Adam and its variants, RMSProp, Adagrad, Lion, Rprop."""

from __future__ import annotations

from typing import Any

from clearprop.optim.hyperparameters import FRACTION, NOT_NEGATIVE, POSITIVE, Range, hyper
from clearprop.optim.transform import Leafwise
from clearprop.rules.elementwise import clip, maximum, sign, sqrt, square, where
from clearprop.rules.structural import zeros_like


class scale_by_adam(Leafwise):
    """m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², u = m̂/(√v̂ + ε), m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ).

    `amsgrad` puts the largest v so far in place of v (Reddi et al. 2018; uncorrected, as PyTorch).  `nesterov` looks
    one step ahead: m̂ = μ₊m/(1 − Πμ·μ₊) + (1 − μ)g/(1 − Πμ) with μ_t = β₁(1 − ½·0.96^(ψt)) (NAdam, Dozat 2016).
    `rectify` multiplies by r_t while the variance of 1/√v̂ is finite (ρ_t ≥ 5), and leaves out the division
    before (RAdam, Liu et al. 2020).
    """

    counts = True
    b1: float = hyper(default=0.9, within=FRACTION)
    b2: float = hyper(default=0.999, within=FRACTION)
    eps: float = hyper(default=1e-8, within=NOT_NEGATIVE)
    amsgrad: bool = False
    nesterov: bool = False
    rectify: bool = False
    momentum_decay: float = hyper(default=4e-3, within=NOT_NEGATIVE)

    @property
    def slots(self) -> tuple[str, ...]:  # type: ignore[override]  # here it depends on the flags
        """The averages of g and g²."""
        return ("m", "v", "v_max") if self.amsgrad else ("m", "v")

    @property
    def carried(self) -> tuple[str, ...]:  # type: ignore[override]  # here it depends on the flags
        """Πμ, for `nesterov`."""
        return ("mu_product",) if self.nesterov else ()

    def first_carried(self, name: str) -> float:
        """The empty product."""
        return 1.0

    def scalars(self, t: Any, *carried: Any) -> tuple[Any, ...]:
        """What v is divided by, what m is divided by (Nesterov: factors of m and g), whether to divide, r_t."""
        shared: tuple[Any, ...] = (1 - self.b2**t, 1 - self.b1**t)
        if self.nesterov:
            of_m, of_g, *carried = self._lookahead(t, *carried)  # type: ignore[assignment]  # a list, unpacked below
            shared = (shared[0], of_m, of_g)
        return (shared + (self._rectification(t) if self.rectify else ()), *carried)

    def _lookahead(self, t: Any, before: Any) -> tuple[Any, Any, Any]:
        mu, ahead = (self.b1 * (1 - 0.5 * 0.96 ** (self.momentum_decay * (t + i))) for i in (0, 1))
        product = before * mu
        return ahead / (1 - product * ahead), (1 - mu) / (1 - product), product

    def _rectification(self, t: Any) -> tuple[Any, Any]:
        longest = 2 / (1 - self.b2) - 1
        length = longest - 2 * t * self.b2**t / (1 - self.b2**t)
        known = maximum(length, 5.0)
        end = max(longest, 5.0)
        return length >= 5, sqrt((known - 4) * (known - 2) * end / ((end - 4) * (end - 2) * known))

    def leaf(self, g: Any, p: Any, m: Any, v: Any, *rest: Any) -> tuple[Any, ...]:
        """The rule."""
        shared = list(rest)
        m = self.b1 * m + (1 - self.b1) * g
        v = self.b2 * v + (1 - self.b2) * square(g)
        kept = [maximum(shared.pop(0), v)] if self.amsgrad else []
        of_v, of_m = shared.pop(0), shared.pop(0)
        ahead = m * of_m + g * shared.pop(0) if self.nesterov else m / of_m
        scaled = ahead / (sqrt((kept or [v])[0] / of_v) + self.eps)
        if self.rectify:
            divide, r = shared
            scaled = where(divide, r * scaled, ahead)
        return scaled, m, v, *kept


class scale_by_rms(Leafwise):
    """v ← ρv + (1 − ρ)g², u = g/(√v + ε); `centered` subtracts the square of the average gradient from v."""

    decay: float = hyper(default=0.9, within=FRACTION)
    eps: float = hyper(default=1e-8, within=NOT_NEGATIVE)
    centered: bool = False

    @property
    def slots(self) -> tuple[str, ...]:  # type: ignore[override]  # here it depends on the flag
        """The averages of g² and, if centered, of g."""
        return ("v", "mean") if self.centered else ("v",)

    def leaf(self, g: Any, p: Any, v: Any, *rest: Any) -> tuple[Any, ...]:
        """The rule."""
        v = self.decay * v + (1 - self.decay) * square(g)
        if not rest:
            return g / (sqrt(v) + self.eps), v
        mean = self.decay * rest[0] + (1 - self.decay) * g
        return g / (sqrt(maximum(v - square(mean), 0.0)) + self.eps), v, mean


class scale_by_adagrad(Leafwise):
    """v ← v + g², u = g/(√v + ε): the steps only become smaller (Duchi et al. 2011)."""

    slots = ("v",)
    eps: float = hyper(default=1e-10, within=NOT_NEGATIVE)
    initial: float = hyper(default=0.0, within=NOT_NEGATIVE)

    def first(self, slot: str, p: Any) -> Any:
        """The initial sum."""
        return zeros_like(p) + self.initial

    def leaf(self, g: Any, p: Any, v: Any) -> tuple[Any, ...]:
        """The rule."""
        v = v + square(g)
        return g / (sqrt(v) + self.eps), v


class scale_by_lion(Leafwise):
    """The update u = sign(β₁m + (1 − β₁)g), then m ← β₂m + (1 − β₂)g (Chen et al. 2023)."""

    slots = ("m",)
    b1: float = hyper(default=0.9, within=FRACTION)
    b2: float = hyper(default=0.99, within=FRACTION)

    def leaf(self, g: Any, p: Any, m: Any) -> tuple[Any, ...]:
        """The rule."""
        return sign(self.b1 * m + (1 - self.b1) * g), self.b2 * m + (1 - self.b2) * g


class scale_by_rprop(Leafwise):
    """The update u = −sign(g)·Δ; Δ grows while g keeps its sign and shrinks when it changes.

    iRprop⁻ (Igel & Hüsken 2000).  Where the sign changed, g counts as 0 in this step and in the next comparison.
    """

    slots = ("size", "before")
    initial: float = hyper(default=0.01, within=POSITIVE)
    shrink: float = hyper(default=0.5, within=Range(0.0, 1.0, "[]"))
    grow: float = hyper(default=1.2, within=Range(1.0, 1e6, "["))
    smallest: float = hyper(default=1e-6, within=POSITIVE)
    largest: float = hyper(default=50.0, within=POSITIVE)

    def first(self, slot: str, p: Any) -> Any:
        """The initial step size, and no gradient."""
        return zeros_like(p) + self.initial if slot == "size" else zeros_like(p)

    def leaf(self, g: Any, p: Any, size: Any, before: Any) -> tuple[Any, ...]:
        """The rule."""
        turn = sign(g) * sign(before)
        changed = where(turn > 0, self.grow * size, where(turn < 0, self.shrink * size, size))
        size = clip(changed, self.smallest, self.largest)
        g = where(turn < 0, 0.0, g)
        return -sign(g) * size, size, g
