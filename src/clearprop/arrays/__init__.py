"""The user's array: `Tensor`, and the functions made from the registry."""

from clearprop.arrays.tensor import Tensor, asarray, tensor

__all__ = ["Tensor", "asarray", "tensor"]
