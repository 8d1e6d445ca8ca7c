"""Operators of tensors that few programs use: division with a remainder, bits, in place; and what is refused."""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable
from typing import Any, NoReturn, Self

import numpy as np

from clearprop.arrays.number_refusals import (
    NoAttributeError,
    detached_number,
    no_attribute,
    traced_number,
    whole_number,
)
from clearprop.arrays.numpy_protocol import FUNCTIONS, combine
from clearprop.autodiff.reverse import is_followed
from clearprop.errors import ArgumentError, DTypeError, user_line
from clearprop.program.ir import Var
from clearprop.program.types import Value, type_of
from clearprop.program.values import Node
from clearprop.rules import elementwise as ew
from clearprop.rules.indexing import Key
from clearprop.rules.on_demand import find
from clearprop.rules.reductions import any

_OF_THE_ENGINE = {"application", "is_traced", "position", "tensor", "tracked", "type", "value"}
"""Attributes that transforms and the compiler read, and no user."""


class _Listed(type):
    """The class of tensors' classes, for what completion shows of them."""

    def __dir__(cls) -> list[str]:
        return [name for name in super().__dir__() if name not in _OF_THE_ENGINE]


class Operators(Node, metaclass=_Listed):
    """What `a // b`, `a & b`, `a += b` and their like do; the operators that every program uses stand in `Tensor`."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in _OF_THE_ENGINE]  # what completion shows

    def __copy__(self) -> Self:
        return self._copied(lambda part: part)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self._copied(lambda part: copy.deepcopy(part, memo))

    def _copied(self, of_part: Callable[[Any], Any]) -> Self:
        """A copy; itself where a transform traces or follows it, for which another value would be a constant."""
        if isinstance(self.value, Var) or is_followed(self):
            return self
        new = self.__new__(type(self))
        for name in Node.__slots__:
            setattr(new, name, of_part(getattr(self, name)))
        return new

    def __reduce_ex__(self, protocol: Any) -> Any:
        if isinstance(self.value, Var):
            raise traced_number("pickle.dumps(x)", self.value.type)
        if is_followed(self):
            raise detached_number("pickle.dumps(x)", type_of(self.value).shape)
        return super().__reduce_ex__(protocol)

    def __contains__(self, item: Any) -> bool:
        equal = self == item
        return bool(any(equal)) if isinstance(equal, Node) else bool(equal)

    def __floordiv__(self, other: Value) -> Self:
        return _late("floor_divide", self, other)

    def __rfloordiv__(self, other: Value) -> Self:
        return _late("floor_divide", other, self)

    def __mod__(self, other: Value) -> Self:
        return _late("remainder", self, other)

    def __rmod__(self, other: Value) -> Self:
        return _late("remainder", other, self)

    def __divmod__(self, other: Value) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Value) -> Any:
        return other // self, other % self

    def __index__(self: Any) -> int:
        self._require_values("range(x)")
        if self.dtype.kind not in "iu":
            raise DTypeError(
                "only an integer can be an index",
                expected="an integer tensor",
                got=self.dtype.name,
                where=user_line(),
            )
        self._require_one("range(x)")
        return int(np.reshape(self.value, ()))

    def __bytes__(self) -> bytes:
        return np.asarray(self).tobytes()

    def __round__(self, digits: int | None = None) -> Any:
        return _round_to(self, digits)

    def __floor__(self) -> int:
        return whole_number("math.floor(x)", _number(self), math.floor)

    def __ceil__(self) -> int:
        return whole_number("math.ceil(x)", _number(self), math.ceil)

    def __trunc__(self) -> int:
        return whole_number("math.trunc(x)", _number(self), math.trunc)

    def __and__(self, other: Value) -> Self:
        return combine("bitwise_and", self, other)

    def __rand__(self, other: Value) -> Self:
        return combine("bitwise_and", other, self)

    def __or__(self, other: Value) -> Self:
        return combine("bitwise_or", self, other)

    def __ror__(self, other: Value) -> Self:
        return combine("bitwise_or", other, self)

    def __xor__(self, other: Value) -> Self:
        return combine("bitwise_xor", self, other)

    def __rxor__(self, other: Value) -> Self:
        return combine("bitwise_xor", other, self)

    def __invert__(self) -> Self:
        return combine("invert", self)

    def __lshift__(self, other: Value) -> Self:
        return _late("bitwise_left_shift", self, other)

    def __rlshift__(self, other: Value) -> Self:
        return _late("bitwise_left_shift", other, self)

    def __rshift__(self, other: Value) -> Self:
        return _late("bitwise_right_shift", self, other)

    def __rrshift__(self, other: Value) -> Self:
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

    def _require_no_modulo(self, modulo: Any) -> None:
        if modulo is not None:
            raise ArgumentError(
                "powers of tensors take no modulus",
                expected="pow(x, y)",
                got=f"pow(x, y, {modulo!r})",
                where=user_line(),
                try_="cl.remainder(x ** y, m)",
            )

    def __setitem__(self, key: Key, value: Value) -> NoReturn:
        self._refuse("item assignment", "cl.where(mask, new, x), or build the array in NumPy first")

    def __delitem__(self, key: Key) -> NoReturn:
        raise NoAttributeError(
            "a tensor never changes: leaving an item out is refused",
            expected="a new value",
            got="del x[…]",
            where=user_line(),
            try_="x[keep] with a mask, or with the numbers of the others",
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # protocols ask for these, and go on without them
            raise AttributeError(f"'Tensor' object has no attribute {name!r}", name=name, obj=self)
        raise no_attribute(name, [n for n in dir(self) if not n.startswith("_")])

    def __iadd__(self, other: Value) -> Self:
        self._require_unused(other, "+=", "x = x + y; for a parameter w = w.updated(-lr * w.grad)")
        return self + other

    def __isub__(self, other: Value) -> Self:
        self._require_unused(other, "-=", "x = x - y; for a parameter w = w.updated(-lr * w.grad)")
        return self - other

    def __imul__(self, other: Value) -> Self:
        self._require_unused(other, "*=", "x = x * y")
        return self * other

    def __itruediv__(self, other: Value) -> Self:
        self._require_unused(other, "/=", "x = x / y")
        return self / other

    def __ifloordiv__(self, other: Value) -> Self:
        self._require_unused(other, "//=", "x = x // y")
        return self // other

    def __imod__(self, other: Value) -> Self:
        self._require_unused(other, "%=", "x = x % y")
        return self % other

    def __ipow__(self, other: Value) -> Self:
        self._require_unused(other, "**=", "x = x ** y")
        return ew.pow(self, other)

    def __imatmul__(self, other: Value) -> Self:
        self._require_unused(other, "@=", "x = x @ y")
        return FUNCTIONS["matmul"](self, other)

    def __iand__(self, other: Value) -> Self:
        self._require_unused(other, "&=", "x = x & y")
        return self & other

    def __ior__(self, other: Value) -> Self:
        self._require_unused(other, "|=", "x = x | y")
        return self | other

    def __ixor__(self, other: Value) -> Self:
        self._require_unused(other, "^=", "x = x ^ y")
        return self ^ other

    def __ilshift__(self, other: Value) -> Self:
        self._require_unused(other, "<<=", "x = x << y")
        return self << other

    def __irshift__(self, other: Value) -> Self:
        self._require_unused(other, ">>=", "x = x >> y")
        return self >> other


def _number(x: Any) -> float | int:
    """The only element; of integers without the way by floats, which not all of them survive."""
    return float(x) if x.dtype.kind == "f" else int(x)


def _round_to(x: Any, digits: Any) -> Any:
    """x rounded to so many decimals, halves to the even neighbour, as NumPy does; integers stay what they are."""
    places = 0 if digits is None else operator.index(digits)
    if not places or (places > 0 and x.dtype.kind != "f"):
        return ew.round(x)
    if x.dtype.kind != "f":
        raise ArgumentError(
            "integers are rounded to whole numbers alone",
            expected="0 digits or more",
            got=f"round(x, {places}) of {x.dtype.name}",
            where=user_line(),
            try_=f"round(x.astype(float), {places})",
        )
    return ew.round(x * 10.0**places) / 10.0**places if places > 0 else ew.round(x / 10.0**-places) * 10.0**-places


def _late(name: str, *operands: Any) -> Any:
    """An operation of a family that is loaded at its first use."""
    function = find(name)
    assert function is not None
    return function(*operands)
