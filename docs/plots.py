"""The plots of functions and their derivatives: `python docs/plots.py` draws them; a test keeps them current."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import clearprop as cl
from clearprop.charts.colours import CURVES, CURVES_DARK, INK, LINE, SOFT
from clearprop.primitives import REGISTRY, Primitive
from clearprop.rules import on_demand

FOLDER = Path(__file__).parent / "images" / "functions"
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 360, 200, 34, 24, 20
POINTS = 240
"""An even number: no kink at a round number is met, so that a jump is one step."""
TALLEST = 4.0
"""How far a plot goes up and down where nothing else is said."""
HEIGHTS = {"rad2deg": 200.0, "logit": 12.0, "ndtri": 8.0}

RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("acos", "asin", "atanh", "erfinv"), (-1.0, 1.0)),
    **dict.fromkeys(("logit", "entr", "ndtri"), (0.0, 1.0)),
    **dict.fromkeys(("log", "log2", "log10", "sqrt", "rsqrt", "exact_log"), (0.0, 4.0)),
    **dict.fromkeys(("sin", "cos", "tan", "sinc"), (-6.0, 6.0)),
    **dict.fromkeys(("gelu", "gelu_tanh", "hard_sigmoid", "hard_silu", "mish", "relu6", "silu"), (-6.0, 8.0)),
    **dict.fromkeys(("sigmoid", "softplus", "log_ndtr", "lgamma", "digamma"), (-5.0, 5.0)),
    "acosh": (1.0, 4.0), "betaln": (0.0, 4.0), "betainc": (0.0, 1.0), "deg2rad": (-180.0, 180.0),
    "gammainc": (0.0, 6.0), "gammaincc": (0.0, 6.0), "log1p": (-1.0, 3.0), "pow": (0.0, 3.0), "xlog1py": (-1.0, 3.0),
    "xlogy": (0.0, 3.0), "polygamma": (0.0, 4.0), "zeta": (0.0, 4.0),
}  # fmt: skip
"""Between which numbers x goes; else from −3 to 3."""
X = None
"""Where x stands among the operands."""
SECTIONS: dict[str, tuple[float | None, ...]] = {
    **dict.fromkeys(("betainc",), (2.0, 3.0, X)),
    **dict.fromkeys(("gammainc", "gammaincc", "zeta"), (2.0, X)),
    **dict.fromkeys(("xlogy", "xlog1py"), (1.0, X)),
    **dict.fromkeys(("absolute_error", "squared_error", "huber_error"), (X, 0.0)),
    **dict.fromkeys(("maximum", "minimum", "fmax", "fmin", "atan2", "hypot", "logaddexp", "floor_divide"), (X, 1.0)),
    **dict.fromkeys(("add", "subtract"), (X, 1.0)), "sigmoid_cross_entropy": (X, 0.8), "clip": (X, -1.0, 1.0),
    "heaviside": (X, 0.5), "lerp": (0.0, 2.0, X), "copysign": (X, -1.0), "divide": (1.0, X),
}  # fmt: skip
"""Functions of several numbers are shown along one of them; the others, 1.5 where nothing is said, stay."""


def shown() -> list[Primitive]:
    """The public functions that have a plot: of numbers, element by element, and with a derivative."""
    on_demand.load_all()
    own = (p for p in REGISTRY.values() if p.__module__.startswith("clearprop.rules.") and p.public)
    return [p for p in own if p.kind == "elementwise" and (p.has_rule or p.is_composite) and p.name not in UNSHOWN]


UNSHOWN = ("where", "stop_gradient", "conj", "real", "imag", "isinf", "lcm", "logical_xor")
"""Choices, what cuts derivatives off, functions of complex numbers, of conditions and of integers."""


def section(p: Primitive) -> tuple[float | None, ...]:
    """The operands of a plot, None where x stands."""
    return SECTIONS.get(p.name, (X, *[1.5] * (len(p.operands) - 1)))


def title(p: Primitive) -> str:
    """The call that is plotted, `hypot(x, 1)`."""
    return f"{p.name}({', '.join('x' if v is X else f'{v:g}'.replace('-', '−') for v in section(p))})"


def curves(p: Primitive) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """x, the function and its derivative there."""
    low, high = RANGES.get(p.name, (-3.0, 3.0))
    x = np.linspace(low, high, POINTS)
    with np.errstate(all="ignore"):
        y, pullback = cl.vjp(lambda x: p(*(x if v is X else np.float64(v) for v in section(p))), x)
        (slope,) = pullback(np.ones(POINTS))
    return x, np.asarray(y), np.asarray(slope)


# --------------------------------------------------------------------------------------------------------- drawing
def drawn(p: Primitive) -> str:
    """The plot as the text of an SVG file, in light and dark colours."""
    x, y, slope = curves(p)
    known = np.concatenate([v[np.isfinite(v)] for v in (y, slope)])
    tallest = HEIGHTS.get(p.name, TALLEST)
    low, high = max(known.min(), -tallest), min(known.max(), tallest)
    room = 0.05 * (high - low) or 1.0
    frame = Frame((x[0], x[-1]), (low - room, high + room))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img">',
            f"<title>{title(p)} and its derivative for x from {x[0]:g} to {x[-1]:g}</title>",
            f"<style>{_style()}</style>",
            *frame.axes(),
            *frame.curve(x, slope, "slope"),
            *frame.curve(x, y, "value"),
            f'<text class="value" x="{LEFT}" y="14">{title(p)}</text>',
            f'<text class="slope" x="{WIDTH - 6}" y="14" text-anchor="end">- - derivative by x</text>',
            "</svg>\n",
        ]
    )


def _style() -> str:
    """Colours and pens, for light and dark pages."""

    def coloured(value: str, slope: str, ink: str, line: str, zero: str) -> str:
        return (
            f"path.value{{stroke:{value}}}text.value{{fill:{value}}}path.slope{{stroke:{slope}}}"
            f"text.slope{{fill:{slope}}}.tick{{fill:{ink}}}.grid{{stroke:{line}}}.zero{{stroke:{zero}}}"
        )

    light = coloured(CURVES[0], CURVES[1], INK, LINE, SOFT)
    dark = coloured(CURVES_DARK[0], CURVES_DARK[1], "#e6edf3", "#3d444d", "#9da7b3")
    return (
        "text{font:11px sans-serif}path{fill:none;stroke-width:1.8;stroke-linejoin:round}.slope{stroke-dasharray:5 3}"
        f"{light}@media(prefers-color-scheme:dark){{{dark}}}"
    )


class Frame:
    """Where the numbers of a plot stand on the picture."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        self.x, self.y = x, y

    def across(self, x: float) -> float:
        """The place of x from the left."""
        return LEFT + (x - self.x[0]) / (self.x[1] - self.x[0]) * (WIDTH - LEFT - 6)

    def down(self, y: float) -> float:
        """The place of y from above."""
        return HEIGHT - BOTTOM - (y - self.y[0]) / (self.y[1] - self.y[0]) * (HEIGHT - TOP - BOTTOM)

    def axes(self) -> Iterator[str]:
        """Lines at round numbers, with the numbers."""
        for value in ticks(*self.y):
            at = self.down(value)
            kind = "zero" if value == 0 else "grid"
            yield f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - 6}" y1="{at:.1f}" y2="{at:.1f}"/>'
            yield f'<text class="tick" x="{LEFT - 4}" y="{at + 4:.1f}" text-anchor="end">{_number(value)}</text>'
        for value in ticks(*self.x):
            at = self.across(value)
            kind = "zero" if value == 0 else "grid"
            yield f'<line class="{kind}" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
            yield f'<text class="tick" x="{at:.1f}" y="{HEIGHT - 5}" text-anchor="middle">{_number(value)}</text>'

    def curve(self, x: NDArray[np.float64], y: NDArray[np.float64], kind: str) -> Iterator[str]:
        """A line through what is inside the frame; it ends at gaps, at jumps and where it leaves."""
        inside = np.isfinite(y) & (y >= self.y[0]) & (y <= self.y[1])
        pieces: list[list[str]] = [[]]
        for here, a, b, jump in zip(inside, x, y, self._jumps(y), strict=True):
            if not here or jump:
                pieces.append([])
            if here:
                pieces[-1].append(f"{self.across(a):.1f} {self.down(b):.1f}")
        text = "".join("M" + "L".join(_straightened(piece)) for piece in pieces if len(piece) > 1)
        yield f'<path class="{kind}" d="{text}"/>'

    def _jumps(self, y: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether a value is far from the one before, and both of them near their other neighbours."""
        with np.errstate(invalid="ignore"):
            steps = np.abs(np.diff(y, prepend=y[0], append=y[-1]))
        before, step, after = np.r_[0.0, steps[:-2]], steps[:-1], steps[1:]
        return (step > 0.02 * (self.y[1] - self.y[0])) & (step > 5 * np.fmax(before, after))


def _straightened(points: Sequence[str]) -> list[str]:
    """The points without those in the middle of a level line."""
    levels = [p.split()[1] for p in points]
    last = len(points) - 1
    return [p for i, p in enumerate(points) if i in (0, last) or not levels[i - 1] == levels[i] == levels[i + 1]]


def ticks(low: float, high: float) -> list[float]:
    """Three to seven round numbers between two."""
    rough = (high - low) / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
    return [k * step for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _number(value: float) -> str:
    return f"{value:g}".replace("-", "−")


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.svg"):
        old.unlink()
    for primitive in shown():
        (FOLDER / f"{primitive.name}.svg").write_text(drawn(primitive), encoding="utf-8")
