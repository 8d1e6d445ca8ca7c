"""Texts from files and users, made fit for a page."""

from __future__ import annotations

from html import escape

from clearprop.errors import printable


def html_text(text: str) -> str:
    r"""A text as HTML: nothing in it is markup, and what a reader would not see is written out.

    >>> print(html_text("<b>\u202eabc"))
    &lt;b&gt;\u202eabc
    """
    return escape(printable(text))
