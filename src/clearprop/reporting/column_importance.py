"""What a report says of the columns: how much the network hangs on each, on the rows that judge it."""

from __future__ import annotations

from clearprop.explanation.printers.html import html_table
from clearprop.notation.escaping import html_text
from clearprop.reporting.numbers import Held
from clearprop.train import Run, importance_of

MOST_COLUMNS, SHOWN, ROWS, REPEATS = 200, 20, 2000, 5
"""Of wider tables nothing is shown; so many columns have a row; so many rows are looked at, each shuffled so often."""


def columns_section(run: Run, held: Held) -> str:
    """The columns by what a score loses when each is shuffled, with intervals, the most important ones first."""
    if held.x.ndim != 2 or held.x.dtype.kind != "f":
        return "<p>Not shown: the rows are no rows of numbers.</p>\n"
    columns = len(set(run.answers(None).columns(held.x.shape[1])))
    if columns > MOST_COLUMNS:
        return f"<p>Not shown: {columns:,} columns. <code>clearprop importance</code> shows them.</p>\n"
    if len(held.x) < 2:
        return "<p>Not shown: one row cannot be shuffled.</p>\n"
    loss = None if run.workings is None else run.workings.loss
    if loss is None:
        return "<p>Not shown: the loss of this run is not at hand.</p>\n"
    rows_judged = held.x[:ROWS], held.y[:ROWS]
    found = importance_of(run.answers(None), held.part, rows_judged, None, loss, REPEATS, seed=0)
    rows = [
        (f'<th scope="row">{html_text(name)}</th>', *(f'<td class="number">{html_text(text)}</td>' for text in cells))
        for name, *cells in found.cells[:SHOWN]
    ]
    left = len(found.cells) - len(rows)
    more = f"<p>{left} further columns lose less.</p>\n" if left > 0 else ""
    lead = f"<p>{html_text(found.caption)}. Columns that tell the same can each be lost without harm.</p>\n"
    return lead + html_table("importance of the columns", [html_text(head) for head in found.heads], rows) + more
