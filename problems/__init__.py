"""Problems with known answers: tests hold the optimizers to them, benchmarks measure on them.

They stand beside both, so that neither needs the other.
"""
