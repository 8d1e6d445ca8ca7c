"""Fractional gradients, as links in front of any optimizer: what they are, without promises.

At α = 1 each gives the gradient itself, bit for bit.  None has been shown to train networks better than heavy ball
with a tuned learning rate, which two of them are in disguise: `docs/fractional.md` shows it, and the bias of the
third where its terminal is fixed.
"""

from __future__ import annotations

import functools
import math
from typing import Any

from clearprop.optim.hyperparameters import ANY_NUMBER, COUNT, NOT_NEGATIVE, POSITIVE, Choices, Range, hyper
from clearprop.optim.transform import Leafwise, ParameterView, Transform, operand
from clearprop.optim.update_arguments import gradient_and_curvature, gradient_at, move_parameters, require_argument
from clearprop.rules.elementwise import abs, minimum, where
from clearprop.rules.reductions import min

Terminal = str | float


class fractional_memory(Leafwise):
    """The fractional integral of order 1 − α of the gradients: a momentum whose memory fades as a power of time.

    u_t = Σⱼ wⱼ·g_{t−j} / Σⱼ wⱼ over the last `window` + 1 gradients, with Grünwald and Letnikov's weights w₀ = 1,
    wⱼ = (1 − α/j)·wⱼ₋₁.  The weights of a window of 10 sum to 1.33, 2.27, 3.70 for α = 0.9, 0.7, 0.5: without
    `normalize` the learning rate is larger by as much, which is all of the speed-up that is often reported.
    α = 1 has no memory.

    The idea is that of FCSGD_G-L (Zhou, Zhao & Huang 2023) and AdaGL (Chen, Zhang & Mu 2024), whose own formulas were
    read in a catalogue only; ours is the textbook's kernel.  Their derivative kernels sum to less than 0 for α > 1 and
    would climb; an integral's weights are positive.

    alpha      α, 0 < α ≤ 1
    window     how many gradients before the last one count
    normalize  whether u is divided by the sum of the weights

    >>> import clearprop as cl
    >>> opt, p = cl.optim.fractional_memory(0.5, window=1), cl.tensor(0.0)
    >>> _, state = opt.update(cl.tensor(3.0), opt.init(p), p)
    >>> opt.update(cl.tensor(0.0), state, p)[0]
    Tensor(1.0)
    """

    counts = True
    alpha: float = hyper(default=0.9, within=Range(0.0, 1.0, "["))
    window: int = hyper(default=10, within=COUNT._replace(high=1000))
    normalize: bool = True

    @property
    def weights(self) -> list[float]:
        """The numbers w₀, w₁, …, w_window."""
        found = [1.0]
        for j in range(1, self.window + 1):
            found.append((1 - self.alpha / j) * found[-1])
        return found

    @property
    def slots(self) -> tuple[str, ...]:  # type: ignore[override]  # here it depends on α
        """The gradients before, newest first."""
        return () if self.alpha == 1 else tuple(f"before_{j}" for j in range(1, self.window + 1))

    def scalars(self, t: Any, *carried: Any) -> tuple[Any, ...]:
        """The sum of the weights whose gradients there are."""
        if self.alpha == 1 or not self.normalize:
            return ((),)
        total: Any = 1.0
        for j, w in enumerate(self.weights[1:], start=1):
            total = total + where(t > j, w, 0.0)
        return ((total,),)

    def leaf(self, g: Any, p: Any, *rest: Any) -> tuple[Any, ...]:
        """The rule."""
        before, total = rest[: len(self.slots)], rest[len(self.slots) :]
        u = g
        for w, old in zip(self.weights[1:], before, strict=False):
            u = u + w * old
        return (u / total[0] if total else u), *((g, *before)[: len(before)])


class caputo(Leafwise):
    """Each partial derivative times (|θ − c| + ε)^(1−α) / Γ(2 − α), at most `max_factor`.

    This is Caputo's derivative of order α cut after its first term: a learning rate per weight that depends on the
    weight's distance from the terminal c.  It vanishes where the gradient does, so minima stay minima.

    alpha       α, 0 < α < 2
    terminal    "previous": θ one step ago (Sheng et al. 2020); the first step is the gradient's own.
                "initial": θ at the start.  "minimum": the smallest weight of the array (Wang et al. 2017, as a port has
                it; the paper itself was not at hand).  A number: 0.0 is Herrera-Alcántara's (2022), with α up to 2.
    eps         ε, what is added to every distance
    max_factor  the largest factor

    With "previous" and α < 1 steps collapse: where θ stands still the factor is ε^(1−α)/Γ(2−α), at ε = 1e-8 0.167,
    0.0044, 0.00011 for α = 0.9, 0.7, 0.5, and slow steps make it stand still.  With α > 1 small distances are
    amplified without bound, hence `max_factor`.

    >>> import clearprop as cl
    >>> opt, p = cl.optim.caputo(0.5, terminal=0.0), cl.tensor(4.0)
    >>> opt.update(cl.tensor(1.0), opt.init(p), p)[0]
    Tensor(2.25675834)
    """

    alpha: float = hyper(default=0.9, within=Range(0.0, 2.0, "[]"))
    terminal: Terminal = hyper(
        default="previous", within=Choices(("previous", "initial", "minimum"), ANY_NUMBER.holds, "a number")
    )
    eps: float = hyper(default=1e-8, within=POSITIVE)
    max_factor: float = hyper(default=10.0, within=Range(1.0, math.inf, "]"))

    @property
    def counts(self) -> bool:  # type: ignore[override]  # here it depends on the terminal
        """The first step has no step before it."""
        return self.terminal == "previous"

    @property
    def slots(self) -> tuple[str, ...]:  # type: ignore[override]  # here it depends on the terminal
        """The terminal, where it is a point of the past."""
        return ("terminal",) if self.terminal in ("previous", "initial") else ()

    def first(self, slot: str, p: Any) -> Any:
        """The start, in memory of its own."""
        return 1 * p

    def scalars(self, t: Any, *carried: Any) -> tuple[Any, ...]:
        """Whether this is the first step."""
        return ((t == 1,),)

    def leaf(self, g: Any, p: Any, *rest: Any) -> tuple[Any, ...]:
        """The rule."""
        kept = {"previous": (p,), "initial": rest[:1]}.get(str(self.terminal), ())
        if self.alpha == 1:
            return g, *kept
        c = rest[0] if kept else min(p) if self.terminal == "minimum" else self.terminal
        factor = minimum((abs(p - c) + self.eps) ** (1 - self.alpha) / math.gamma(2 - self.alpha), self.max_factor)
        return (where(rest[1], g, factor * g) if self.counts else factor * g), *kept


