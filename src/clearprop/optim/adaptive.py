"""Links that scale every element by its own history: Adam and its variants, RMSProp, Adagrad, Lion, Rprop."""

from __future__ import annotations

import functools
import warnings
from typing import Any

from clearprop.errors import checked_call, require_flag
from clearprop.optim.hyperparameters import FRACTION, NOT_NEGATIVE, POSITIVE, Range, hyper
from clearprop.optim.transform import Leafwise, kept_square
from clearprop.rules.elementwise import clip, maximum, sign, sqrt, square, where
from clearprop.rules.structural import zeros_like


class _Moments(Leafwise):
    """The hyper-parameters and memories of Adam and its variants: averages m of g and v of g²."""

    counts = True
    b1: float = hyper(default=0.9, within=FRACTION)
    b2: float = hyper(default=0.999, within=FRACTION)
    eps: float = hyper(default=1e-8, within=NOT_NEGATIVE)
    amsgrad: bool = False

    @property
    def slots(self) -> tuple[str, ...]:  # type: ignore[override]  # here it depends on the flag
        """The averages of g and g² and, for `amsgrad`, the largest v so far."""
        return ("m", "v", "v_max") if self.amsgrad else ("m", "v")


class scale_by_adam(_Moments):
    """m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², u = m̂/(√v̂ + ε), m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ).

    Kingma & Ba 2014, algorithm 1.

    b1       β₁, the share of m that a step keeps
    b2       β₂, the share of v that a step keeps
    eps      ε, which keeps u small where g has always been next to 0
    amsgrad  the largest v so far in place of v (Reddi et al. 2018; uncorrected, as in PyTorch)
    nesterov, rectify, momentum_decay  of version 0.1, for a release: they give `scale_by_nadam`, `scale_by_radam`

    >>> import clearprop as cl
    >>> link, p = cl.optim.scale_by_adam(), cl.tensor([1.0, 1.0])
    >>> link.update(cl.tensor([300.0, -0.5]), link.init(p), p)[0]
    Tensor([1.0, -0.99999998])
    """

    @functools.partial(checked_call, name="scale_by_adam")
    def __new__(
        cls,
        b1: float = 0.9,
        b2: float = 0.999,
        eps: float = 1e-8,
        amsgrad: bool = False,
        nesterov: bool = False,
        rectify: bool = False,
        momentum_decay: float = 4e-3,
    ) -> Any:
        """The variant's link, where a caller asks for it by the flags of version 0.1."""
        nesterov, rectify = (require_flag("scale_by_adam", "nesterov or rectify", f) for f in (nesterov, rectify))
        if not (nesterov or rectify):
            return super().__new__(cls)
        variant = adam_variant(nesterov=nesterov, rectify=rectify)
        said = f"the flags nesterov and rectify of scale_by_adam are a link of their own: {variant.__name__}"
        warnings.warn(said, DeprecationWarning, stacklevel=2)
        more = {"momentum_decay": momentum_decay} if nesterov else {}
        return variant(b1, b2, eps, amsgrad, **more)

    def __init__(
        self,
        b1: float = 0.9,
        b2: float = 0.999,
        eps: float = 1e-8,
        amsgrad: bool = False,
        nesterov: bool = False,
        rectify: bool = False,
        momentum_decay: float = 4e-3,
    ) -> None:
        for name, value in {"b1": b1, "b2": b2, "eps": eps, "amsgrad": amsgrad}.items():
            object.__setattr__(self, name, value)
        self.__post_init__()

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> Any:
        """The link; settings of version 0.1 tell the variant by flags."""
        flags = {flag: bool(settings.pop(flag, False)) for flag in ("nesterov", "rectify")}
        variant = adam_variant(**flags)
        if not flags["nesterov"]:
            settings.pop("momentum_decay", None)
        return super().from_settings(settings) if variant is cls else variant.from_settings(settings)

    def scalars(self, t: Any, *carried: Any) -> tuple[Any, ...]:
        """What v and m are divided by."""
        return (1 - self.b2**t, 1 - self.b1**t), *carried

    def leaf(self, g: Any, p: Any, m: Any, v: Any, *rest: Any) -> tuple[Any, ...]:
        """The rule."""
        *largest, of_v, of_m = rest
        m = self.b1 * m + (1 - self.b1) * g
        v = self.b2 * v + (1 - self.b2) * square(g)
        largest = [maximum(before, v) for before in largest]
        scaled = m / of_m / (sqrt((largest or [v])[0] / of_v) + self.eps)
        return scaled, m, kept_square(v), *largest


