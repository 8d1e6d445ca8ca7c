"""Models of other tools, opened: each tool is a folder, which is loaded when its name is first asked for.

`named_arrays` is the module that they all become: its arrays keep the names that the other tool gave them.
"""

from clearprop.interop import onnx as onnx

__all__ = ["onnx"]
