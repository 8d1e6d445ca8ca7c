"""The program as a value: types, variables, equations; tracing, evaluation, type check, printing.

Open to other folders beside the names here: `facts`, `ir`, `operands`, `operation`, `outside_draws`, `processes`,
`typechecking`, `types`, `values`.
"""

from clearprop.program.ir import Equation, Program, Var
from clearprop.program.types import Type, type_of
from clearprop.program.values import Application, Node, no_grad

__all__ = ["Application", "Equation", "Node", "Program", "Type", "Var", "no_grad", "type_of"]
