"""Models of the Open Neural Network Exchange (ONNX): loaded, run, differentiated, trained and explained.

`load` makes a module of a file.  `reading` takes files with suspicion, `proto_values` makes Python values of what they
hold, `graph` is the network as a plan of calls, `operator_table` finds the function of an operator and `operators/`
holds them by family.
"""

from clearprop.interop.onnx.loading import load
from clearprop.interop.onnx.model import OnnxModel

__all__ = ["OnnxModel", "load"]


def __dir__() -> list[str]:
    """What completion shows."""
    return __all__
