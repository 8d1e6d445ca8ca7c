"""Lists of categories in a cell: `red|blue`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

SIGNS = ("|", ";")
"""What may stand between the items of a list."""
MOST_ITEMS = 100
"""A column is taken for lists only where at most so many different items are in them."""


def items_of(text: str, separator: str) -> tuple[str, ...]:
    """The different items of a list, without blanks around them.

    >>> items_of("red | blue|red", "|")
    ('red', 'blue')
    """
    return tuple(dict.fromkeys(item.strip() for item in text.split(separator) if item.strip()))


def list_sign(texts: Collection[str]) -> str:
    """The sign between items, if different texts are lists of categories; else empty.

    They are lists if some text holds the sign, items are few (`MOST_ITEMS`), and most of them stand in several texts.

    >>> list_sign(["a|b", "b|c", "a|c", "a"]), list_sign(["a|b", "c|d"])
    ('|', '')
    """
    # From the sign that is rarer in plain text to the one that sentences have, too.
    for sign in SIGNS:
        lists = [items_of(text, sign) for text in texts]
        if sum(len(items) > 1 for items in lists) * 4 < len(lists) or not any(len(items) > 1 for items in lists):
            continue
        counts = Counter(item for items in lists for item in items)
        repeated = sum(number > 1 for number in counts.values())
        if len(counts) <= MOST_ITEMS and len(counts) < len(lists) and 2 * repeated > len(counts):
            return sign
    return ""
