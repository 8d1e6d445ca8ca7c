"""Runs: what is kept of one, and how it is written and read back."""
