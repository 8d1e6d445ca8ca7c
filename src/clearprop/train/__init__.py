"""Training: the loop, what it needs, and what it gives."""
