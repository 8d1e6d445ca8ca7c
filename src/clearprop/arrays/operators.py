"""Operators of tensors that few programs use: division with a remainder, bits, in place; and what is refused."""

from __future__ import annotations

from typing import Any, NoReturn

from clearprop.arrays.numpy_protocol import combine
from clearprop.errors import ArgumentError, user_line
from clearprop.program.ir import Var
from clearprop.program.types import Value
from clearprop.program.values import Node
from clearprop.rules import elementwise as ew
from clearprop.rules import linear
from clearprop.rules.indexing import Key
from clearprop.rules.on_demand import find


class Operators(Node):
    """What `a // b`, `a & b`, `a += b` and their like do; the operators that every program uses stand in `Tensor`."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __floordiv__(self, other: Value) -> Any:
        return _late("floor_divide", self, other)

    def __rfloordiv__(self, other: Value) -> Any:
        return _late("floor_divide", other, self)

    def __mod__(self, other: Value) -> Any:
        return _late("remainder", self, other)

    def __rmod__(self, other: Value) -> Any:
        return _late("remainder", other, self)

    def __and__(self, other: Value) -> Any:
        return combine("bitwise_and", self, other)

    def __rand__(self, other: Value) -> Any:
        return combine("bitwise_and", other, self)

    def __or__(self, other: Value) -> Any:
        return combine("bitwise_or", self, other)

    def __ror__(self, other: Value) -> Any:
        return combine("bitwise_or", other, self)

    def __xor__(self, other: Value) -> Any:
        return combine("bitwise_xor", self, other)

    def __rxor__(self, other: Value) -> Any:
        return combine("bitwise_xor", other, self)

    def __invert__(self) -> Any:
        return combine("invert", self)

    def __lshift__(self, other: Value) -> Any:
        return _late("bitwise_left_shift", self, other)

    def __rlshift__(self, other: Value) -> Any:
        return _late("bitwise_left_shift", other, self)

    def __rshift__(self, other: Value) -> Any:
        return _late("bitwise_right_shift", self, other)

    def __rrshift__(self, other: Value) -> Any:
        return _late("bitwise_right_shift", other, self)

    # ------------------------------------------------------------------------------------ in place, or refused
    def _require_unused(self, other: Any, sign: str, instead: str) -> None:
        """`x += y` is `x = x + y` for plain values; in a derivative or a program it would read as a change of x."""
        followed = [v for v in (self, other) if isinstance(v, Node) and (v.tracked or isinstance(v.value, Var))]
        if followed:
            self._refuse(sign, instead)

    def _refuse(self, what: str, instead: str) -> NoReturn:
        raise ArgumentError(
            f"a tensor never changes: {what} is refused",
            expected="a new value",
            got=what,
            where=user_line(),
            try_=instead,
        )

    def __setitem__(self, key: Key, value: Value) -> NoReturn:
        self._refuse("item assignment", "cl.where(mask, new, x), or build the array in NumPy first")

    def __iadd__(self, other: Value) -> Any:
        self._require_unused(other, "+=", "x = x + y; for a parameter w = w.updated(-lr * w.grad)")
        return self + other

    def __isub__(self, other: Value) -> Any:
        self._require_unused(other, "-=", "x = x - y; for a parameter w = w.updated(-lr * w.grad)")
        return self - other

    def __imul__(self, other: Value) -> Any:
        self._require_unused(other, "*=", "x = x * y")
        return self * other

    def __itruediv__(self, other: Value) -> Any:
        self._require_unused(other, "/=", "x = x / y")
        return self / other

    def __ifloordiv__(self, other: Value) -> Any:
        self._require_unused(other, "//=", "x = x // y")
        return self // other

    def __imod__(self, other: Value) -> Any:
        self._require_unused(other, "%=", "x = x % y")
        return self % other

    def __ipow__(self, other: Value) -> Any:
        self._require_unused(other, "**=", "x = x ** y")
        return ew.pow(self, other)

    def __imatmul__(self, other: Value) -> Any:
        self._require_unused(other, "@=", "x = x @ y")
        return linear.matmul(self, other)

    def __iand__(self, other: Value) -> Any:
        self._require_unused(other, "&=", "x = x & y")
        return self & other

    def __ior__(self, other: Value) -> Any:
        self._require_unused(other, "|=", "x = x | y")
        return self | other

    def __ixor__(self, other: Value) -> Any:
        self._require_unused(other, "^=", "x = x ^ y")
        return self ^ other

    def __ilshift__(self, other: Value) -> Any:
        self._require_unused(other, "<<=", "x = x << y")
        return self << other

    def __irshift__(self, other: Value) -> Any:
        self._require_unused(other, ">>=", "x = x >> y")
        return self >> other


def _late(name: str, *operands: Any) -> Any:
    """An operation of a family that is loaded at its first use."""
    function = find(name)
    assert function is not None
    return function(*operands)