class cfgd(Transform):
    """Caputo fractional gradient descent: the weighted mean of ∇f between the terminal c and θ, plus a correction.

    u = ∫₀¹ k(s)·(∇f(z) + β·H(z)(θ − c)) ds at z = c + s(θ − c), with the kernel k(s) = (1 − α)(1 − s)^(−α) and H the
    Hessian, both exact, by `nodes` points of Gauss and Jacobi: `nodes` more gradients and, unless β = 0, `nodes`
    Hessian-vector products per step.  α = 1 is the gradient alone.

    On a quadratic u = ∇f(θ) + (β − (1−α)/(2−α))·H(θ − c).  So with a fixed terminal and β = 0 it does not stop at the
    minimum a, but at a + (1 − α)(a − c); β = (1−α)/(2−α), the default (None), removes that, and leaves the gradient.
    With the terminal "previous" it is heavy ball with a momentum per weight.

    Shin, Darbon & Karniadakis (2023), normalised, along the segment from c to θ: their formula integrates every
    partial derivative along its own coordinate, which costs a gradient per weight and node, and is the same where
    weights do not interact.

    alpha     α, 0 < α ≤ 1
    beta      β, the weight of the correction; None: the one that removes the bias
    terminal  "previous": θ one step ago.  "initial": θ at the start.  A number.
    nodes     the points at which the integrand is evaluated

    >>> import clearprop as cl
    >>> f, p = lambda x: 0.5 * (x - 5.0) ** 2, cl.tensor(5.5)
    >>> opt = cl.optim.cfgd(0.9, beta=0.0, terminal=0.0)
    >>> abs(float(opt.update(cl.grad(f)(p), opt.init(p), p, f=f)[0])) < 1e-12
    True
    """

    needs = frozenset({"f"})
    alpha: float = hyper(default=0.9, within=Range(0.0, 1.0, "["))
    beta: float | None = hyper(default=None, within=NOT_NEGATIVE._replace(or_none=True))
    terminal: Terminal = hyper(
        default="previous", within=Choices(("previous", "initial"), ANY_NUMBER.holds, "a number")
    )
    nodes: int = hyper(default=3, within=COUNT._replace(high=64))

    def init(self, params: Any) -> dict[str, Any]:
        """The terminal, where it is a point of the past."""
        return {"terminal": ParameterView(params).make(lambda p: 1 * p)} if isinstance(self.terminal, str) else {}

    def update(self, grads: Any, state: dict[str, Any], params: Any, **extra: Any) -> tuple[Any, dict[str, Any]]:
        """The weighted mean in place of the gradient."""
        view = ParameterView(params)
        new = {"terminal": view.make(lambda p: 1 * p)} if self.terminal == "previous" else state
        if self.alpha == 1:
            return view.build(view.gradients(grads)), new
        f = require_argument(self, extra, "f")
        pairs = zip(view.leaves, self._terminals(view, state), view.gradients(grads), strict=True)
        way = [None if g is None else p - c for p, c, g in pairs]
        total: list[Any] = [None] * len(way)
        for s, weight in segment_rule(self.alpha, self.nodes):
            part = self._at(f, view, move_parameters(view, way, s - 1), way)
            total = [
                _add_weighted(t, weight, u) if w is not None else None for t, u, w in zip(total, part, way, strict=True)
            ]
        return view.build(total), new

    def _terminals(self, view: ParameterView, state: dict[str, Any]) -> list[Any]:
        if isinstance(self.terminal, str):
            return view.of(state["terminal"], "terminals")
        return [operand(self.terminal)] * len(view.leaves)

    def _at(self, f: Any, view: ParameterView, point: Any, way: list[Any]) -> list[Any]:
        """∇f + β·H·(θ − c) at a point of the segment."""
        beta = (1 - self.alpha) / (2 - self.alpha) if self.beta is None else self.beta
        if beta == 0:
            return gradient_at(f, view, point)
        slope, curved = gradient_and_curvature(f, view, point, way)
        return [None if g is None else g + beta * h for g, h in zip(slope, curved, strict=True)]


def _add_weighted(total: Any, weight: float, value: Any) -> Any:
    return weight * value if total is None else total + weight * value


@functools.cache
def segment_rule(alpha: float, nodes: int) -> tuple[tuple[float, float], ...]:
    """Points s in (0, 1) and weights, which sum to 1, for the kernel (1 − α)(1 − s)^(−α): exact to degree 2·nodes − 1.

    >>> [(round(s, 6), w) for s, w in segment_rule(0.5, 1)]
    [(0.666667, 1.0)]
    """
    from scipy.special import roots_jacobi  # start-up time: SciPy is loaded by those who ask for these points

    points, weights = roots_jacobi(nodes, -alpha, 0.0)
    share = weights / weights.sum()
    return tuple((float((1 + u) / 2), float(w)) for u, w in zip(points, share, strict=True))
