"""Modules of PyTorch, opened: read, run, differentiated, trained and explained; weights there and back.

`reading` makes a `graph` of a module (it alone calls PyTorch, when it is asked to), `operators/` is the table from
ATen's operators to our functions, `model` the module that computes a graph.
"""

from clearprop.interop.torch.importing import from_module
from clearprop.interop.torch.model import TorchModel

__all__ = ["TorchModel", "from_module"]
