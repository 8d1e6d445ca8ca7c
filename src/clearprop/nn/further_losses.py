"""Losses that few networks use: of log-probabilities, margins, and distances between vectors."""

from __future__ import annotations

from typing import Any

from clearprop.arrays.tensor import asarray
from clearprop.errors import DTypeError, ShapeError, checked_call, user_line
from clearprop.nn.argument_checks import is_number
from clearprop.nn.loss_text import unsuitable_setting
from clearprop.nn.losses import checked_labels, pair_of_numbers, reduce_loss
from clearprop.program.types import is_floating
from clearprop.rules.checking import require_range
from clearprop.rules.elementwise import astype, equal, log, maximum, square, where
from clearprop.rules.indexing import one_hot, take_along_axis
from clearprop.rules.reductions import norm, sum
from clearprop.rules.structural import expand_dims, squeeze
from clearprop.shapes import shapes_agree

NEARNESS = 1e-6
"""Added to differences of vectors, so that a distance of 0 has a derivative: PyTorch's `pairwise_distance` adds it."""
_LEAST_LENGTH = 1e-8
"""Shorter vectors count as of this length in the cosine of an angle, as in PyTorch."""


@checked_call
def nll(log_probabilities: Any, labels: Any, *, reduction: str = "mean", sample_weight: Any = None) -> Any:
    """Mean of −log_probabilities[label] over examples: what `cross_entropy` is behind a `log_softmax`.

    log_probabilities  (…, classes), of `cl.log_softmax`, or any logarithms
    labels             integers of shape (…) from 0 to classes − 1
    reduction, sample_weight  as in `mse`

    Raises ShapeError or DTypeError where the shapes do not fit, ArgumentError for a label outside the range.

    >>> import clearprop as cl
    >>> cl.nn.nll(cl.log_softmax(cl.tensor([[0.0, 0.0]])), cl.tensor([1]))
    Tensor(0.69314718)
    """
    log_probabilities, labels = _with_classes("nll", log_probabilities, labels)
    chosen = squeeze(take_along_axis(log_probabilities, expand_dims(labels, -1), axis=-1), axis=(-1,))
    return reduce_loss("nll", -chosen, reduction, sample_weight)


@checked_call
def kl_divergence(log_prediction: Any, target: Any, *, reduction: str = "mean", sample_weight: Any = None) -> Any:
    """Mean over examples of Σ p·(log p − log q), the last axis summed (Kullback & Leibler 1951); 0·log 0 is 0.

    log_prediction  log q (…, classes), such as `cl.log_softmax` of logits
    target          p, of the same shape: probabilities
    reduction, sample_weight  as in `mse`, over examples

    Raises ShapeError where the shapes differ, ArgumentError for a target outside [0, 1].

    >>> import clearprop as cl
    >>> cl.nn.kl_divergence(cl.log(cl.tensor([[0.5, 0.5]])), cl.tensor([[1.0, 0.0]]))
    Tensor(0.69314718)
    """
    log_prediction, target = _vectors("kl_divergence", log_prediction, target)
    target = require_range(target, 0, 1, "kl_divergence")
    there = target > 0
    terms = where(there, target * (log(where(there, target, 1.0)) - log_prediction), 0.0)
    return reduce_loss("kl_divergence", sum(terms, axis=-1), reduction, sample_weight)


@checked_call
def hinge(scores: Any, labels: Any, *, margin: float = 1.0, reduction: str = "mean", sample_weight: Any = None) -> Any:
    """Mean of max(0, margin − y·z), y = ±1 for the labels 1 and 0 (Cortes & Vapnik 1995).

    scores  z, the network's outputs
    labels  of the same shape: 0 or 1
    margin  how far on its side a score shall be, positive; its derivative there is 0
    reduction, sample_weight  as in `mse`

    Raises ShapeError where the shapes differ, ArgumentError for a label outside [0, 1].

    >>> import clearprop as cl
    >>> cl.nn.hinge(cl.tensor([0.5, -3.0]), cl.tensor([1, 0]), reduction="none")
    Tensor([0.5, 0.0])
    """
    _require_margin("hinge", margin)
    scores, labels = pair_of_numbers("hinge", scores, labels)
    sides = 2.0 * require_range(labels, 0, 1, "hinge") - 1.0
    return reduce_loss("hinge", maximum(margin - sides * scores, 0.0), reduction, sample_weight)


@checked_call
def multi_margin(
    scores: Any, labels: Any, *, margin: float = 1.0, reduction: str = "mean", sample_weight: Any = None
) -> Any:
    """Mean over examples of Σ over j ≠ label of max(0, margin − z[label] + zⱼ) / classes (Weston & Watkins 1999).

    scores  z (…, classes), the network's outputs
    labels  integers of shape (…) from 0 to classes − 1
    margin  how far the right score shall be above every other one, positive
    reduction, sample_weight  as in `mse`

    Raises ShapeError or DTypeError where the shapes do not fit, ArgumentError for a label outside the range.

    >>> import clearprop as cl
    >>> cl.nn.multi_margin(cl.tensor([[0.0, 0.5]]), cl.tensor([1]))
    Tensor(0.25)
    """
    _require_margin("multi_margin", margin)
    scores, labels = _with_classes("multi_margin", scores, labels)
    own = take_along_axis(scores, expand_dims(labels, -1), axis=-1)
    others = equal(one_hot(labels, scores.shape[-1], dtype=scores.dtype), 0.0)
    total = sum(where(others, maximum(margin - own + scores, 0.0), 0.0), axis=-1)
    return reduce_loss("multi_margin", total / scores.shape[-1], reduction, sample_weight)


