"""Operators of `ai.onnx.ml` of numbers: what scalers and linear models of other tools are written as."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.arrays import functions as f
from clearprop.arrays.tensor import asarray
from clearprop.errors import ArgumentError, unknown_name
from clearprop.interop.onnx.graph_values import dtype_of, require_agreement, sizes
from clearprop.interop.onnx.operator_table import operator

Floats = tuple[float, ...]


def _in_float32(x: Any) -> Any:
    """Results of these operators are float32, whatever the inputs are."""
    return x if dtype_of(x) == np.float32 else f.astype(x, "float32")


def _row(numbers: Floats) -> Any:
    return asarray(np.asarray(numbers, np.float32))


@operator("Scaler", domain="ai.onnx.ml")
def scaler(x: Any, *, offset: Floats, scale: Floats) -> Any:
    """(x − offset) · scale, by one number or one for each feature."""
    return (_in_float32(x) - _row(offset)) * _row(scale)


@operator("Normalizer", domain="ai.onnx.ml")
def normalizer(x: Any, *, norm: str = "MAX") -> Any:
    """Each row divided by the largest number (MAX), the sum of absolute values (L1) or the length (L2); zeros stay."""
    if norm not in ("MAX", "L1", "L2"):
        raise unknown_name("norm of Normalizer", norm, ["MAX", "L1", "L2"])
    y = _in_float32(x)
    if norm == "MAX":
        size = f.max(y, axis=-1, keepdims=True)
    elif norm == "L1":
        size = f.sum(f.abs(y), axis=-1, keepdims=True)
    else:
        size = f.norm(y, axis=-1, keepdims=True)
    return y / f.where(f.equal(size, 0), 1.0, size)


def _scores(x: Any, coefficients: Floats, intercepts: Floats | None, targets: int) -> Any:
    """x·Wᵀ + b, where the coefficients of a target stand together."""
    require_agreement("coefficients", len(coefficients), targets * sizes(x)[-1])
    weight = np.asarray(coefficients, np.float32).reshape(targets, -1)
    y = f.matmul(_in_float32(x), asarray(np.ascontiguousarray(weight.T)))
    return y if intercepts is None else y + _row(intercepts)


def _with_transform(scores: Any, kind: str) -> Any:
    if kind == "NONE":
        return scores
    if kind == "SOFTMAX":
        return f.softmax(scores, axis=-1)
    if kind == "LOGISTIC":
        return f.sigmoid(scores)
    raise unknown_name("post_transform", kind, ["NONE", "SOFTMAX", "LOGISTIC"])


@operator("LinearRegressor", domain="ai.onnx.ml")
def linear_regressor(
    x: Any,
    *,
    coefficients: Floats,
    intercepts: Floats | None = None,
    post_transform: str = "NONE",
    targets: int = 1,
) -> Any:
    """x·Wᵀ + b for one or several targets."""
    return _with_transform(_scores(x, coefficients, intercepts, targets), post_transform)


@operator("LinearClassifier", domain="ai.onnx.ml")
def linear_classifier(
    x: Any,
    *,
    classlabels_ints: tuple[int, ...] | None = None,
    coefficients: Floats,
    intercepts: Floats | None = None,
    multi_class: int = 0,
    post_transform: str = "NONE",
) -> Any:
    """(the number of the class, the scores of all classes); of labels that are text there is nothing to compute."""
    if classlabels_ints is None:
        raise ArgumentError(
            "LinearClassifier without classlabels_ints names its classes by text",
            expected="classes that are whole numbers",
            got="classlabels_strings, or none",
            try_="export the model with labels that are numbers: LabelEncoder().fit_transform(y)",
        )
    scores = _with_transform(_scores(x, coefficients, intercepts, len(classlabels_ints)), post_transform)
    chosen = f.argmax(f.stop_gradient(scores), axis=-1)
    return f.take(asarray(np.asarray(classlabels_ints, np.int64)), chosen, axis=0), scores
