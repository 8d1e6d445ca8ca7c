"""Primitives: one declaration gives value, derivative in both modes, batching, shapes, notation and docs.

A *leaf* has a spelling per target; a *composite* has a body, ordinary Python over other primitives.  The
derivative is declared by the structure of the Jacobian:

elementwise   `d_x(g, ...)`    J is diagonal: the map v ↦ D·v, which is its own transpose, so it serves both modes
reduction     `d_x(g, ...)`    y = Σ over axes, locally w·x: the map v ↦ w·v; VJP widens g first, JVP sums after
multilinear   `vjp_x(g, ...)`  linear in each operand: the JVP is the primitive itself on the tangent
structural    `vjp_x(g, ...)`  linear in its operands together: the JVP is the primitive on the tangents
general       `vjp_x(g, ...)` and `jvp(...)`

A rule is ordinary Python over the library's own functions and takes what it needs *by name*: the cotangent
`g`, operands, the output `y`, parameters.  So it runs on arrays, is traced to primitives (and differentiates
again), and its argument names say which values the backward pass must keep.
"""

from clearprop.primitives.callables import HELPERS, Rule, Zero
from clearprop.primitives.core import REGISTRY, Primitive
from clearprop.primitives.declare import composite, primitive
from clearprop.program.facts import Facts

__all__ = ["HELPERS", "REGISTRY", "Facts", "Primitive", "Rule", "Zero", "composite", "primitive"]
