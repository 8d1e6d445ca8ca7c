"""The operators of tensors, and what is refused of them."""

from __future__ import annotations

from typing import Any, NoReturn

from clearprop.arrays.numpy_protocol import combine
from clearprop.errors import ArgumentError, user_line
from clearprop.program.ir import Var
from clearprop.program.types import Value
from clearprop.program.values import Node
from clearprop.rules import elementwise as ew
from clearprop.rules import indexing, linear
from clearprop.rules.indexing import Key
from clearprop.rules.on_demand import find


class Operators(Node):
    """What `a + b` and its like do; every operator is a function of the rules."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __add__(self, other: Value) -> Any:
        return ew.add(self, other)

    def __radd__(self, other: Value) -> Any:
        return ew.add(other, self)

    def __sub__(self, other: Value) -> Any:
        return ew.subtract(self, other)

    def __rsub__(self, other: Value) -> Any:
        return ew.subtract(other, self)

    def __mul__(self, other: Value) -> Any:
        return ew.multiply(self, other)

    def __rmul__(self, other: Value) -> Any:
        return ew.multiply(other, self)

    def __truediv__(self, other: Value) -> Any:
        return ew.divide(self, other)

    def __rtruediv__(self, other: Value) -> Any:
        return ew.divide(other, self)

    def __floordiv__(self, other: Value) -> Any:
        return _late("floor_divide", self, other)

    def __rfloordiv__(self, other: Value) -> Any:
        return _late("floor_divide", other, self)

    def __mod__(self, other: Value) -> Any:
        return _late("remainder", self, other)

    def __rmod__(self, other: Value) -> Any:
        return _late("remainder", other, self)

    def __pow__(self, other: Value) -> Any:
        return ew.pow(self, other)

    def __rpow__(self, other: Value) -> Any:
        return ew.pow(other, self)

    def __neg__(self) -> Any:
        return ew.negative(self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return ew.abs(self)

    def __matmul__(self, other: Value) -> Any:
        return linear.matmul(self, other)

    def __rmatmul__(self, other: Value) -> Any:
        return linear.matmul(other, self)

    def __eq__(self, other: Any) -> Any:
        return NotImplemented if other is None or isinstance(other, str) else ew.equal(self, other)

    def __ne__(self, other: Any) -> Any:
        return NotImplemented if other is None or isinstance(other, str) else ew.not_equal(self, other)

    def __lt__(self, other: Value) -> Any:
        return ew.less(self, other)

    def __le__(self, other: Value) -> Any:
        return ew.less_equal(self, other)

    def __gt__(self, other: Value) -> Any:
        return ew.greater(self, other)

    def __ge__(self, other: Value) -> Any:
        return ew.greater_equal(self, other)

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

    def __getitem__(self, key: Key) -> Any:
        return indexing.getitem(self, key)

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
        return self**other

    def __imatmul__(self, other: Value) -> Any:
        self._require_unused(other, "@=", "x = x @ y")
        return self @ other

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