@checked_call
def cosine_distance(a: Any, b: Any, *, reduction: str = "mean", sample_weight: Any = None) -> Any:
    """Mean over examples of 1 − a·b / (‖a‖·‖b‖): 0 where the vectors point alike, 2 where they oppose.

    a, b  vectors (…, n) of one shape; a length below 1e-8 counts as that
    reduction, sample_weight  as in `mse`, over examples

    Raises ShapeError where the shapes differ.

    >>> import clearprop as cl
    >>> cl.nn.cosine_distance(cl.tensor([[1.0, 0.0], [1.0, 1.0]]), cl.tensor([[0.0, 2.0], [3.0, 3.0]]), reduction="sum")
    Tensor(1.0)
    """
    a, b = _vectors("cosine_distance", a, b)
    return reduce_loss("cosine_distance", 1.0 - _cosine(a, b), reduction, sample_weight)


@checked_call
def contrastive(
    a: Any, b: Any, alike: Any, *, margin: float = 1.0, reduction: str = "mean", sample_weight: Any = None
) -> Any:
    """Mean of d² for pairs that are alike and max(0, margin − d)² for others, d = ‖a − b + 1e-6‖ (Hadsell et al. 2006).

    a, b    vectors (…, n) of one shape
    alike   (…): 1 or True where a pair is alike, 0 or False where it is not
    margin  how far others shall be apart, positive
    reduction, sample_weight  as in `mse`, over pairs

    Raises ShapeError where the shapes do not fit, ArgumentError for another number in alike.

    >>> import clearprop as cl
    >>> pairs = cl.tensor([[0.0], [0.0]]), cl.tensor([[3.0], [0.5]])
    >>> cl.round(cl.nn.contrastive(*pairs, cl.tensor([1, 0]), reduction="none") * 100)
    Tensor([900.0, 25.0])
    """
    _require_margin("contrastive", margin)
    a, b = _vectors("contrastive", a, b)
    alike = asarray(alike)
    if not shapes_agree(alike.shape, a.shape[:-1]):
        raise ShapeError(
            f"contrastive cannot judge pairs of shape {a.shape} by {alike.shape}",
            expected=f"a truth value for every pair: shape {a.shape[:-1]}",
            got=f"shape {alike.shape}",
            where=user_line(),
        )
    d = _distance(a, b)
    close = require_range(alike, 0, 1, "contrastive") > 0
    loss = where(close, square(d), square(maximum(margin - d, 0.0)))
    return reduce_loss("contrastive", loss, reduction, sample_weight)


@checked_call
def triplet(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    margin: float = 1.0,
    reduction: str = "mean",
    sample_weight: Any = None,
) -> Any:
    """Mean of max(0, d(anchor, positive) − d(anchor, negative) + margin), d(a, b) = ‖a − b + 1e-6‖ (Schroff 2015).

    anchor    vectors (…, n)
    positive  of the same shape: what shall be near
    negative  of the same shape: what shall be farther, by the margin
    margin    positive
    reduction, sample_weight  as in `mse`, over triplets

    Raises ShapeError where the shapes differ.

    >>> import clearprop as cl
    >>> cl.nn.triplet(cl.tensor([[0.0]]), cl.tensor([[1.0]]), cl.tensor([[5.0]]))
    Tensor(0.0)
    """
    _require_margin("triplet", margin)
    anchor, positive = _vectors("triplet", anchor, positive)
    anchor, negative = _vectors("triplet", anchor, negative)
    gap = _distance(anchor, positive) - _distance(anchor, negative)
    return reduce_loss("triplet", maximum(gap + margin, 0.0), reduction, sample_weight)


def _cosine(a: Any, b: Any) -> Any:
    one, other = (v / maximum(norm(v, axis=-1, keepdims=True), _LEAST_LENGTH) for v in (a, b))
    return sum(one * other, axis=-1)


def _distance(a: Any, b: Any) -> Any:
    return norm(a - b + NEARNESS, axis=-1)


def _require_margin(name: str, margin: Any) -> None:
    if not is_number(margin) or not margin > 0:
        raise unsuitable_setting(f"{name} needs a positive margin", "margin > 0 (default 1.0)", margin=margin)


def _vectors(name: str, a: Any, b: Any) -> tuple[Any, Any]:
    """Both of one shape, with an axis to sum over."""
    a, b = pair_of_numbers(name, a, b)
    if not a.shape:
        raise ShapeError(
            f"{name} compares vectors",
            expected="shape (…, n)",
            got="single numbers",
            where=user_line(),
            try_="a list with the numbers of each vector",
        )
    return a, b


def _with_classes(name: str, scores: Any, labels: Any) -> tuple[Any, Any]:
    """Scores of classes as floats, and labels that are whole numbers within them."""
    scores, labels = asarray(scores), asarray(labels)
    scores = scores if is_floating(scores.dtype) else astype(scores, dtype=float)
    if labels.dtype.kind not in "iu":
        raise DTypeError(
            f"{name} takes classes as labels",
            expected="whole numbers from 0 to classes − 1",
            got=f"{labels.dtype.name} of shape {labels.shape}",
            where=user_line(),
            try_="labels.astype(int)",
        )
    return scores, checked_labels(name, scores, labels)
