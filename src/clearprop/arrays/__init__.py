"""The user's array: `Tensor`, and the functions made from the registry.

Open to other folders beside the names here: `functions`.
"""

from clearprop.arrays.tensor import Tensor, asarray, tensor

__all__ = ["Tensor", "asarray", "tensor"]
