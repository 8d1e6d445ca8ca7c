"""Optimizers side by side: the trials, what they have shown, and the page that shows it.

Open to other folders: `page`, `side_by_side`, `trials`, `verdict`.
"""
