"""Control flow: operations whose parameters hold programs.

`subprograms` closes functions over what they read, `operation` says what all such operations share; `scan_operation`
is the loop and its rules, `scan` what users call.
"""

from clearprop.control.scan import fori_loop, scan
from clearprop.control.scan import map_ as map

__all__ = ["fori_loop", "map", "scan"]
