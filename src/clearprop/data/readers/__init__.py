"""Readers: one file for each form that data come in, and `sources`, which knows which one reads what."""
