"""Optimizers on problems with certified answers: the tables of `docs/tables/` (`python -m benchmarks.optimizers`)."""
