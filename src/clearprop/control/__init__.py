"""Control flow: operations whose parameters hold programs.

`subprograms` closes functions over what they read, `operation` says what all such operations share.  Each operation
stands in a file with its rules (`scan_operation`, `switch_operation`, `while_operation`, `implicit_operation`); what
users call is in `scan`, `branches`, `while_loop`, `associative`, `solutions`, `differential_equations` and
`remat_operation`; `chunks` makes loops of loops, `carries` checks what goes from step to step, and `tree_vectors` are
trees as vectors.

Open to other folders beside the names here: `implicit_operation`, `operation`, `remat_operation`,
`subprograms`, `tree_vectors`.
"""

from clearprop.control.associative import associative_scan
from clearprop.control.branches import cond, switch
from clearprop.control.differential_equations import odeint
from clearprop.control.remat_operation import remat
from clearprop.control.scan import fori_loop, scan
from clearprop.control.scan import map_ as map
from clearprop.control.solutions import fixed_point, root
from clearprop.control.while_loop import while_loop

__all__ = [
    "associative_scan",
    "cond",
    "fixed_point",
    "fori_loop",
    "map",
    "odeint",
    "remat",
    "root",
    "scan",
    "switch",
    "while_loop",
]
