"""Operations on the bits of integers, and the exclusive or of conditions."""

from __future__ import annotations

from typing import Any

from clearprop.primitives import composite, primitive
from clearprop.program.types import Value
from clearprop.rules.elementwise import not_equal


@primitive(
    "elementwise",
    numpy="np.bitwise_and({a}, {b})",
    numba="{a} & {b}",
    undefined_on="f",
    modular=True,
    tex=r"{a} \mathbin{{\&}} {b}",
)
def bitwise_and(a: Value, b: Value, /) -> Any:
    """The bits that are set in both; `a & b`.

    a, b  integers or booleans of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.tensor([6, 5]) & 3
    Tensor([2, 1])
    """


@primitive(
    "elementwise",
    numpy="np.bitwise_or({a}, {b})",
    numba="{a} | {b}",
    undefined_on="f",
    modular=True,
    tex=r"{a} \mathbin{{|}} {b}",
)
def bitwise_or(a: Value, b: Value, /) -> Any:
    """The bits that are set in one of them or in both; `a | b`.

    a, b  integers or booleans of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.tensor([6, 5]) | 3
    Tensor([7, 7])
    """


@primitive(
    "elementwise",
    numpy="np.bitwise_xor({a}, {b})",
    numba="{a} ^ {b}",
    undefined_on="f",
    modular=True,
    tex=r"{a} \oplus {b}",
)
def bitwise_xor(a: Value, b: Value, /) -> Any:
    """The bits that are set in one of them and not in the other; `a ^ b`.

    a, b  integers or booleans of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.tensor([6, 5]) ^ 3
    Tensor([5, 6])
    """


@primitive(
    "elementwise",
    numpy="np.invert({x})",
    numba="bitwise_invert({x})",
    undefined_on="f",
    tex=r"\mathord{{\sim}} {x}",
)
def bitwise_invert(x: Value, /) -> Any:
    """Every bit turned over: −x − 1 of a signed integer, not x of a boolean; `~x`.

    x  integers or booleans

    >>> import clearprop as cl
    >>> ~cl.tensor([0, 6])
    Tensor([-1, -7])
    """


@primitive(
    "elementwise",
    numpy="np.left_shift({a}, {b})",
    numba="left_shift({a}, {b})",
    undefined_on="bf",
    tex=r"{a} \ll {b}",
)
def bitwise_left_shift(a: Value, b: Value, /) -> Any:
    """The bits of a moved b places up, zeros behind them: a·2ᵇ where it fits; `a << b`.

    a  integers
    b  how many places, integers from 0; all bits are lost where there are not so many

    >>> import clearprop as cl
    >>> cl.tensor([1, 3]) << 2
    Tensor([4, 12])
    """


@primitive(
    "elementwise",
    numpy="np.right_shift({a}, {b})",
    numba="right_shift({a}, {b})",
    undefined_on="bf",
    tex=r"{a} \gg {b}",
)
def bitwise_right_shift(a: Value, b: Value, /) -> Any:
    """The bits of a moved b places down, the sign kept: ⌊a/2ᵇ⌋; `a >> b`.

    a  integers
    b  how many places, integers from 0; only the sign is left where there are not so many

    >>> import clearprop as cl
    >>> cl.tensor([12, -3]) >> 1
    Tensor([6, -2])
    """


@composite("elementwise", dtype="bool", tex=r"{a} \oplus {b}")
def logical_xor(a: Value, b: Value, /) -> Any:
    """Whether one of a and b holds and the other does not.

    a, b  conditions of shapes that broadcast

    >>> import clearprop as cl
    >>> cl.logical_xor(cl.tensor([True, False]), True)
    Tensor([False, True])
    """
    return not_equal(not_equal(a, 0), not_equal(b, 0))
