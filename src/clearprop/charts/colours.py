"""The colours of pages and charts, light and dark: the one place where they are chosen."""

from __future__ import annotations

from collections.abc import Sequence

CURVES = ("#0550ae", "#a83200", "#1a7f37", "#8250df", "#7a5c00", "#bf1f6a")
"""So many curves have colours of their own, each with a contrast of 5:1 to white; further ones have other dashes."""
CURVES_DARK = ("#79c0ff", "#ffa657", "#7ee787", "#d2a8ff", "#e3c24a", "#ff9bce")
"""The same curves on a dark page."""
INK, SOFT, LINE = "#1b1f24", "#57606a", "#d0d7de"
"""The colours of words, of lines that only guide the eye, and of the grid."""
ALARM = "#d1242f"
"""The edge of what has gone wrong."""

PAGE_STYLE = f"""
:root {{ color-scheme: light dark; --ink: {INK}; --paper: #ffffff; --soft: {SOFT}; --line: {LINE};
  --band: #f6f8fa; --mark: #0a5c36; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e6edf3; --paper: #0d1117; --soft: #9da7b3; --line: #3d444d;
  --band: #161b22; --mark: #7ee2a8; }} }}
"""
"""What every page calls its colours."""


def _variables(palette: Sequence[str]) -> str:
    return " ".join(f"--c{i}: {colour};" for i, colour in enumerate(palette))


CURVES_STYLE = f""":root {{ {_variables(CURVES)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_variables(CURVES_DARK)} }} }}"""
"""What a page with charts calls the colours of curves, in addition."""
VARIABLES = {**{colour: f"--c{i}" for i, colour in enumerate(CURVES)}, INK: "--ink", SOFT: "--soft", LINE: "--line"}
"""The name that a page has for each colour with which a chart is drawn."""
