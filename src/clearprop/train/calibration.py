"""Temperature: outputs divided by one number, so that probabilities are as high as the answers are often right."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop import nn
from clearprop.data.parts import sample_rows
from clearprop.data.training_data import Prepared, sample_weights
from clearprop.errors import ArgumentError, unknown_name, user_line
from clearprop.nn import CLASS_LOSSES
from clearprop.nn.losses import is_binary, loss_task
from clearprop.program.values import raw
from clearprop.train.metrics import outputs_of
from clearprop.train.scores import answer_by_answer, labels_of

CALIBRATIONS = ("temperature",)
"""The ways in which probabilities are calibrated."""
MOST_ROWS, MOST_LOG = 20_000, 5.0
"""It is found on so many rows at most, between e⁻⁵ and e⁵."""


def checked_calibration(asked: Any) -> str | None:
    """The calibration that was asked for.  Raises ArgumentError for an unknown one."""
    if asked is None or (isinstance(asked, str) and asked in CALIBRATIONS):
        return asked
    raise unknown_name("calibration", str(asked), CALIBRATIONS, user_line())


def require_calibratable(asked: str, loss: str, data: Prepared, model: Any) -> None:
    """Raise ArgumentError for an unknown calibration, and where there is nothing to find it on or to apply it to."""
    checked_calibration(asked)
    if loss_task(loss) != "classes":
        raise _impossible("probabilities are calibrated", f"a loss of classes: {', '.join(CLASS_LOSSES)}", loss)
    if data.validation is None:
        raise _impossible("a temperature is found on validation rows", "a validation part, such as --val 0.15", "none")
    if _last_layer(model) is None:
        ending = "a network that ends with a Dense layer"
        raise _impossible("the last layer is what is divided", ending, repr(model)[:80])


def _impossible(why: str, expected: str, got: str) -> ArgumentError:
    return ArgumentError(why, expected=expected, got=got, where=user_line(), try_="without calibration")


def _last_layer(model: Any) -> str | None:
    """The path of the last layer with the point behind it; None where it is no Dense layer with a weight."""
    layers = getattr(model, "layers", None)
    last, path = (model, "") if layers is None else (layers[-1], f"layers[{len(layers) - 1}].")
    return path if isinstance(last, nn.Dense) and f"{path}weight" in model.parameters() else None


def with_temperature(model: Any, temperature: float) -> Any:
    """The network with its outputs divided by T > 0: weight and bias of its last layer are.

    >>> layer = nn.Dense(1, 2)
    >>> two = with_temperature(layer, 2.0)
    >>> x = np.ones((1, 1), np.float32)
    >>> bool(np.allclose(raw(two(x)), raw(layer(x)) / 2))
    True
    """
    path, arrays = _last_layer(model), model.parameters()
    names = [f"{path}{name}" for name in ("weight", "bias") if arrays.get(f"{path}{name}") is not None]
    return model.replace({name: raw(arrays[name]) / np.float32(temperature) for name in names})


def best_temperature(model: Any, data: Prepared, loss: str) -> float | None:
    """The T by which the log loss of the validation rows is least: temperature scaling.

    It changes no answer but one at a threshold, and of probabilities only how far they are from each other.  The log
    loss is convex in 1/T, so there is one such T.  None for outputs that are not finite.

    Guo, Pleiss, Sun & Weinberger 2017, "On Calibration of Modern Neural Networks".
    """
    from scipy.optimize import minimize_scalar  # start-up time: other trainings do without

    assert data.validation is not None  # required before the training
    (x, y), weight = sample_rows(data.validation, MOST_ROWS), sample_weights(data, MOST_ROWS, "validation")
    outputs, y, weight = answer_by_answer(outputs_of(model, x).astype(np.float64), y, weight)
    outputs = outputs.reshape(len(outputs), -1)
    if not np.isfinite(outputs).all():
        return None

    def log_loss(log: float) -> float:
        return float(np.average(_losses(outputs / np.exp(log), y, is_binary(loss)), weights=weight))

    found = minimize_scalar(log_loss, bounds=(-MOST_LOG, MOST_LOG), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def _losses(z: NDArray[np.float64], y: NDArray[Any], binary: bool) -> NDArray[np.float64]:
    """−log p of what each row is; of labels that are answered for themselves the mean."""
    if binary or z.shape[1] == 1:
        return np.asarray(np.mean(np.logaddexp(0.0, z) - y.reshape(z.shape) * z, axis=1))
    top = z.max(axis=1)
    return np.asarray(top + np.log(np.exp(z - top[:, None]).sum(axis=1)) - z[np.arange(len(z)), labels_of(y)])
