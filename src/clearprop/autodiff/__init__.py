"""Differentiation of programs and of the tape: reverse, forward, batching, and the transforms made of them."""
