"""Functions of each number by itself, activations among them."""

from __future__ import annotations

from typing import Any

from clearprop.arrays import functions as f
from clearprop.arrays.tensor import asarray
from clearprop.interop.onnx.graph_values import dtype_of
from clearprop.interop.onnx.operator_table import enter_all, operator

enter_all(
    {
        "Abs": f.abs,
        "Acos": f.acos,
        "Acosh": f.acosh,
        "Asin": f.asin,
        "Asinh": f.asinh,
        "Atan": f.atan,
        "Atanh": f.atanh,
        "Ceil": f.ceil,
        "Cos": f.cos,
        "Cosh": f.cosh,
        "Erf": f.erf,
        "Exp": f.exp,
        "Floor": f.floor,
        "HardSwish": f.hard_silu,
        "Log": f.log,
        "Mish": f.mish,
        "Neg": f.negative,
        "Reciprocal": f.reciprocal,
        "Relu": f.relu,
        "Round": f.round,
        "Sigmoid": f.sigmoid,
        "Sign": f.sign,
        "Sin": f.sin,
        "Sinh": f.sinh,
        "Softplus": f.softplus,
        "Softsign": f.softsign,
        "Sqrt": f.sqrt,
        "Tan": f.tan,
        "Tanh": f.tanh,
    }
)


@operator("Identity")
def identity(x: Any) -> Any:
    """Y = x."""
    return x


@operator("LeakyRelu")
def leaky_relu(x: Any, *, alpha: float = 0.01) -> Any:
    """Y = x where x >= 0, alpha·x elsewhere."""
    return f.leaky_relu(x, slope=alpha)


@operator("Elu")
def elu(x: Any, *, alpha: float = 1.0) -> Any:
    """Y = x where x > 0, alpha·(eˣ - 1) elsewhere."""
    return f.elu(x, alpha=alpha)


@operator("Celu")
def celu(x: Any, *, alpha: float = 1.0) -> Any:
    """Y = max(x, 0) + min(alpha·(e^(x/alpha) - 1), 0)."""
    return f.where(x > 0, x, alpha * f.expm1(x / alpha))


@operator("Selu")
def selu(x: Any, *, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875) -> Any:
    """Y = gamma·x where x > 0, gamma·alpha·(eˣ - 1) elsewhere."""
    return gamma * f.elu(x, alpha=alpha)


@operator("ThresholdedRelu")
def thresholded_relu(x: Any, *, alpha: float = 1.0) -> Any:
    """Y = x where x > alpha, 0 elsewhere."""
    return f.where(f.greater(x, alpha), x, f.zeros_like(x))


@operator("HardSigmoid")
def hard_sigmoid(x: Any, *, alpha: float = 0.2, beta: float = 0.5) -> Any:
    """Y = alpha·x + beta, kept in 0 … 1."""
    return f.clip(f.multiply(x, alpha) + beta, 0.0, 1.0)


@operator("Shrink")
def shrink(x: Any, *, bias: float = 0.0, lambd: float = 0.5) -> Any:
    """Y = x + bias where x < -lambd, x - bias where x > lambd, 0 between."""
    kind = dtype_of(x)
    below, above = f.less(x, -lambd), f.greater(x, lambd)
    moved = f.where(below, f.add(x, asarray(bias, dtype=kind)), f.subtract(x, asarray(bias, dtype=kind)))
    return f.where(f.logical_or(below, above), moved, f.zeros_like(x))


@operator("Gelu")
def gelu(x: Any, *, approximate: str = "none") -> Any:
    """Y = x·Φ(x) (Hendrycks & Gimpel 2016), or its form by tanh."""
    return f.gelu_tanh(x) if approximate == "tanh" else f.gelu(x)


@operator("Swish")
def swish(x: Any, *, alpha: float = 1.0) -> Any:
    """Y = x·σ(alpha·x) (Ramachandran et al. 2017)."""
    return f.multiply(x, f.sigmoid(f.multiply(x, alpha)))


@operator("PRelu")
def prelu(x: Any, slope: Any) -> Any:
    """Y = x where x >= 0, slope·x elsewhere (He et al. 2015)."""
    return f.where(f.less(x, 0), f.multiply(slope, x), x)


@operator("Clip")
def clip_by_attributes(x: Any, *, min: float = -3.4028234663852886e38, max: float = 3.4028234663852886e38) -> Any:
    """Y = x kept in min … max."""
    return f.clip(x, min, max)


@operator("Clip", since=11, settings=(1, 2))
def clip(x: Any, min: Any = None, max: Any = None) -> Any:
    """Y = min(max(x, lower), upper): where the bounds cross, the upper one holds."""
    bounded = x if min is None else f.maximum(x, min)
    return bounded if max is None else f.minimum(bounded, max)


@operator("Binarizer", domain="ai.onnx.ml")
def binarizer(x: Any, *, threshold: float = 0.0) -> Any:
    """Y = 1 where x > threshold, 0 elsewhere."""
    return f.astype(f.greater(x, threshold), dtype_of(x))
