"""Charts: described as values, drawn by matplotlib, placed in pages."""
