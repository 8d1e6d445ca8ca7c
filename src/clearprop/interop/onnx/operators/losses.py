"""Losses: of log-probabilities, of logits."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.arrays import functions as f
from clearprop.errors import unknown_name
from clearprop.interop.onnx.graph_values import dtype_of, sizes
from clearprop.interop.onnx.operator_table import operator

_REDUCTIONS = ("mean", "none", "sum")


@operator("NegativeLogLikelihoodLoss")
def negative_log_likelihood_loss(
    x: Any, target: Any, weight: Any = None, *, ignore_index: int | None = None, reduction: str = "mean"
) -> Any:
    """-weight · x at the class of each target; the mean is divided by the weights that counted."""
    if reduction not in _REDUCTIONS:
        raise unknown_name("reduction", reduction, _REDUCTIONS)
    kind, whole = dtype_of(x), f.astype(target, "int64")
    ignored = None if ignore_index is None else f.equal(whole, ignore_index)
    classes = whole if ignored is None else f.where(ignored, f.zeros_like(whole), whole)
    chosen = f.squeeze(f.take_along_axis(x, f.expand_dims(classes, axis=1), axis=1), axis=1)
    weights = _weights(weight, classes, ignored, kind)
    losses = -chosen if weights is None else -f.where(f.equal(weights, 0), f.zeros_like(chosen), chosen * weights)
    if reduction == "none":
        return losses
    total = f.sum(losses)
    if reduction == "sum":
        return total
    return f.mean(losses) if weights is None else total / f.sum(weights)


def _weights(weight: Any, classes: Any, ignored: Any, kind: np.dtype[Any]) -> Any:
    """The weight of each target: that of its class, and 0 where it is ignored."""
    if weight is None and ignored is None:
        return None
    shape = sizes(classes)
    found = (
        np.ones(shape, kind) if weight is None else f.reshape(f.take(weight, f.reshape(classes, (-1,)), axis=0), shape)
    )
    return found if ignored is None else f.where(ignored, np.zeros((), kind), found)


@operator("SoftmaxCrossEntropyLoss")
def softmax_cross_entropy_loss(
    scores: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
    outputs: int,
) -> Any:
    """The negative log-likelihood of softmax(scores), and the log-probabilities if asked for."""
    logs = f.log_softmax(scores, axis=1)
    loss = negative_log_likelihood_loss(logs, target, weight, ignore_index=ignore_index, reduction=reduction)
    return loss if outputs == 1 else (loss, logs)