class scale_by_nadam(_Moments):
    """Adam that looks one step ahead: m̂ = μ₊m/(1 − Πμ·μ₊) + (1 − μ)g/(1 − Πμ), μ_t = β₁(1 − ½·0.96^(ψt)).

    Πμ is the product of all μ up to now, μ₊ the next one (NAdam, Dozat 2016; as in PyTorch).

    b1, b2, eps, amsgrad  as in `scale_by_adam`
    momentum_decay        ψ, how fast μ grows towards β₁

    >>> import clearprop as cl
    >>> link, p = cl.optim.scale_by_nadam(), cl.tensor(1.0)
    >>> link.update(cl.tensor(3.0), link.init(p), p)[0]
    Tensor(1.05645177)
    """

    carried = ("mu_product",)
    momentum_decay: float = hyper(default=4e-3, within=NOT_NEGATIVE)

    def first_carried(self, name: str) -> float:
        """The empty product."""
        return 1.0

    def scalars(self, t: Any, *carried: Any) -> tuple[Any, ...]:
        """What v is divided by, and the factors of m and g; the product of all μ."""
        of_m, of_g, product = self.factors(t, *carried)
        return (1 - self.b2**t, of_m, of_g), product

    def factors(self, t: Any, before: Any) -> tuple[Any, Any, Any]:
        """The factors of m and g, and Πμ after step t."""
        mu, ahead = (self.b1 * (1 - 0.5 * 0.96 ** (self.momentum_decay * (t + i))) for i in (0, 1))
        product = before * mu
        return ahead / (1 - product * ahead), (1 - mu) / (1 - product), product

    def leaf(self, g: Any, p: Any, m: Any, v: Any, *rest: Any) -> tuple[Any, ...]:
        """The rule."""
        *largest, of_v, of_m, of_g = rest
        m = self.b1 * m + (1 - self.b1) * g
        v = self.b2 * v + (1 - self.b2) * square(g)
        largest = [maximum(before, v) for before in largest]
        scaled = (m * of_m + g * of_g) / (sqrt((largest or [v])[0] / of_v) + self.eps)
        return scaled, m, kept_square(v), *largest


class scale_by_radam(_Moments):
    """Adam with u multiplied by r_t where the variance of 1/√v̂ is finite (ρ_t ≥ 5), and u = m̂ before that.

    ρ_t = ρ∞ − 2tβ₂ᵗ/(1 − β₂ᵗ), ρ∞ = 2/(1 − β₂) − 1, r_t² = (ρ_t − 4)(ρ_t − 2)ρ∞/((ρ∞ − 4)(ρ∞ − 2)ρ_t) (RAdam, Liu
    et al. 2020; the border 5 as in optax, where the paper has ρ_t > 4).

    b1, b2, eps, amsgrad  as in `scale_by_adam`
    early_eps             whether ε is added to √v before v is corrected, as in PyTorch, and not after

    >>> import clearprop as cl
    >>> link, p = cl.optim.scale_by_radam(), cl.tensor(1.0)
    >>> link.update(cl.tensor(3.0), link.init(p), p)[0]
    Tensor(3.0)
    """

    early_eps: bool = False

    def scalars(self, t: Any, *carried: Any) -> tuple[Any, ...]:
        """What v and m are divided by, whether u is, and r_t."""
        return (1 - self.b2**t, 1 - self.b1**t, *rectification(self.b2, t)), *carried

    def leaf(self, g: Any, p: Any, m: Any, v: Any, *rest: Any) -> tuple[Any, ...]:
        """The rule."""
        *largest, of_v, of_m, known, r = rest
        m = self.b1 * m + (1 - self.b1) * g
        v = self.b2 * v + (1 - self.b2) * square(g)
        largest = [maximum(before, v) for before in largest]
        ahead = m / of_m
        eps = self.eps / sqrt(of_v) if self.early_eps else self.eps
        scaled = ahead / (sqrt((largest or [v])[0] / of_v) + eps)
        return where(known, r * scaled, ahead), m, kept_square(v), *largest


class scale_by_nradam(scale_by_nadam):
    """RAdam's rectification of NAdam's m̂: both variants together.

    b1, b2, eps, amsgrad, momentum_decay  as in `scale_by_nadam`

    >>> import clearprop as cl
    >>> link, p = cl.optim.scale_by_nradam(), cl.tensor(1.0)
    >>> link.update(cl.tensor(3.0), link.init(p), p)[0]
    Tensor(3.16935534)
    """

    def scalars(self, t: Any, *carried: Any) -> tuple[Any, ...]:
        """What v is divided by, the factors of m and g, whether u is divided, and r_t; the product of all μ."""
        shared, product = super().scalars(t, *carried)
        return (*shared, *rectification(self.b2, t)), product

    def leaf(self, g: Any, p: Any, m: Any, v: Any, *rest: Any) -> tuple[Any, ...]:
        """The rule."""
        *largest, of_v, of_m, of_g, known, r = rest
        m = self.b1 * m + (1 - self.b1) * g
        v = self.b2 * v + (1 - self.b2) * square(g)
        largest = [maximum(before, v) for before in largest]
        ahead = m * of_m + g * of_g
        scaled = ahead / (sqrt((largest or [v])[0] / of_v) + self.eps)
        return where(known, r * scaled, ahead), m, kept_square(v), *largest


