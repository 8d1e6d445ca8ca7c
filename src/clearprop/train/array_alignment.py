"""How the user's arrays meet a network and a loss: in its dtype, targets as a column, row with row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop import nn
from clearprop.autodiff.trees import flatten
from clearprop.data.array_checks import plain_array, require_rows
from clearprop.data.parts import Pair
from clearprop.errors import ArgumentError, DataError, ShapeError, user_line
from clearprop.nn.fields import PARAMETER
from clearprop.nn.layers import chain_of
from clearprop.nn.losses import is_binary, loss_task, several_quantiles_of
from clearprop.nn.structure import layout
from clearprop.program.ir import Equation, trace
from clearprop.program.types import Type, type_of
from clearprop.program.values import raw
from clearprop.runs.events import Events
from clearprop.shapes import Scope, same
from clearprop.train.joint_measures import MeanOfTargets, OfTarget
from clearprop.train.metrics import Measure, outputs_on_trial


@dataclass(frozen=True)
class Adaptation:
    """Dtypes to convert x and y to (None: as they are), and whether y becomes a column, or one of labels `flat`."""

    x_dtype: np.dtype[Any] | None
    y_dtype: np.dtype[Any] | None
    column: bool
    flat: bool

    def __call__(self, pair: Pair) -> Pair:
        """The pair, adapted."""
        x, y = pair
        x = x if self.x_dtype is None else in_dtype(x, self.x_dtype, "x")
        y = y if self.y_dtype is None else in_dtype(y, self.y_dtype, "y")
        y = y[:, 0] if self.flat and y.shape[1:] == (1,) else y
        return x, y[:, None] if self.column and y.ndim == 1 else y


def dtype_of(model: Any) -> np.dtype[Any]:
    """The dtype of a network: that of its first parameter."""
    chain = chain_of(model)
    if chain is not None:
        return chain.dtype
    leaves, structure = flatten(model)
    return type_of(raw(leaves[layout(structure).kinds.index(PARAMETER)])).dtype


def adapted_inputs(model: Any, x: Any) -> NDArray[Any]:
    """Arrays as users bring them, in the network's dtype (see `fitted_inputs`)."""
    array = plain_array(x, "x")
    require_rows(array)
    return fitted_inputs(model, array)


def fitted_inputs(model: Any, array: NDArray[Any]) -> NDArray[Any]:
    """Floats in the network's dtype; integers too, where the network computes with them as with floats."""
    dtype = dtype_of(model)
    integers = array.dtype.kind != "f"
    if integers and (not len(array) or outputs_on_trial(model, array[:1]).dtype == dtype):
        return array
    return in_dtype(array, dtype, "x")


