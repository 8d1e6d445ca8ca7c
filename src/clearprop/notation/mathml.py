r"""LaTeX to MathML, for the LaTeX that this package writes: what a browser shows comes from the same declarations."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

_TOKEN = re.compile(r"\\\\|\\[a-zA-Z]+|\\.|[{}^_&]|\d+(?:\.\d+)?|\s+|.")
_SIGNS = {
    "cdot": "·", "odot": "⊙", "ne": "≠", "le": "≤", "ge": "≥", "land": "∧", "lor": "∨", "lnot": "¬", "sum": "∑",
    "prod": "∏", "forall": "∀", "exists": "∃", "lvert": "|", "rvert": "|", "lVert": "‖", "rVert": "‖",
    "lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉", "{": "{", "}": "}",
}  # fmt: skip
_LETTERS = {
    "partial": "∂", "infty": "∞", "top": "⊤", "ldots": "…", "Phi": "Φ", "alpha": "α", "beta": "β", "gamma": "γ",
    "delta": "δ", "epsilon": "ε", "zeta": "ζ", "eta": "η", "theta": "θ", "kappa": "κ", "lambda": "λ", "mu": "μ",
    "nu": "ν", "xi": "ξ", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω",
}  # fmt: skip
_OPENING, _CLOSING = ("(", "[", "⌊", "⌈"), (")", "]", "⌋", "⌉")
_SPACES = {",": "0.17em", "quad": "1em", " ": "0.25em"}
_SILENT = {"textstyle", "displaystyle"}
_MINUS = "\u2212"


def mathml(latex: str, display: str = "inline") -> str:
    r"""The `<math>` element that shows the formula.

    >>> mathml(r"\frac{1}{x}")
    '<math display="inline" displaystyle="true"><mrow><mfrac><mn>1</mn><mi>x</mi></mfrac></mrow></math>'
    """
    style = ' displaystyle="true"' if "frac" in latex else ""
    return f'<math display="{display}"{style}>{_row(_Reader(latex).until(""))}</math>'


def _row(parts: list[str]) -> str:
    return f"<mrow>{''.join(parts)}</mrow>"


def _single(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else _row(parts)


def operator(sign: str, stretchy: bool = False) -> str:
    """An operator, fence or separator; a stretchy fence is as high as what it holds."""
    form = "prefix" if sign in _OPENING else "postfix" if sign in _CLOSING else ""
    if not form:
        return f"<mo>{escape(sign)}</mo>"
    return f'<mo form="{form}" stretchy="{str(stretchy).lower()}" lspace="0" rspace="0">{sign}</mo>'


class _Reader:
    """Reads LaTeX from left to right into MathML elements."""

    def __init__(self, latex: str) -> None:
        self.tokens = _TOKEN.findall(latex)
        self.at = 0

    def next(self) -> str:
        self.at += 1
        return str(self.tokens[self.at - 1]) if self.at <= len(self.tokens) else ""

    def until(self, end: str, *also: str) -> list[str]:
        """The elements up to a closing token, which is taken."""
        parts: list[str] = []
        while (token := self.next()) not in ("", end, *also):
            if token in "^_":
                parts.append(self._script(token, parts.pop() if parts else "<mrow></mrow>"))
            elif token == "-" and _expects_operand(parts):
                parts.append(f'<mo form="prefix">{_MINUS}</mo>')
            elif (element := self._element(token)) != "":
                parts.append(element)
        self.last = token
        return parts

    def _script(self, kind: str, base: str) -> str:
        tag = "msup" if kind == "^" else "msub"
        return f"<{tag}>{base}{self._argument()}</{tag}>"

    def _argument(self) -> str:
        """A group, or the next element."""
        token = self.next()
        while token.isspace():
            token = self.next()
        return _single(self.until("}")) if token == "{" else self._element(token)

    def _raw(self) -> str:
        """The text of a group, with its escapes undone."""
        depth, text = 0, ""
        while True:
            token = self.next()
            depth += (token == "{") - (token == "}")
            if depth <= 0 or token == "":
                return text
            if token == "{" and depth == 1:
                continue
            text += token[1:] if len(token) == 2 and token[0] == "\\" else _plain(token)

    def _element(self, token: str) -> str:
        if token.isspace():
            return ""
        if token == "{":
            return _single(self.until("}"))
        if token[0].isdigit():
            return f"<mn>{token}</mn>"
        if token[0] == "\\":
            return self._command(token[1:])
        if token.isalpha() or token in "…₀₁₂₃₄₅₆₇₈₉²":
            return f"<mi>{token}</mi>"
        return operator(_MINUS if token == "-" else token)

    def _command(self, name: str) -> str:
        built: dict[str, Callable[[], str]] = {
            "frac": lambda: f"<mfrac>{self._argument()}{self._argument()}</mfrac>",
            "sqrt": lambda: f"<msqrt>{self._argument()}</msqrt>",
            "operatorname": lambda: f"<mi>{escape(self._raw())}</mi>",
            "mathrm": lambda: f"<mi>{escape(self._raw())}</mi>",
            "text": lambda: f"<mtext>{escape(self._raw())}</mtext>",
            "mathbf": lambda: f"<mi>{_bold_digits(self._argument())}</mi>",
            "begin": self._cases,
            "left": lambda: operator(self.next(), stretchy=True),
            "right": lambda: operator(self.next(), stretchy=True),
        }
        if name in built:
            return built[name]()
        if name in _SPACES:
            return f'<mspace width="{_SPACES[name]}"></mspace>'
        if name in _SILENT:
            return ""
        if name in _SIGNS:
            return operator(_SIGNS[name])
        if name in _LETTERS:
            return f"<mi>{_LETTERS[name]}</mi>"
        return f"<mrow><mi>{escape(name)}</mi><mo>&#x2061;</mo></mrow>"  # applied to what follows

    def _cases(self) -> str:
        """Two columns behind a brace, up to the end of the environment."""
        self._raw()
        rows: list[str] = []
        cells: list[str] = []
        while True:
            cells.append(f"<mtd>{_row(self.until('&', chr(92) * 2, chr(92) + 'end'))}</mtd>")
            if self.last != "&":
                rows.append(f"<mtr>{''.join(cells)}</mtr>")
                cells = []
            if self.last not in ("&", "\\\\"):
                break
        self._raw()
        return f'<mrow><mo stretchy="true">{{</mo><mtable columnalign="left">{"".join(rows)}</mtable></mrow>'


def _expects_operand(parts: list[str]) -> bool:
    """Whether a minus here is a sign, and no subtraction."""
    return not parts or (parts[-1].startswith("<mo") and parts[-1][-6:-5] not in ")]}|‖⌋⌉")


def _plain(token: str) -> str:
    return "\\" if token == "\\backslash" else token


def _bold_digits(element: str) -> str:
    text = re.sub(r"<[^>]+>", "", element)
    return "".join(chr(0x1D7CE + int(c)) if c.isdigit() else c for c in text)
