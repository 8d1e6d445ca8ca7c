"""What a terminal would obey, and what turns the reading direction, is written out in every form of an explanation."""

import json
import re

import numpy as np
import pandas as pd
import pytest

import clearprop as cl

HOSTILE = "a\x1b[31m\u202eb\x07\u2066c\x9b<b>"
SHOWN = r"a\x1b[31m\u202eb\x07\u2066c\x9b"
UNSEEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def of_tensors():
    x = cl.tensor([1.0, 2.0], name=HOSTILE, requires_grad=True)
    y = cl.sum(cl.exp(x) * x)
    y.name = "y" + HOSTILE
    return cl.explain(y, wrt=x)


def of_a_constant():
    x = cl.tensor([[1.0, 2.0]], name="x", requires_grad=True)
    y = cl.sum(x @ cl.tensor([[2.0], [3.0]], name=HOSTILE))
    return cl.explain(y, wrt=x)


def of_a_dictionary():
    return cl.explain(lambda p: cl.sum(p[HOSTILE] ** 2), 0, args=({HOSTILE: np.array([1.0, 2.0])},))


def of_a_column():
    frame = pd.DataFrame({HOSTILE: np.arange(40.0) / 40, "b": np.arange(40.0) % 7, "y": np.arange(40.0) ** 2 / 99})
    run = cl.fit(cl.nn.mlp([2, 3, 1], seed=0), frame, loss="mse", epochs=1, validation=0.2)
    return cl.explain(run, HOSTILE, row=1)


EXPLAINED = {f.__name__.removeprefix("of_"): f for f in (of_tensors, of_a_constant, of_a_dictionary, of_a_column)}


def texts(value):
    """Every text of a tree of JSON."""
    if isinstance(value, dict):
        return [*value, *(t for v in value.values() for t in texts(v))]
    return (
        [t for v in value for t in texts(v)] if isinstance(value, list) else [value] if isinstance(value, str) else []
    )


def forms(record):
    notebook = record._repr_mimebundle_()
    return [
        *(str(record), repr(record), record.latex(), record.sentences(), record.html(), *notebook.values()),
        *texts(json.loads(record.json())),
    ]


@pytest.mark.parametrize("name", EXPLAINED)
def test_hostile_names_are_written_out(name):
    explanation = EXPLAINED[name]()
    entry = explanation.largest(1)[0]
    printed = [*forms(explanation), *forms(entry), *map(str, entry.paths()), *map(repr, entry.terms)]
    printed += [repr(f) for t in entry.terms for f in t.factors]
    assert not [text for text in printed if UNSEEN.search(text)]
    assert any(SHOWN in text for text in printed)
    assert not any("<b>" in html for html in (explanation.html(), entry.html()))


def test_hostile_paths_of_a_tree_are_written_out():
    x = {HOSTILE: np.array([1.0, 2.0]), "b": np.array(3.0)}
    explanations = cl.explain(lambda p: cl.sum(p[HOSTILE] * p["b"]), 0, args=(x,))
    assert not UNSEEN.search(str(explanations) + repr(explanations))


def test_a_gradient_that_was_not_computed():
    x = cl.tensor([1.0], name=HOSTILE)
    w = cl.tensor([2.0], requires_grad=True)
    y = cl.sum(x * w)
    assert not UNSEEN.search(str(cl.explain(y, wrt=x)))
