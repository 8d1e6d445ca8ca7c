"""The LaTeX of explanations compiles with amsmath."""

import os
import shutil
import subprocess

import pytest

import clearprop as cl
from tests.explanation.neuron import product_form, sum_form
from tests.explanation.test_html import PAGES
from tests.explanation.test_html import _network as network

DOCUMENT = r"""\documentclass{article}
\usepackage[paperwidth=60cm,paperheight=60cm,margin=1cm]{geometry}
\usepackage{amsmath}
\begin{document}
%s
\end{document}
"""


def _latex():
    if shutil.which("pdflatex") is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("pdflatex is not installed")
    return "pdflatex"


def _all_pages():
    """The neuron in both forms, a network, closed gates, a softmax, and names with special characters."""
    parts = [cl.explain(y, wrt=v).latex() for y, leaves in (product_form(), sum_form()) for v in leaves.values()]
    parts += [PAGES["closed"]().latex(), network().latex()]
    w = cl.tensor([-1.5, 40.0], name="w", requires_grad=True)
    parts.append(cl.explain(cl.sum(cl.relu(w)) + cl.tanh(w)[1], wrt=w).latex())
    x = cl.tensor([0.1, 0.2], name="x_1%&#", requires_grad=True)
    y = cl.sum(cl.softmax(x) ** 2) + cl.logsumexp(x) + cl.gelu(x)[0] + cl.maximum(x, 0.15)[1]
    entry = cl.explain(y, wrt=x)[0]
    parts += [entry.latex()]
    while not entry.terms[0].is_last:
        entry = entry.terms[0].open()
        parts.append(entry.latex())
    return parts


def test_it_compiles_with_amsmath(tmp_path):
    (tmp_path / "page.tex").write_text(DOCUMENT % "\n\n".join(_all_pages()), encoding="utf-8")
    command = [_latex(), "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 0, "\n".join(line for line in found.stdout.splitlines() if line.startswith(("!", "l.")))
    assert "Missing character" not in (tmp_path / "page.log").read_text(encoding="latin-1")


def test_nothing_but_ascii_outside_of_mathematics():
    for part in _all_pages():
        assert part.startswith("\\begin{align*}")
        assert part.isascii(), next(c for c in part if not c.isascii())