def rectification(b2: float, t: Any) -> tuple[Any, Any]:
    """RAdam's `(ρ_t ≥ 5, r_t)` in step t."""
    longest = 2 / (1 - b2) - 1
    length = longest - 2 * t * b2**t / (1 - b2**t)
    known = maximum(length, 5.0)
    end = max(longest, 5.0)
    return length >= 5, sqrt((known - 4) * (known - 2) * end / ((end - 4) * (end - 2) * known))


def adam_variant(*, nesterov: bool, rectify: bool) -> type[_Moments]:
    """The link that `adam` and `adamw` have with these flags."""
    if nesterov:
        return scale_by_nradam if rectify else scale_by_nadam
    return scale_by_radam if rectify else scale_by_adam


class scale_by_rms(Leafwise):
    """v ← ρv + (1 − ρ)g², u = g/(√v + ε) (Tieleman & Hinton 2012).

    decay     ρ, the share of v that a step keeps
    eps       ε, which keeps u small where g has always been next to 0
    centered  whether the square of the average gradient is subtracted from v (Graves 2013)

    >>> import clearprop as cl
    >>> link, p = cl.optim.scale_by_rms(0.75), cl.tensor(1.0)
    >>> link.update(cl.tensor(3.0), link.init(p), p)[0]
    Tensor(1.99999999)
    """

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
            return g / (sqrt(v) + self.eps), kept_square(v)
        mean = self.decay * rest[0] + (1 - self.decay) * g
        return g / (sqrt(maximum(v - square(mean), 0.0)) + self.eps), kept_square(v), mean


class scale_by_adagrad(Leafwise):
    """v ← v + g², u = g/(√v + ε): the steps only become smaller (Duchi et al. 2011).

    eps      ε, which keeps u finite where g is 0
    initial  v before the first step

    >>> import clearprop as cl
    >>> link, p = cl.optim.scale_by_adagrad(initial=16.0), cl.tensor(1.0)
    >>> link.update(cl.tensor(3.0), link.init(p), p)[0]
    Tensor(0.6)
    """

    slots = ("v",)
    eps: float = hyper(default=1e-10, within=NOT_NEGATIVE)
    initial: float = hyper(default=0.0, within=NOT_NEGATIVE)

    def first(self, slot: str, p: Any) -> Any:
        """The initial sum."""
        return zeros_like(p) + self.initial

    def leaf(self, g: Any, p: Any, v: Any) -> tuple[Any, ...]:
        """The rule."""
        v = v + square(g)
        return g / (sqrt(v) + self.eps), kept_square(v)


class scale_by_lion(Leafwise):
    """The update u = sign(β₁m + (1 − β₁)g), then m ← β₂m + (1 − β₂)g (Chen et al. 2023).

    b1  β₁, the share of m in the sign
    b2  β₂, the share of m that a step keeps

    >>> import clearprop as cl
    >>> link, p = cl.optim.scale_by_lion(), cl.tensor(1.0)
    >>> link.update(cl.tensor(-0.3), link.init(p), p)[0]
    Tensor(-1.0)
    """

    slots = ("m",)
    b1: float = hyper(default=0.9, within=FRACTION)
    b2: float = hyper(default=0.99, within=FRACTION)

    def leaf(self, g: Any, p: Any, m: Any) -> tuple[Any, ...]:
        """The rule."""
        return sign(self.b1 * m + (1 - self.b1) * g), self.b2 * m + (1 - self.b2) * g


class scale_by_rprop(Leafwise):
    """The update u = −sign(g)·Δ; Δ grows while g keeps its sign and shrinks when it changes.

    iRprop⁻ (Igel & Hüsken 2000).  Where the sign changed, g counts as 0 in this step and in the next comparison.

    initial   Δ before the first step
    shrink    the factor of Δ where the sign changes
    grow      the factor of Δ where it stays
    smallest  the least Δ
    largest   the largest Δ

    >>> import clearprop as cl
    >>> link, p = cl.optim.scale_by_rprop(0.5), cl.tensor(1.0)
    >>> link.update(cl.tensor(3.0), link.init(p), p)[0]
    Tensor(-0.5)
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
