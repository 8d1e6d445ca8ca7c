"""Charts: described as values, drawn by matplotlib, placed in pages.

Open to other folders: `chart`, `colours`, `parallel`, `svg`.
"""
