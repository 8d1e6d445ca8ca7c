"""clearprop: backpropagation in the clear."""

__version__ = "0.1.0"
