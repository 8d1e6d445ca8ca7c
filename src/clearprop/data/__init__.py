"""Data: a source becomes a table, the table parts, the parts arrays or rows on disk that a network takes."""
