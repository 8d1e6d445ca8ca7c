"""Operators of ATen that take each entry by itself."""

from __future__ import annotations

import operator as python
from collections.abc import Callable
from typing import Any

from clearprop.arrays import Tensor, functions
from clearprop.interop.torch.operators.operator_table import operator
from clearprop.nn import is_training, next_key
from clearprop.rules import random

_SAME = (
    "abs acos acosh angle asin asinh atan atanh ceil cos cosh digamma erf erfc erfinv exp exp2 expm1 floor i0 "
    "isfinite isinf isnan lgamma log log10 log1p log2 logical_not mish reciprocal relu relu6 round rsqrt selu "
    "sigmoid sign silu sin sinh sqrt square tan tanh trunc"
)
_OTHERWISE = {
    "neg": "negative",
    "hardswish": "hard_silu",
    "hardsigmoid": "hard_sigmoid",
    "bitwise_not": "bitwise_invert",
    "detach": "stop_gradient",
    "special_expit": "sigmoid",
    "special_i0e": "i0e",
    "special_i1": "i1",
    "special_i1e": "i1e",
    "special_log_ndtr": "log_ndtr",
    "special_ndtri": "ndtri",
}
_PAIRS = {
    "atan2": "atan2",
    "pow": "pow",
    "maximum": "maximum",
    "minimum": "minimum",
    "max.other": "maximum",
    "min.other": "minimum",
    "remainder": "remainder",
    "fmod": "fmod",
    "floor_divide": "floor_divide",
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "logical_and": "logical_and",
    "logical_or": "logical_or",
    "logical_xor": "logical_xor",
    "bitwise_and": "bitwise_and",
    "bitwise_or": "bitwise_or",
    "bitwise_xor": "bitwise_xor",
    "__and__": "bitwise_and",
    "__or__": "bitwise_or",
    "__xor__": "bitwise_xor",
    "__lshift__": "bitwise_left_shift",
    "__rshift__": "bitwise_right_shift",
    "bitwise_left_shift": "bitwise_left_shift",
    "bitwise_right_shift": "bitwise_right_shift",
    "hypot": "hypot",
    "copysign": "copysign",
    "fmax": "fmax",
    "fmin": "fmin",
    "igamma": "gammainc",
    "igammac": "gammaincc",
}
_SIZES: dict[str, Callable[..., Any]] = {
    "python.add": python.add,
    "python.sub": python.sub,
    "python.mul": python.mul,
    "python.floordiv": python.floordiv,
    "python.mod": python.mod,
    "python.neg": python.neg,
    "python.getitem": python.getitem,
}
"""What Python itself computes in a graph: sizes, and parts of an operator's results."""


def promote(a: Any, b: Any) -> tuple[Any, Any]:
    """Two operands by PyTorch's rule: beside a floating tensor an integer one takes its dtype; else it is float32.

    Our promotion, the array API's and NumPy's, would make float64 of an integer tensor and a floating number.
    """
    kinds = [_kind(a), _kind(b)]
    if kinds[0] == kinds[1] or "f" not in kinds or "c" in kinds:
        return a, b
    floating, other = (a, b) if kinds[0] == "f" else (b, a)
    if not isinstance(other, Tensor):
        return a, b
    dtype = floating.dtype if isinstance(floating, Tensor) else functions.float32
    other = functions.astype(other, dtype)
    return (floating, other) if floating is a else (other, floating)


def _kind(x: Any) -> str:
    """Whether x is complex ("c"), floating ("f") or neither ("i")."""
    kind = x.dtype.kind if isinstance(x, Tensor) else {float: "f", complex: "c"}.get(type(x), "i")
    return kind if kind in "fc" else "i"


def _enter_names() -> None:
    """The operators that have a function of ours as it is."""
    for theirs, ours in {**{name: name for name in _SAME.split()}, **_OTHERWISE}.items():
        operator(theirs)(_of_one(getattr(functions, ours)))
    for theirs, ours in _PAIRS.items():
        operator(theirs)(_of_two(getattr(functions, ours)))
    for name, computed in _SIZES.items():
        operator(name)(computed)


def _of_one(function: Any) -> Any:
    def compute(self: Any) -> Any:
        return function(self)

    return compute


def _of_two(function: Any) -> Any:
    def compute(self: Any, other: Any) -> Any:
        return function(*promote(self, other))

    return compute


_enter_names()


@operator("add")
def add(self: Any, other: Any, alpha: Any = 1) -> Any:
    """self + alpha · other."""
    a, b = promote(self, other)
    return a + (b if alpha == 1 else alpha * b)


@operator("sub")
def sub(self: Any, other: Any, alpha: Any = 1) -> Any:
    """self − alpha · other."""
    a, b = promote(self, other)
    return a - (b if alpha == 1 else alpha * b)


@operator("rsub")
def rsub(self: Any, other: Any, alpha: Any = 1) -> Any:
    """other − alpha · self."""
    return sub(other, self, alpha)


@operator("mul")
def mul(self: Any, other: Any) -> Any:
    """The product."""
    a, b = promote(self, other)
    return a * b


@operator("div")
def div(self: Any, other: Any, rounding_mode: str | None = None) -> Any:
    """The quotient; of integers it is float32, or rounded to one."""
    a, b = promote(self, other)
    if rounding_mode is None:
        whole = _kind(a) == "i" and _kind(b) == "i"
        return functions.divide(functions.astype(a, functions.float32) if whole else a, b)
    quotient = functions.floor_divide(a, b)
    if rounding_mode == "floor":
        return quotient
    exact = functions.equal(quotient * b, a)
    return functions.where(functions.logical_or(quotient >= 0, exact), quotient, quotient + 1)


