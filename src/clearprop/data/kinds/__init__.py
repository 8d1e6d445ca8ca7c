"""Kinds of column beyond numbers and levels: times, lists, ordered words, text; and what a user says of columns."""
