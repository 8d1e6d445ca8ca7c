"""Modules of PyTorch, opened: read, run, differentiated, trained and explained; weights there and back.

`reading` makes a `graph` of a module (it alone calls PyTorch, when it is asked to), `operators/` is the table from
ATen's operators to our functions, `model` the module that computes a graph.  `layouts` says how layers of ours and of
PyTorch hold the same numbers, `weights` moves them, `weight_files` reads safetensors.
"""

from clearprop.interop.torch.importing import from_module
from clearprop.interop.torch.model import TorchModel
from clearprop.interop.torch.weights import load_state, state_dict

__all__ = ["TorchModel", "from_module", "load_state", "state_dict"]


def __dir__() -> list[str]:
    """What completion shows."""
    return __all__
