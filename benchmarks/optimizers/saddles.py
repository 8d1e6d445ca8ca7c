"""Saddles: who leaves them, and after how many evaluations; and where Newton's pure iteration ends."""

from typing import Any

import numpy as np

from benchmarks.optimizers.markdown import table as markdown
from clearprop import optim
from problems.saddles import MAXIMUM, MINIMA, SADDLES, deep_linear, himmelblau, newton, stable_starts

METHODS = {
    "`newton_cg(saddle_free=True)`": optim.newton_cg(saddle_free=True),
    "`newton_cg()`": optim.newton_cg(),
    '`quasi_newton("sr1")`': optim.quasi_newton("sr1"),
    '`quasi_newton("lbfgs")`': optim.quasi_newton("lbfgs"),
    **{f"`adam({rate})`": optim.adam(rate) for rate in (0.001, 0.01, 0.03, 0.1, 0.3)},
    "`sgd(0.01)`": optim.sgd(0.01),
}


HEAD = ["method", "below the saddle", "at a minimum"]
HEAD += [f"{depth} layers, {place}" for depth in (2, 3) for place in ("origin", "near")]


def evaluations(f: Any, start: Any, method: Any, levels: tuple[float, ...], steps: int = 3000) -> list[int | None]:
    """Gradients (a Hessian-vector product counts as two) until f is below each level; None: never."""
    reached: dict[float, int] = {}

    def watch(progress: Any) -> str | None:
        for level in levels:
            if progress.value < level:
                reached.setdefault(level, progress.evaluations.cost)
        return "stop" if len(reached) == len(levels) else None

    optim.minimize(f, start, method, tolerance=0, steps=steps, watch=watch)
    return [reached.get(level) for level in levels]


def from_stable_sets(method: Any) -> list[list[int | None]]:
    """Per start: until 1 below the saddle's value, and until 1e-6 from a minimum's value 0."""
    return [evaluations(himmelblau, x, method, (value - 1, 1e-6)) for x, value in stable_starts()]


def from_the_origin(depth: int, scale: float, method: Any) -> list[int | None]:
    """Until half the loss of the saddle, and until a millionth of it."""
    f, value, origin = deep_linear(depth)
    r = np.random.default_rng(1)
    return evaluations(f, [w + scale * r.standard_normal(w.shape) for w in origin], method, (0.5 * value, 1e-6 * value))


def where_newton_ends(count: int = 400) -> dict[str, int]:
    """What kind of critical point Newton's iteration finds from random starts in the square of side 10."""
    ends = {"minimum": 0, "saddle": 0, "maximum": 0, "none": 0}
    kinds = (
        [("minimum", p) for p in MINIMA]
        + [("saddle", np.array(p)) for p, _ in SADDLES]
        + [("maximum", np.array(MAXIMUM[0]))]
    )
    for start in np.random.default_rng(0).uniform(-5, 5, (count, 2)):
        x = newton(himmelblau, start, 100)
        ends[next((kind for kind, p in kinds if np.linalg.norm(x - p) < 1e-6), "none")] += 1
    return ends


def stays() -> int:
    """From how many of the stable starts Newton's iteration ends in the saddle."""
    places = [np.array(p) for p, _ in SADDLES for _ in range(2)]
    return sum(
        bool(np.linalg.norm(newton(himmelblau, x) - p) < 1e-6)
        for (x, _), p in zip(stable_starts(), places, strict=True)
    )


def table() -> str:
    rows = []
    for name, method in METHODS.items():
        himmelblau_rows = from_stable_sets(method)
        cells = [_range([r[i] for r in himmelblau_rows]) for i in (0, 1)]
        deep = [from_the_origin(depth, scale, method) for depth in (2, 3) for scale in (0.0, 1e-3)]
        rows.append([name, *cells, *(f"{_never(a)} / {_never(b)}" for a, b in deep)])
    ends, total = where_newton_ends(), 400
    return "\n\n".join([
        "# Saddles",
        "Evaluations in gradients; a Hessian-vector product counts as two. Himmelblau's function from eight points on "
        "the stable sets of its saddles (least to most): until f is 1 below the saddle, and until it is below 1e-6. "
        "Deep linear networks of 2 and 3 layers at the origin, a saddle (of higher order for 3), and 1e-3 from it: "
        "until the loss is half, and a millionth.",
        markdown(HEAD, rows),
        f"Newton's pure iteration x ← x − H⁻¹∇f is attracted by saddles: it ends in them from {stays()} of those eight "
        f"points, and from {total} random points of the square [−5, 5]² in a minimum {ends['minimum']} times, in a "
        f"saddle {ends['saddle']} times, in the maximum {ends['maximum']} times.",
    ])  # fmt: skip


def _never(n: int | None) -> str:
    return "never" if n is None else str(n)


def _range(numbers: list[int | None]) -> str:
    known = [n for n in numbers if n is not None]
    if not known:
        return "never"
    missing = len(numbers) - len(known)
    return f"{min(known)} – {max(known)}" + (f", {missing} never" if missing else "")
