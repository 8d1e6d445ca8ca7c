"""Kinds of column beyond numbers and levels: times, lists, ordered words, text."""
