"""Printers of explanations: each enters its functions in the table of forms when it is loaded."""

from clearprop.explanation.printers import as_json, html, latex, sentences, terminal

__all__ = ["as_json", "html", "latex", "sentences", "terminal"]
