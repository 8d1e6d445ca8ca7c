"""Control flow: operations whose parameters hold programs.

`subprograms` closes functions over what they read, `operation` says what all such operations share.  Each operation
stands in a file with its rules (`scan_operation`, `switch_operation`, `while_operation`); what users call is in `scan`,
`branches`, `while_loop`, `associative` and `remat_operation`; `chunks` makes loops of loops, and `carries` checks what
goes from step to step.
"""

from clearprop.control.associative import associative_scan
from clearprop.control.branches import cond, switch
from clearprop.control.remat_operation import remat
from clearprop.control.scan import fori_loop, scan
from clearprop.control.scan import map_ as map
from clearprop.control.while_loop import while_loop

__all__ = ["associative_scan", "cond", "fori_loop", "map", "remat", "scan", "switch", "while_loop"]
