"""The rows that a network gets most wrong, and what its answer for each of them hangs on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearprop.data.joint_target import unit_written
from clearprop.explanation import Explanation, explain
from clearprop.explanation.printers.html import entry_section, html_table, number_cell
from clearprop.explanation.printers.terminal import check_text
from clearprop.notation import number_text
from clearprop.notation.escaping import html_text
from clearprop.reporting.numbers import Held, amount_text, losses_by_row
from clearprop.train import Run, outputs_as_predicted

SHOWN, INPUTS = 3, 6
"""So many rows, and of each so many inputs with the largest effect."""


def missed_section(run: Run, held: Held) -> str:
    """The rows with the largest loss; the gradient of the network's answer by its inputs, summed and checked."""
    losses = losses_by_row(held)
    worst = np.argsort(-np.where(np.isfinite(losses), losses, np.inf), kind="stable")[:SHOWN]
    return "".join(_missed_row(run, held, int(row), float(losses[row])) for row in worst)


def _missed_row(run: Run, held: Held, row: int, loss: float) -> str:
    head = (
        f"<h3>{html_text(held.part.capitalize())} row {html_text(held.row_text(row))}: "
        f"{html_text(_answer(run, held, row))}</h3>\n"
    )
    told = f"<p>Its loss is {number_text(loss)}.</p>\n"
    if held.x.dtype.kind != "f":  # characters or words by their numbers: there is no slope along them
        return head + told
    try:
        found, what = _explain_answer(run, held, row)
    except ValueError:  # an ArgumentError of a layer that single rows do not pass
        return head + told
    return head + told + f"<p>{html_text(what)}</p>\n" + _inputs(run, held.x[row], found) + _opened_entry(found)


def _answer(run: Run, held: Held, row: int) -> str:
    if held.classes:
        shares = held.probabilities[row]
        said, true = int(held.chosen[row]), int(held.labels[row])
        verdict = f"taken for {held.classes[said]} with probability {number_text(float(shares[said]))}"
        return verdict + (f", is {held.classes[true]}" if said != true else ", which is right")
    if held.labels_each:
        said_each, true_each = (_label_names(held, flags) for flags in (held.outputs[row] > 0, _true_labels(held, row)))
        return f"taken to have {said_each}" + (f", has {true_each}" if said_each != true_each else ", which is right")
    predicted, known = (in_units(run, v.reshape(1, -1))[0].tolist() for v in (held.outputs[row], held.targets[row]))
    units = [f" {_unit(run, place)}".rstrip() for place in range(len(predicted))]
    pairs = zip(predicted, known, units, strict=True)
    told = [f"predicted {amount_text(p)}{unit}, is {amount_text(k)}{unit}" for p, k, unit in pairs]
    if len(run.target_names) < 2:
        return "; ".join(told)
    return "; ".join(f"{name} {verdict}" for name, verdict in zip(run.target_names, told, strict=True))


def _unit(run: Run, place: int) -> str:
    return "" if run.preprocessing is None else unit_written(run.preprocessing.target, place)


def _true_labels(held: Held, row: int) -> NDArray[np.bool_]:
    return np.asarray(held.y[row].reshape(-1) > 0.5)


def _label_names(held: Held, flags: NDArray[np.bool_]) -> str:
    return ", ".join(name for name, flag in zip(held.labels_each, flags, strict=True) if flag) or "no label"


def in_units(run: Run, values: NDArray[Any]) -> NDArray[np.float64]:
    """Values of the targets `(rows, targets)` in the data's units."""
    if run.preprocessing is None:
        return np.asarray(values, dtype=np.float64)
    return np.asarray(run.preprocessing.target_values(values), dtype=np.float64)


def _output_name(run: Run, place: int) -> str:
    name = run.target_names[place] if run.target_names else str(place)
    return f"the output of {name}, the one most off,"


def _explain_answer(run: Run, held: Held, row: int) -> tuple[Explanation, str]:
    """The gradient of what decided the answer, and that in words."""
    model, x = run.model, held.x[row]
    if held.labels_each:
        signs = np.where(_true_labels(held, row), 1.0, -1.0)
        worst = int(np.argmin(held.outputs[row] * signs))
        found = _opened_by_input(lambda x: outputs_as_predicted(model, x[None])[0, worst], x)
        told = f"What the output of {held.labels_each[worst]} hangs on, the most wrong one"
        return found, f"{told}: its gradient by each input, the largest effects first."
    if not held.classes or held.outputs.shape[1] == 1:
        place = int(np.argmax(np.abs(held.outputs[row] - held.targets[row]))) if not held.classes else 0
        found = _opened_by_input(lambda x: outputs_as_predicted(model, x[None])[0, place], x)
        output = "the output" if held.outputs.shape[1] == 1 else _output_name(run, place)
        return found, f"What {output} hangs on: its gradient by each input, the largest effects first."
    said, true = int(held.chosen[row]), int(held.labels[row])
    other = true if true != said else int(np.argsort(held.outputs[row])[-2])

    def margin(x: Any) -> Any:
        outputs = outputs_as_predicted(model, x[None])
        return outputs[0, said] - outputs[0, other]

    names = held.classes[said], held.classes[other]
    what = f"Why {names[0]} rather than {names[1]}: the gradient of the difference of the two outputs by each input."
    return _opened_by_input(margin, x), what


def _opened_by_input(answer: Callable[[Any], Any], x: NDArray[Any]) -> Explanation:
    found = explain(answer, "x", args=(x,))
    assert isinstance(found, Explanation)  # one array gives one
    return found


def _inputs(run: Run, x: NDArray[Any], found: Explanation) -> str:
    gradient = np.asarray(found.gradient, dtype=np.float64).ravel()
    values = np.asarray(x, dtype=np.float64).ravel()
    effect = gradient * values
    names = run.preprocessing.feature_names if run.preprocessing is not None else ()
    if run.summary.members is not None:
        names, values, gradient, effect = _over_members(names, values, gradient, effect)
    order = np.argsort(-np.abs(effect), kind="stable")[:INPUTS]
    rows = [
        (
            f'<th scope="row">{html_text(names[i] if i < len(names) else f"x[{i}]")}</th>',
            *(number_cell(float(v[i])) for v in (values, gradient, effect)),
        )
        for i in order
    ]
    return html_table("the inputs with the largest effect", ("input", "value, encoded", "gradient", "product"), rows)


def _over_members(
    names: Sequence[str], values: NDArray[np.float64], gradient: NDArray[np.float64], effect: NDArray[np.float64]
) -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Each input once, of which every member of an ensemble has its own encoding: the mean value, and the sums."""
    known = tuple(dict.fromkeys(names))
    places = np.array([known.index(name) for name in names])
    numbers = np.bincount(places)

    def over_all(each: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(places, weights=each).astype(np.float64)

    return known, over_all(values / numbers[places]), over_all(gradient), over_all(effect)


def _opened_entry(found: Explanation) -> str:
    """The largest entry, term by term, folded."""
    if found.gradient.ndim != 1:
        return ""
    entry = next(iter(found.largest(1)))
    title = f"{entry.symbol} = {number_text(entry.value)}, opened: {check_text(entry.check())}"
    return f"<details>\n<summary>{html_text(title)}</summary>\n{entry_section(entry, headed=False)}</details>\n"
