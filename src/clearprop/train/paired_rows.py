"""Whether a function of outputs and targets compares row with row, and not every row with every other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

from clearprop import nn
from clearprop.errors import ShapeError, user_line
from clearprop.program.ir import Equation
from clearprop.program.tracing import trace
from clearprop.program.types import Type
from clearprop.shapes import Scope, same
from clearprop.train.metrics import Measure

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
        crossed = None if measure.name in nn.LOSSES else crossed_shapes(measure, outputs, y)
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
