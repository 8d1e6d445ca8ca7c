"""Losses: means over all elements, without ½."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from clearprop.arrays.tensor import asarray
from clearprop.errors import ArgumentError, DTypeError, ShapeError, checked_call, unknown_name, user_line
from clearprop.nn.argument_checks import is_number
from clearprop.program.tracing import shape_of
from clearprop.program.types import is_floating, type_of
from clearprop.program.values import raw
from clearprop.rules import losses
from clearprop.rules.checking import require_classes, require_range
from clearprop.rules.elementwise import abs, square
from clearprop.rules.reductions import mean, sum
from clearprop.rules.structural import broadcast_to, reshape
from clearprop.shapes import same

_REDUCTIONS = ("mean", "sum", "none")


@checked_call
def mse(prediction: Any, target: Any, *, reduction: str = "mean", sample_weight: Any = None) -> Any:
    """Mean of (prediction − target)² over all elements, without ½.

    prediction     what the network computed
    target         what is right; of the same shape
    reduction      "mean", "sum" or "none": over all elements, or one loss per element
    sample_weight  weighs examples (the first axis) or elements: the mean becomes Σ w·loss / Σ w, over all elements

    Raises ShapeError where the shapes differ, ArgumentError for another reduction.

    >>> import clearprop as cl
    >>> cl.nn.mse(cl.tensor([1.0, 3.0]), cl.tensor([0.0, 1.0]))
    Tensor(2.5)
    """
    prediction, target = _same_shaped_pair("mse", prediction, target)
    return _reduce("mse", losses.squared_error(prediction, target), reduction, sample_weight)


@checked_call
def mae(prediction: Any, target: Any, *, reduction: str = "mean", sample_weight: Any = None) -> Any:
    """Mean of |prediction − target| over all elements.

    prediction, target, reduction, sample_weight  as in `mse`

    >>> import clearprop as cl
    >>> cl.nn.mae(cl.tensor([1.0, 3.0]), cl.tensor([0.0, 1.0]))
    Tensor(1.5)
    """
    prediction, target = _same_shaped_pair("mae", prediction, target)
    return _reduce("mae", losses.absolute_error(prediction, target), reduction, sample_weight)


@checked_call
def huber(
    prediction: Any, target: Any, *, delta: float = 1.0, reduction: str = "mean", sample_weight: Any = None
) -> Any:
    """Mean of ½e² for |e| ≤ delta and delta(|e| − ½delta) beyond, e = prediction − target (Huber 1964).

    prediction, target, reduction, sample_weight  as in `mse`
    delta  where the parabola becomes a line; positive

    >>> import clearprop as cl
    >>> cl.nn.huber(cl.tensor([1.0, 3.0]), cl.tensor([0.0, 1.0]))
    Tensor(1.0)
    """
    if not is_number(delta) or not delta > 0:
        raise ArgumentError(
            "huber needs a positive delta", expected="delta > 0 (default 1.0)", got=f"delta = {delta!r}",
            where=user_line(),
        )  # fmt: skip
    prediction, target = _same_shaped_pair("huber", prediction, target)
    return _reduce("huber", losses.huber_error(prediction, target, delta=delta), reduction, sample_weight)


@checked_call
def cross_entropy(logits: Any, labels: Any, *, reduction: str = "mean", sample_weight: Any = None) -> Any:
    """Mean of −log softmax(logits)[label] over examples.

    logits  (…, classes): the network's outputs, without softmax
    labels  integers of shape (…) from 0 to classes − 1, or probabilities of the logits' shape
    reduction, sample_weight  as in `mse`

    Raises ShapeError or DTypeError where the shapes do not fit, or there is only one class; ArgumentError for a label
    outside the range, and for probabilities that are negative or do not sum to 1.

    >>> import clearprop as cl
    >>> cl.nn.cross_entropy(cl.tensor([[0.0, 0.0]]), cl.tensor([1]))
    Tensor(0.69314718)
    """
    logits, labels = asarray(logits), asarray(labels)
    labels = _checked_labels(logits, labels)
    return _reduce("cross_entropy", losses.softmax_cross_entropy_(logits, labels), reduction, sample_weight)


@checked_call
def binary_cross_entropy(logits: Any, labels: Any, *, reduction: str = "mean", sample_weight: Any = None) -> Any:
    """Mean of −p·log σ(z) − (1 − p)·log σ(−z) over all elements.

    logits  z, the network's outputs, without sigmoid
    labels  p, of the same shape: 0, 1, or between
    reduction, sample_weight  as in `mse`

    Raises ShapeError where the shapes differ, ArgumentError for a label outside [0, 1].

    >>> import clearprop as cl
    >>> cl.nn.binary_cross_entropy(cl.tensor([0.0, 0.0]), cl.tensor([1, 0]))
    Tensor(0.69314718)
    """
    logits, labels = _same_shaped_pair("binary_cross_entropy", logits, labels)
    labels = require_range(labels, 0, 1, "binary_cross_entropy")
    if labels.dtype.kind not in "f":
        labels = labels.astype(logits.dtype)
    return _reduce("binary_cross_entropy", losses.sigmoid_cross_entropy_(logits, labels), reduction, sample_weight)


NUMBER_LOSSES: dict[str, Callable[..., Any]] = {f.__name__: f for f in (mse, mae, huber)}
"""The losses that compare numbers with numbers."""
CLASS_LOSSES: dict[str, Callable[..., Any]] = {f.__name__: f for f in (cross_entropy, binary_cross_entropy)}
"""The losses that compare logits with labels."""
LOSSES = NUMBER_LOSSES | CLASS_LOSSES
"""All losses by name."""


@checked_call
def loss_named(name: str) -> Any:
    """The loss of that name, a function `(prediction, target, *, reduction, sample_weight)`.

    name  one of `cl.nn.LOSSES`

    Raises ArgumentError for another name, and tells the nearest.

    >>> import clearprop as cl
    >>> cl.nn.loss_named("mae")(cl.tensor([1.0, 3.0]), cl.tensor([0.0, 1.0]))
    Tensor(1.5)
    """
    if not isinstance(name, str) or name not in LOSSES:
        raise unknown_name("loss", name, LOSSES, user_line())
    return LOSSES[name]


# ------------------------------------------------------------------------------------------------- checks
def _agree(a: Any, b: Any) -> bool:
    return len(a) == len(b) and all(same(m, n) for m, n in zip(a, b, strict=True))


def _same_shaped_pair(name: str, prediction: Any, target: Any) -> tuple[Any, Any]:
    """Both as tensors of one shape: broadcasting (n, 1) against (n,) would silently compare all pairs."""
    prediction, target = asarray(prediction), asarray(target)
    if not _agree(prediction.shape, target.shape):
        raise ShapeError(
            f"{name} cannot compare {prediction.shape} with {target.shape}",
            expected="predictions and targets of one shape",
            got=f"{prediction.shape} and {target.shape}",
            where=user_line(),
            try_=_remedy(prediction.shape, target.shape),
        )
    return prediction, target


def _remedy(prediction: Any, target: Any) -> str:
    if len(prediction) == len(target) + 1 and same(prediction[-1], 1):
        return "prediction[..., 0]: drop the axis of size 1"
    if len(target) == len(prediction) + 1 and same(target[-1], 1):
        return "target[..., 0]: drop the axis of size 1"
    return "check the number of outputs of the last layer"


def _checked_labels(logits: Any, labels: Any) -> Any:
    """The labels, if they fit the logits; where values are not known yet, the program looks at them."""
    classes = logits.shape[-1] if logits.shape else 0
    if same(classes, 1):
        raise _one_output(logits.shape)
    if not is_floating(labels.dtype):
        if not _agree(logits.shape[:-1], labels.shape):
            raise _label_shape(logits, labels, whole=False)
    elif not _agree(logits.shape, labels.shape):
        raise _label_shape(logits, labels, whole=_agree(logits.shape[:-1], labels.shape))
    return require_classes(labels, classes, "cross_entropy")


def _one_output(shape: Any) -> ShapeError:
    return ShapeError(
        "cross_entropy over one output is 0, whatever the network says",
        expected="logits of shape (…, classes), two classes or more",
        got=f"logits of shape {tuple(shape)}",
        where=user_line(),
        try_="one output per class; binary_cross_entropy for one output and two classes, mse for a number",
    )


def _label_shape(logits: Any, labels: Any, *, whole: bool) -> ShapeError | DTypeError:
    kind: type[ShapeError | DTypeError] = DTypeError if whole else ShapeError
    extra = len(labels.shape) == len(logits.shape) and same(labels.shape[-1], 1)
    return kind(
        f"cross_entropy cannot compare logits {logits.shape} with labels {labels.shape} of {labels.dtype.name}",
        expected=f"integers of shape {logits.shape[:-1]}, or probabilities of shape {logits.shape}",
        got=f"{labels.dtype.name} of shape {labels.shape}",
        where=user_line(),
        try_="labels.astype(int)" if whole else "labels[..., 0]: drop the axis of size 1" if extra else "",
    )


def _reduce(name: str, loss: Any, reduction: str, sample_weight: Any) -> Any:
    if not isinstance(reduction, str) or reduction not in _REDUCTIONS:
        raise unknown_name("reduction", reduction, _REDUCTIONS, user_line())
    if sample_weight is None:
        return mean(loss) if reduction == "mean" else sum(loss) if reduction == "sum" else loss
    weight = _weights_like(name, sample_weight, loss)
    weighted = weight * loss
    if reduction == "mean":
        return sum(weighted) / sum(weight)
    return sum(weighted) if reduction == "sum" else weighted


def _weights_like(name: str, sample_weight: Any, loss: Any) -> Any:
    """One weight per example, repeated over the other axes; or one per element."""
    weight, shape = asarray(sample_weight), shape_of(loss)
    if not _agree(weight.shape, shape[:1]) and not _agree(weight.shape, shape):
        raise ShapeError(
            f"{name} cannot weigh losses of shape {shape} by weights of shape {weight.shape}",
            expected=f"one weight per example: shape {shape[:1]}",
            got=f"shape {weight.shape}",
            where=user_line(),
        )
    dtype = type_of(raw(loss)).dtype
    weight = weight if weight.dtype == dtype else weight.astype(dtype)
    if len(weight.shape) == len(shape):
        return weight
    return broadcast_to(reshape(weight, (*shape[:1], *(1 for _ in shape[1:]))), shape)


class Penalty(NamedTuple):
    """l1·Σ|w| + l2·Σw² over the weights of a network: the parameters with two axes or more, no biases and no scales.

    l1  the factor of the sum of absolute values, 0 or more (Tibshirani 1996)
    l2  the factor of the sum of squares, 0 or more (Hoerl and Kennard 1970); its gradient is 2·l2·w

    >>> import clearprop as cl
    >>> layer = cl.nn.Dense(2, 1).replace({"weight": [[3.0], [-4.0]]})
    >>> cl.nn.Penalty(l2=0.1)(layer).item()
    2.5
    >>> bool(cl.nn.Penalty())
    False
    """

    l1: float = 0.0
    l2: float = 0.0

    def __bool__(self) -> bool:
        """Whether it adds anything."""
        return bool(self.l1 or self.l2)

    def __call__(self, model: Any) -> Any:
        """The penalty of a module, a scalar that can be differentiated; 0.0 for a penalty that adds nothing."""
        total: Any = 0.0
        for weight in model.parameters().values():
            if len(shape_of(weight)) < 2:
                continue
            if self.l1:
                total = total + self.l1 * sum(abs(weight))
            if self.l2:
                total = total + self.l2 * sum(square(weight))
        return total
