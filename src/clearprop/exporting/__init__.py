"""Take it away: a run's network and training as one Python file that needs NumPy alone, or its weights.

Open to other folders beside the names here: `export_run`.
"""

from clearprop.exporting.export_run import export

__all__ = ["export"]
