"""A run as an ONNX file: its columns, its network and its answers as one graph that other programs compute.

`graph` is a graph while it is built, `call` an equation on its way there; `elementwise`, `structural`, `windows` and
`loops` are the table from our operations to ONNX's, and `translation` puts whole programs through it.  `columns` and
`times` do what preprocessing did, `models` puts all together.
"""

from clearprop.exporting.onnx.models import network_model, run_model

__all__ = ["network_model", "run_model"]