@operator("where.self", "where.ScalarOther", "where.ScalarSelf")
def where(condition: Any, self: Any, other: Any) -> Any:
    """`self` where the condition holds."""
    return functions.where(condition, *promote(self, other))


@operator("masked_fill")
def masked_fill(self: Any, mask: Any, value: Any) -> Any:
    """The value where the mask holds."""
    return functions.where(mask, value, self)


@operator("clamp", "clip")
def clamp(self: Any, min: Any = None, max: Any = None) -> Any:
    """Each entry, not below `min` and not above `max`."""
    return functions.clip(self, min, max)


@operator("clamp_min")
def clamp_min(self: Any, min: Any) -> Any:
    """Each entry, not below `min`."""
    return functions.clip(self, min, None)


@operator("clamp_max")
def clamp_max(self: Any, max: Any) -> Any:
    """Each entry, not above `max`."""
    return functions.clip(self, None, max)


@operator("lerp")
def lerp(self: Any, end: Any, weight: Any) -> Any:
    """The way from `self` to `end`."""
    return self + weight * (end - self)


@operator("addcmul")
def addcmul(self: Any, tensor1: Any, tensor2: Any, value: Any = 1) -> Any:
    """self + value · tensor1 · tensor2."""
    return self + value * tensor1 * tensor2


@operator("addcdiv")
def addcdiv(self: Any, tensor1: Any, tensor2: Any, value: Any = 1) -> Any:
    """self + value · tensor1 / tensor2."""
    return self + value * tensor1 / tensor2


@operator("polygamma")
def polygamma(n: int, self: Any) -> Any:
    """The derivative of order n of digamma."""
    return functions.polygamma(self, order=n) if n else functions.digamma(self)


@operator("ldexp")
def ldexp(self: Any, other: Any) -> Any:
    """self · 2^other."""
    return mul(self, functions.exp2(functions.astype(other, self.dtype)))


@operator("gelu")
def gelu(self: Any, approximate: str = "none") -> Any:
    """x · Φ(x), or its form with tanh."""
    return functions.gelu_tanh(self) if approximate == "tanh" else functions.gelu(self)


@operator("elu")
def elu(self: Any, alpha: float = 1.0, scale: float = 1, input_scale: float = 1) -> Any:
    """x, and alpha · (eˣ − 1) below 0; `scale` times that, and `input_scale` times x in the exponent: CELU, SELU."""
    if input_scale == 1:
        y = functions.elu(self, alpha=alpha)
    else:
        below = functions.minimum(self, 0.0)  # so that no exponent overflows
        y = functions.where(self > 0, self, alpha * functions.expm1(input_scale * below))
    return y if scale == 1 else scale * y


@operator("leaky_relu")
def leaky_relu(self: Any, negative_slope: float = 0.01) -> Any:
    """x, and slope · x below 0."""
    return functions.leaky_relu(self, slope=negative_slope)


@operator("prelu")
def prelu(self: Any, weight: Any) -> Any:
    """x, and weight · x below 0; the weight is one number, or one for every channel (axis 1)."""
    if len(weight.shape) == 1 and len(self.shape) > 2:
        weight = functions.reshape(weight, (-1,) + (1,) * (len(self.shape) - 2))
    return functions.where(self > 0, self, weight * self)


@operator("rrelu_with_noise_functional", "rrelu_with_noise")
def rrelu(self: Any, noise: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> tuple[Any, Any]:
    """(x, and slope · x below 0; –): a slope drawn for every entry in a training pass, else the mean of both bounds."""
    if training and is_training():
        slope = random.uniform(next_key("rrelu"), self.shape, lower, upper, self.dtype)
    else:
        slope = (lower + upper) / 2
    return functions.where(self > 0, self, slope * self), None


@operator("softplus")
def softplus(self: Any, beta: float = 1, threshold: float = 20) -> Any:
    """log(1 + e^(beta·x))/beta, and x itself from the threshold on."""
    return functions.where(self * beta > threshold, self, functions.softplus(self * beta) / beta)


@operator("log_sigmoid")
def log_sigmoid(self: Any) -> Any:
    """log σ(x)."""
    return -functions.softplus(-self)


@operator("hardtanh")
def hardtanh(self: Any, min_val: float = -1, max_val: float = 1) -> Any:
    """Each entry, between the two."""
    return functions.clip(self, min_val, max_val)


@operator("threshold")
def threshold(self: Any, threshold: float, value: float) -> Any:
    """x above the threshold, else the value."""
    return functions.where(self > threshold, self, value)


@operator("glu")
def glu(self: Any, dim: int = -1) -> Any:
    """The first half times σ of the second."""
    a, b = functions.split(self, 2, axis=dim)
    return a * functions.sigmoid(b)


@operator("clone", "alias", "lift_fresh_copy")
def same(self: Any, memory_format: Any = None) -> Any:
    """The values as they are: arrays here never change, so that none need be copied."""
    return self


@operator("_to_copy")
def to_dtype(self: Any, dtype: str | None = None, non_blocking: bool = False, copy: bool = False) -> Any:
    """The values in another dtype."""
    return self if dtype is None else functions.astype(self, dtype)


@operator("type_as")
def type_as(self: Any, other: Any) -> Any:
    """The values in the dtype of another tensor."""
    return functions.astype(self, other.dtype)
