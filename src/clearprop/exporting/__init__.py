"""Take it away: a run as one Python file that needs NumPy alone, as an ONNX file, or its weights.

Open to other folders beside the names here: `export_run`.
"""

from clearprop.exporting.export_run import export

__all__ = ["export"]
