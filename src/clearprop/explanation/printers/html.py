"""The explanation as one HTML page: MathML, no script, nothing loaded, light and dark, printable, readable aloud."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clearprop.charts.colours import PAGE_STYLE
from clearprop.explanation.explanations import Entry, Explanation, Factor, Path, Term
from clearprop.explanation.printers.latex import rule_latex
from clearprop.explanation.printers.terminal import ENTRIES, check_text, rounding_text, shown_factors, written_paths
from clearprop.explanation.record import prints
from clearprop.notation import mathml, number_tex, number_text
from clearprop.notation.escaping import html_text
from clearprop.notation.expressions import Name, Number

DEPTH, OPENED = 2, 3
"""How many levels below an entry are opened on the page, and how many of the largest terms of each."""

_STYLE = (
    PAGE_STYLE
    + """* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.2rem; } h3 { font-size: 1.05rem; }
code, .line { font-family: ui-monospace, monospace; font-size: 0.9em; }
section { border-top: 1px solid var(--line); padding: 0.5rem 0 1rem; }
.wide { overflow-x: auto; padding: 0.25rem 0; }
table { border-collapse: collapse; margin: 0.5rem 0; }
caption { text-align: left; color: var(--soft); padding: 0.25rem 0; }
th, td { text-align: left; padding: 0.3rem 0.9rem 0.3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; } .number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.reason, .confirmed { margin: 0.5rem 0; } .confirmed { color: var(--mark); } .line { color: var(--soft); }
details { margin: 0.4rem 0 0.4rem 1rem; border-left: 2px solid var(--line); padding-left: 0.9rem; }
summary { cursor: pointer; padding: 0.2rem 0; }
@media print { body { font-size: 11pt; } main { max-width: none; padding: 0; } section { break-inside: avoid; }
  .wide { overflow: visible; } }
