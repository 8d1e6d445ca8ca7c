"""Models of other tools, opened: each tool is a folder, which is loaded when its name is first asked for.

`named_arrays` is the module that they all become: its arrays keep the names that the other tool gave them.
"""

import importlib as _importlib
import typing as _typing

if _typing.TYPE_CHECKING:  # for editors and type checkers; when it runs, the tuple below says the same
    from clearprop.interop import onnx as onnx
    from clearprop.interop import torch as torch
else:
    __all__ = ["onnx", "torch"]

    def __getattr__(name: str) -> object:
        """A tool that is asked for the first time (PEP 562); from then on it is an ordinary name."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return _importlib.import_module(f"{__name__}.{name}")
