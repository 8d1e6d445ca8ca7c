"""Printing expressions: NumPy source, terminal text, LaTeX, each from the primitives' own spellings.

An expression is a tree of `Call`s of declared operations, `Name`s and `Number`s.  How an operation looks is taken
from its declaration (`numpy=`, `tex=`); where parentheses are needed is read from the spellings themselves.

Open to other folders beside the names here: `escaping`, `expressions`, `mathml`, `tex`.
"""

from clearprop.notation.expressions import (
    Call,
    Expression,
    Name,
    Number,
    Spelling,
    number_tex,
    number_text,
    numpy_source,
    subscript,
    subscript_tex,
    text,
)
from clearprop.notation.mathml import mathml
from clearprop.notation.tex import tex

__all__ = [
    "Call",
    "Expression",
    "Name",
    "Number",
    "Spelling",
    "mathml",
    "number_tex",
    "number_text",
    "numpy_source",
    "subscript",
    "subscript_tex",
    "tex",
    "text",
]