"""
)


@prints("html", Explanation)
def explanation_html(explanation: Explanation) -> str:
    """A whole page: every entry if there are few, else the largest ones."""
    e = explanation
    title = f"∂{e.target.text}/∂{e.name}"
    lead = f"{len(e)} entries, shape {e.shape}" if e.shape else "one number"
    shown = e.largest(ENTRIES)
    if len(e) > len(shown):
        lead += f"; the {len(shown)} largest are opened"
    where = f'<p class="line">{html_text(e.where)}</p>' if e.where else ""
    return page(title, f"<p>{html_text(lead)}</p>{where}" + "".join(map(entry_section, shown)))


@prints("html", Entry)
def entry_html(entry: Entry) -> str:
    """A whole page with one entry."""
    return page(_title(entry), entry_section(entry, headed=False))


@prints("notebook", Explanation)
def explanation_fragment(explanation: Explanation) -> str:
    """What a notebook shows: the same, to be put into a page that exists."""
    return _notebook_part("".join(map(entry_section, explanation.largest(ENTRIES))))


@prints("notebook", Entry)
def entry_fragment(entry: Entry) -> str:
    """What a notebook shows of one entry."""
    return _notebook_part(entry_section(entry))


def _notebook_part(body: str) -> str:
    return f'<div class="clearprop">{body}</div>'


def page(title: str, body: str, style: str = "") -> str:
    """A whole page that loads and runs nothing; `style` is added to the common one."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f"<title>{html_text(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{html_text(title)}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _title(entry: Entry) -> str:
    return f"{entry.symbol} = {number_text(entry.value)}"


def entry_section(entry: Entry, headed: bool = True) -> str:
    """One entry: the chain or the level, the rules, the next levels, the confirmation."""
    head = "<section>\n" + (f"<h2>{html_text(_title(entry))}</h2>\n" if headed else "")
    if entry.status == "not computed":
        return f'{head}<p class="reason">Not computed: {html_text(entry.reason)}</p>\n</section>\n'
    return f"{head}{_body(entry)}{_deeper(entry.terms, DEPTH)}</section>\n"


def _body(entry: Entry) -> str:
    paths = written_paths(entry)
    if paths is None:
        return _reason(entry) + _terms(entry) + _closing(entry)
    factors = {(f.symbol, f.formula, f.value): f for p in paths for f in p.factors}
    return _reason(entry) + _chains(entry, paths) + _rules(list(factors.values())) + _closing(entry)


def _chains(entry: Entry, paths: Sequence[Path]) -> str:
    lines = []
    for i, path in enumerate(paths):
        lead = f"{entry.symbol_tex} = " if i == 0 else "+ "
        symbols = r" \cdot ".join(f.symbol_tex for f in path.factors) or "1"
        numbers = r" \cdot ".join(_number_tex(f.value) for f in path.factors) or "1"
        left = " (not chosen)" if path.was_left else ""
        lines.append(f"<p>{mathml(lead + symbols)}</p>\n")
        lines.append(f"<p>{mathml(f'= {numbers} = {number_tex(path.value)}')}{left}</p>\n")
    if len(paths) > 1:
        lines.append(f"<p>{mathml(f'= {number_tex(entry.value)}')}</p>\n")
    return _scrolling("the chain rule", "".join(lines))


def _number_tex(value: float) -> str:
    body = number_tex(value)
    return rf"\left({body}\right)" if body.startswith("-") else body


def _scrolling(label: str, body: str) -> str:
    """A part that may be wider than the window: it scrolls by itself, by keyboard too."""
    return f'<div class="wide" role="group" tabindex="0" aria-label="{html_text(label)}">\n{body}</div>\n'


def html_table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose heads and cells are HTML already."""
    lines = list(rows)
    top = "".join(f'<th scope="col"{_side(lines, i)}>{h}</th>' for i, h in enumerate(heads))
    body = "".join(f"<tr>{''.join(row)}</tr>\n" for row in lines)
    head = f"<caption>{html_text(caption)}</caption>\n<thead><tr>{top}</tr></thead>"
    return _scrolling(caption, f"<table>\n{head}\n<tbody>\n{body}</tbody>\n</table>\n")


def _side(rows: Sequence[Sequence[str]], column: int) -> str:
    """The head of a column of numbers stands over them, at the right."""
    cells = [row[column] for row in rows if column < len(row)]
    are_numbers = cells and all(c.startswith('<td class="number"') for c in cells)
    return ' class="number"' if are_numbers else ""


def cell(body: str) -> str:
    """A cell of HTML."""
    return f"<td>{body}</td>"


def number_cell(value: float) -> str:
    """A cell with a number."""
    return f'<td class="number">{html_text(number_text(value))}</td>'


def _rules(factors: Sequence[Factor]) -> str:
    rows = [
        (
            f'<th scope="row">{mathml(f.symbol_tex)}</th>',
            cell(mathml(rule_latex(f))),
            number_cell(f.value),
            cell(_operands(f)),
            cell(f"<code>{html_text(f.where)}</code>"),
        )
        for f in factors
    ]
    return html_table("the factors and their rules", ("factor", "rule", "number", "with", "line"), rows)


def _operands(factor: Factor) -> str:
    if isinstance(factor.formula, (Name, Number)):
        return ""
    return ", ".join(mathml(f"{o.label.tex} = {number_tex(o.value)}") for o in factor.operands)


def _terms(entry: Entry) -> str:
    what = "one term" if entry.count == 1 else f"the sum of {entry.count} terms"
    rows = [
        (
            f'<th scope="row">{mathml(t.consumer.label.tex)}</th>',
            number_cell(t.delta),
            cell(" · ".join(map(_local, shown_factors(t)))),
            number_cell(t.value),
        )
        for t in entry.terms
    ]
    if entry.rest_count:
        rest = f'<th scope="row">{entry.rest_count} more</th>', cell(""), cell(""), number_cell(entry.rest)
        rows.append(rest)
    delta = mathml(rf"\frac{{\partial {entry.target.tex}}}{{\partial c}}")
    local = mathml(rf"\frac{{\partial c}}{{\partial {entry.place.label.tex}}}")
    return html_table(f"{entry.symbol} is {what}", ("consumer c", delta, local, "term"), rows)


def _local(factor: Factor) -> str:
    rule, value = rule_latex(factor), number_tex(factor.value)
    return mathml(rule if rule == value else rf"\left({rule} = {value}\right)")


def _closing(entry: Entry) -> str:
    rounding = f"<p>{html_text(rounding_text(entry.rounding))}</p>\n" if entry.rounding.difference else ""
    return f'{rounding}<p class="confirmed">{html_text(check_text(entry.check()))}</p>\n'


def _deeper(terms: Sequence[Term], depth: int) -> str:
    """The next levels of the largest terms, folded."""
    if depth == 0:
        return ""
    largest = sorted((t for t in terms if not t.is_last), key=lambda t: -abs(t.value))[:OPENED]
    return "".join(_folded_level(t, depth) for t in largest)


def _folded_level(term: Term, depth: int) -> str:
    entry = term.open()
    title = _title(entry)
    body = _reason(entry) + _terms(entry) + _rules(_single_factors(entry))
    return f"<details>\n<summary>{html_text(title)}</summary>\n{body}{_deeper(entry.terms, depth - 1)}</details>\n"


def _reason(entry: Entry) -> str:
    return f'<p class="reason">Zero: {html_text(entry.reason)}</p>\n' if entry.reason else ""


def _single_factors(entry: Entry) -> list[Factor]:
    return list({(f.symbol, f.formula, f.value): f for t in entry.terms for f in t.factors}.values())
