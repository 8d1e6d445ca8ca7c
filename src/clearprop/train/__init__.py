"""Training: from a data source to a run folder (data, loop, metrics, events, checkpoints)."""