def in_dtype(array: NDArray[Any], dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    """The array in a dtype.  Raises DataError for numbers that are too large for it.

    >>> in_dtype(np.array([1.0, 2.0]), np.dtype(np.float32), "x").dtype
    dtype('float32')
    """
    try:
        with np.errstate(over="raise", invalid="ignore"):
            return array.astype(dtype, copy=False)
    except FloatingPointError:
        place = tuple(map(int, np.argwhere(np.isfinite(array) & (np.abs(array) > np.finfo(dtype).max))[0]))
        raise DataError(
            f"{name} holds numbers that are too large for the network, which computes in {dtype}",
            expected=f"numbers up to {np.finfo(dtype).max:.3g}",
            got=f"{array[place]:.6g} at {name}{list(place)}",
            where=user_line(),
            try_="numbers in another unit, or a network of float64: cl.nn.mlp(..., dtype=float)",
        ) from None


def adaptation(model: Any, pair: Pair, loss: Measure) -> tuple[Adaptation, NDArray[Any]]:
    """How the pair is made to fit, and the network's outputs for its first two rows.

    Labels stay integers, whatever they are compared with, unless there is one for each output, and lose an axis of one
    where there are several outputs; the targets of losses of numbers become floats, and a column where the network has
    one output, or gives quantiles; so do those of a loss of the user's own that would compare a column with a row,
    every output with every target.
    """
    x, y = pair
    dtype = dtype_of(model)
    first = fitted_inputs(model, x[:2])
    outputs = outputs_on_trial(model, first)
    task = loss_task(loss.name)
    floating = _becomes_floats(loss, outputs, y)
    column = y.ndim == 1 and (outputs.shape[1:] == (1,) or bool(several_quantiles_of(loss.name)))
    if task is not None:
        column = column and (task == "numbers" or is_binary(loss.name))
    else:
        column = column and crossed_shapes(loss, outputs, y) is not None
    y_dtype = dtype if floating else np.dtype(np.int64) if y.dtype.kind == "b" and outputs.shape[-1] > 1 else None
    return Adaptation(
        None if first.dtype == x.dtype else dtype, y_dtype, column, _has_flat_labels(task, outputs)
    ), outputs


def _becomes_floats(loss: Measure, outputs: NDArray[Any], y: NDArray[Any]) -> bool:
    """Whether targets are floats to the loss: numbers, or probabilities, be they a 1 among 0s in whole numbers."""
    if y.dtype.kind == "f" or loss_task(loss.name) == "numbers":
        return True
    several = loss_task(loss.name) == "classes" and not is_binary(loss.name) and outputs.shape[-1] > 1
    return several and y.ndim > 1 and y.shape[1:] == outputs.shape[1:]


def _has_flat_labels(task: str | None, outputs: NDArray[Any]) -> bool:
    """Whether a label stands for a row of outputs, so that an axis of one says nothing."""
    return task == "classes" and outputs.ndim == 2 and outputs.shape[-1] > 1


_ROWS = 7  # how many rows are pretended while the function is traced; what it finds holds for any number


def crossed_shapes(measure: Measure, outputs: NDArray[Any], y: NDArray[Any]) -> tuple[Any, Any] | None:
    """The two shapes by which a function would compare all rows with all rows; None where it does not.

    Its shapes are traced with a number of rows that is only a name: (rows, 1) against (rows,) is broadcast to
    (rows, rows), the batch meeting itself.  Who means it writes both axes: `a[:, None] - b[None]` is left alone.
    """
    scope = Scope()
    rows = scope.new(_ROWS)
    types = [Type((rows, *array.shape[1:]), array.dtype) for array in (outputs, y)]
    try:
        program = trace(lambda p, t: [measure.function(p, t)], types, scope=scope)
    except Exception:  # what cannot be traced is tried on numbers next, which says what is wrong with it
        return None
    return next((shapes for eq in program.equations if (shapes := _crossing(eq, rows))), None)


def _crossing(equation: Equation, rows: Any) -> tuple[Any, Any] | None:
    shapes = [v.type.shape for v in equation.inputs if hasattr(v, "type") and v.type.shape]
    for i, a in enumerate(shapes):
        for b in shapes[i + 1 :]:
            ranks_differ = len(a) != len(b) and not equation.primitive.facts.product
            if ranks_differ and any(_batches(v.type.shape, rows) > max(_batches(a, rows), _batches(b, rows))
                                    for v in equation.outputs):  # fmt: skip
                return a, b
    return None


def _batches(shape: Any, rows: Any) -> int:
    return sum(same(size, rows) for size in shape)


def require_paired_rows(measures: Iterable[Measure], outputs: NDArray[Any], y: NDArray[Any]) -> None:
    """Raise ShapeError for a loss or a metric that would compare every row with every other.

    The losses of `cl.nn` refuse that themselves, and need not be traced for it.
    """
    for measure in measures:
        crossed = None if loss_task(measure.name) else crossed_shapes(measure, outputs, y)
        if crossed is not None:
            a, b = (tuple("rows" if not isinstance(n, int) else n for n in shape) for shape in crossed)
            raise ShapeError(
                f"{measure.name} compares every row with every other",
                expected=f"one comparison a row of outputs {_text(outputs)} and targets {_text(y)}",
                got=f"{_shape_text(a)} against {_shape_text(b)}, which broadcast to (rows, rows)",
                where=user_line(),
                try_="targets of the outputs' shape: y[:, None]; or outputs[:, 0] in the function",
            )


def _text(array: NDArray[Any]) -> str:
    return _shape_text(("rows", *array.shape[1:]))


def _shape_text(shape: tuple[Any, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def require_one_class(loss: Measure, metrics: Sequence[Measure], outputs: NDArray[Any], y: NDArray[Any]) -> None:
    """Raise ArgumentError for metrics that judge one class a row where outputs answer yes or no by themselves."""
    each = (OfTarget, MeanOfTargets)  # of several columns of labels each is judged by itself
    named = (m for m in metrics if m.task == "classes" and m.is_named and not isinstance(m.function, each))
    judging = next(named, None)
    if judging is None or not is_binary(loss.name) or outputs.shape[-1] == 1 or y.shape[1:] != outputs.shape[1:]:
        return
    if not (y.sum(axis=-1) == 1).all():
        raise ArgumentError(
            f"{judging.name} judges one class a row",
            expected="labels, or a 1 among 0s in every row of y",
            got=f"{outputs.shape[-1]} outputs that each answer for themselves",
            where=user_line(),
            try_="a function of outputs and y: lambda outputs, y: cl.mean((outputs > 0) == (y > 0.5))",
        )


_OF_LOGITS = ("cross_entropy", "focal", "binary_cross_entropy")
_LOOKED_AT = 1000  # so many rows tell how far the numbers of a column lie apart


def tell_doubts(events: Events, loss: str, model: Any, outputs: Any, x: NDArray[Any]) -> None:
    """Tell of what can be computed and is hardly meant."""
    for message in (*_of_shares(loss, model, outputs), *_of_lost_digits(x, dtype_of(model))):
        events.emit("warning", message=message)


def _of_shares(loss: str, model: Any, outputs: Any) -> Iterable[str]:
    """Of a network whose last layer makes probabilities, which the loss takes for logits.

    The loss makes them probabilities once more, so that none can be near 0 or 1, and gradients are small.
    """
    if loss not in _OF_LOGITS or not np.size(outputs):
        return
    while type(model) is nn.Sequential and model.layers:  # of others nothing tells which layer comes last
        model = model.layers[-1]
    ends = model.name if type(model) is nn.Activation else getattr(getattr(model, "function", None), "__name__", "")
    sums = np.asarray(outputs, dtype=np.float64).sum(axis=-1)
    shares = np.shape(outputs)[-1] > 1 and np.min(outputs) >= 0 and np.abs(sums - 1.0).max() < 1e-5
    if ends == "sigmoid" or shares:
        function = "sigmoid" if ends == "sigmoid" else "softmax"
        yield (
            f"{loss} takes what comes before {function}, and the outputs are probabilities already: leave {function}"
            " out at the end of the network, whose probabilities are run.probabilities(x)"
        )


def _of_lost_digits(x: NDArray[Any], dtype: np.dtype[Any]) -> Iterable[str]:
    """Of columns whose numbers lie so near to each other, far from 0, that the network's dtype tells few apart."""
    if x.ndim != 2 or x.dtype == dtype or x.dtype.itemsize < 4:
        return
    rows = x[:: max(len(x) // _LOOKED_AT, 1)].astype(np.float64)
    apart, size = rows.std(axis=0), np.abs(rows).max(axis=0, initial=0.0)
    lost = np.flatnonzero((apart > 1e-12 * size) & (size * np.finfo(dtype).eps > 0.1 * apart))
    if lost.size:
        column = int(lost[0])
        yield (
            f"x[:, {column}]" + (f" and {lost.size - 1} more columns" if lost.size > 1 else "") + " keep few of their"
            f" digits in {dtype}: numbers near {rows[0, column]:.6g} that lie {apart[column]:.3g} apart; subtract what"
            " they have in common, or take a network of float64"
        )
