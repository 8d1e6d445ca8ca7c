"""Printers of explanations: each reads the record and writes one form."""
