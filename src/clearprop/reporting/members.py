"""What a report says of the members of an ensemble: how each of them ended."""

from __future__ import annotations

from collections.abc import Sequence

from clearprop.explanation.printers.html import cell, html_table
from clearprop.notation.escaping import html_text
from clearprop.runs.events import measure_text, overall
from clearprop.runs.folder import Summary


def members_section(members: Sequence[Summary]) -> str:
    """A row for each member: its best epoch, and its results on its own validation rows and on those that all test."""
    results = [_results(member) for member in members]
    heads = list(dict.fromkeys(head for found in results for head in found))
    rows = [
        (
            f'<th scope="row">{number}</th>',
            cell(html_text(member.status if member.status == "done" else f"{member.status}, left out")),
            f'<td class="number">{member.best_epoch or ""}</td>',
            *(f'<td class="number">{html_text(found.get(head, ""))}</td>' for head in heads),
        )
        for number, (member, found) in enumerate(zip(members, results, strict=True), 1)
    ]
    lead = (
        "<p>The answers are those of the members on average. Each is a run of its own, in the folder of its number: its"
    )
    columns = ("member", "status", "best epoch", *map(html_text, heads))
    return f"{lead} report has its curves.</p>\n" + html_table("the members", columns, rows)


def _results(member: Summary) -> dict[str, str]:
    """Its results as texts, by what stands above them."""
    parts = {"validation": member.validation or {}, "test": member.test or {}}
    return {f"{part} {name}": measure_text(name, v) for part, own in parts.items() for name, v in overall(own).items()}
