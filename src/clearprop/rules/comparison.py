"""Comparison, conditions, and the choice between two values by one."""

from __future__ import annotations

from typing import Any

from numpy.typing import DTypeLike

from clearprop.primitives import Zero, primitive
from clearprop.program.types import Value
from clearprop.rules import eager


@primitive("elementwise", on_complex="differentiated", numpy="{a} == {b}", tex="{a} = {b}", dtype="bool")
def equal(a: Value, b: Value, /) -> Any:
    """Whether a = b.

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.equal(cl.tensor([1.0, 2.0]), 2.0)
    Tensor([False, True])
    """


@primitive("elementwise", on_complex="differentiated", numpy="{a} != {b}", tex=r"{a} \ne {b}", dtype="bool")
def not_equal(a: Value, b: Value, /) -> Any:
    """Whether a ≠ b.

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.not_equal(cl.tensor([1.0, 2.0]), 2.0)
    Tensor([True, False])
    """


@primitive("elementwise", numpy="{a} < {b}", tex="{a} < {b}", dtype="bool")
def less(a: Value, b: Value, /) -> Any:
    """Whether a < b.

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.less(cl.tensor([1.0, 2.0]), 2.0)
    Tensor([True, False])
    """


@primitive("elementwise", numpy="{a} <= {b}", tex=r"{a} \le {b}", dtype="bool")
def less_equal(a: Value, b: Value, /) -> Any:
    """Whether a ≤ b.

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.less_equal(cl.tensor([1.0, 2.0]), 2.0)
    Tensor([True, True])
    """


@primitive("elementwise", numpy="{a} > {b}", tex="{a} > {b}", dtype="bool", truth=((1, 0, 0),))
def greater(a: Value, b: Value, /) -> Any:
    """Whether a > b.

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.greater(cl.tensor([1.0, 2.0]), 1.0)
    Tensor([False, True])
    """


@primitive("elementwise", numpy="{a} >= {b}", tex=r"{a} \ge {b}", dtype="bool")
def greater_equal(a: Value, b: Value, /) -> Any:
    """Whether a ≥ b.

    a, b  numbers of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.greater_equal(cl.tensor([1.0, 2.0]), 2.0)
    Tensor([False, True])
    """


@primitive(
    "elementwise", on_complex="differentiated",
    numpy="np.logical_and({a}, {b})", numba="({a} != 0) & ({b} != 0)", tex=r"{a} \land {b}",
    dtype="bool", unconverted=True,
)  # fmt: skip
def logical_and(a: Value, b: Value, /) -> Any:
    """Whether both a and b hold.

    a, b  conditions of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.logical_and(cl.tensor([True, False]), True)
    Tensor([True, False])
    """


@primitive(
    "elementwise", on_complex="differentiated",
    numpy="np.logical_or({a}, {b})", numba="({a} != 0) | ({b} != 0)", tex=r"{a} \lor {b}",
    dtype="bool", unconverted=True,
)  # fmt: skip
def logical_or(a: Value, b: Value, /) -> Any:
    """Whether a or b holds.

    a, b  conditions of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.logical_or(cl.tensor([True, False]), False)
    Tensor([True, False])
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.logical_not({x})",
    numba="{x} == 0",
    tex=r"\lnot {x}",
    dtype="bool",
    unconverted=True,
)
def logical_not(x: Value, /) -> Any:
    """Whether x does not hold.

    x  conditions

    >>> import clearprop as cl
    >>> cl.logical_not(cl.tensor([True, False]))
    Tensor([False, True])
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.isnan({x})",
    numba="{x} != {x}",
    tex=r"{x} = \text{{NaN}}",
    dtype="bool",
)
def isnan(x: Value, /) -> Any:
    """Whether x is NaN.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.isnan(cl.tensor([1.0, float('nan')]))
    Tensor([False, True])
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.isfinite({x})",
    numba="isfinite({x})",
    tex=r"\lvert {x} \rvert < \infty",
    dtype="bool",
)
def isfinite(x: Value, /) -> Any:
    """Whether x is neither infinite nor NaN.

    x  numbers: a tensor, an array, or a Python number

    >>> import clearprop as cl
    >>> cl.isfinite(cl.tensor([1.0, float('inf')]))
    Tensor([True, False])
    """


@primitive(
    "elementwise", on_complex="differentiated",
    numpy="np.where({condition}, {a}, {b})", eager=eager.choose, numba="({a} if {condition} else {b})",
    tex=r"\begin{{cases}}{a} & {condition}\\{b} & \text{{otherwise}}\end{{cases}}", conditions=1,
    chooses=True,
    d_a=lambda g, condition: where(condition, g, 0.0),
    d_b=lambda g, condition: where(condition, 0.0, g),
    chosen_a=lambda condition: not_equal(condition, 0), chosen_b=lambda condition: equal(condition, 0),
)  # fmt: skip
def where(condition: Value, a: Value, b: Value, /) -> Any:
    """a where the condition holds, b elsewhere.

    A closed gate gives 0 even for an infinite cotangent: the rule is itself a `where`, not a product with 0.

    condition  which to take, element by element
    a, b       numbers; all three broadcast

    >>> import clearprop as cl
    >>> x = cl.tensor([-1.0, 4.0])
    >>> cl.where(x > 0, x, 0.0)
    Tensor([0.0, 4.0])
    """


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.where(np.isnan({x}), {x}, 0.0)",
    numba="({x} if {x} != {x} else {dtype}(0))",
    tex="0",
    public=False,
    d_x=Zero("a closed gate passes nothing on"),
)
def nan_or_zero_(x: Value, /, *, dtype: DTypeLike) -> Any:
    """0, and NaN where x is NaN: what a closed gate passes on, so that no NaN that was chosen is hidden."""


@primitive(
    "elementwise",
    on_complex="differentiated",
    numpy="np.where(np.isnan({x}), {x}, 0.0)",
    numba="{x}",
    tex="0",
    public=False,
    d_x=Zero("a closed gate passes nothing on"),
)
def zero_or_nan_(x: Value, /) -> Any:
    """`nan_or_zero` of what is known to be 0 or NaN where a gate is closed: kernels take it as it is."""
