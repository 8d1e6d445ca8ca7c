"""Everything public of explanations, exports and lessons, called with every wrong thing: no bare error comes out."""

import warnings
from unittest.mock import patch

import numpy as np
import pytest

import clearprop as cl
from clearprop import lessons
from clearprop.errors import ArgumentError, ClearpropError
from clearprop.train import job
from clearprop.train.executor import eager_executor
from tests.explanation.neuron import product_form

WRONG = [
    None, True, 0, 1.5, -1, 3, 10**30, float("nan"), float("inf"), 1 + 2j, "text", "w", "layers[0].weight", b"bytes",
    [], {}, (), ("a", 2), [1, "b"], (0, 0), ((0,),), slice(None), ..., object(), lambda: 0, lambda x: x, int,
    np.int64(1), np.array(["a"]), np.array([1 + 2j]), np.array(2), np.zeros((2, 0)), np.array(object(), object),
    cl.tensor(2), cl.tensor([1.0, 2.0], requires_grad=True), range(2), {"a": 1.0}, "\ud800", "a\x1b[31m",
]  # fmt: skip
Y, LEAVES = product_form()
X = np.arange(12.0).reshape(4, 3)
with patch.object(job, "choose_executor", eager_executor):  # nothing is compiled to ask it wrong things
    RUN = cl.fit(cl.nn.mlp([3, 2, 1], seed=0), (X, X[:, 0]), loss="mse", epochs=2, batch_size=2, seed=0)
MODEL = RUN.model
SUMMED = cl.explain(lambda a: cl.sum(cl.exp(a)), 0, args=(X,))
ENTRY = SUMMED[0, 0]


def loss(model, x):
    return cl.sum(model(x))


RIGHT = {
    "tensor": (cl.explain, {"target": Y, "wrt": LEAVES["w"]}),
    "tensor with output": (cl.explain, {"target": LEAVES["x"] * 2.0, "wrt": LEAVES["x"], "output": 1}),
    "tensor at an index": (cl.explain, {"target": Y, "wrt": LEAVES["w"], "index": 1}),
    "function": (cl.explain, {"target": loss, "wrt": "layers[0].weight", "args": (MODEL, X)}),
    "function at an index": (cl.explain, {"target": loss, "wrt": 1, "args": (MODEL, X), "index": (0, 1)}),
    "several results": (cl.explain, {"target": lambda x: (x, cl.exp(x)), "wrt": 0, "args": (X,), "output": (1, 0, 0)}),
    "run": (cl.explain, {"target": RUN, "wrt": "layers[0].weight"}),
    "run's step": (cl.explain, {"target": RUN, "wrt": "layers[0].weight", "step": 2, "index": (0, 0)}),
    "run's row": (cl.explain, {"target": RUN, "wrt": "x", "row": 1}),
    "update": (cl.explain_update, {"run": RUN, "param": "layers[0].weight", "index": (0, 1), "step": 1}),
    "export": (cl.export, {"target": RUN, "format": "python", "path": "a.py"}),
    "export of weights": (cl.export, {"target": MODEL, "format": "safetensors", "path": "a.safetensors"}),
    "lesson": (lessons.lesson, {"name": "relu-neuron"}),
    "lessons": (lessons.lessons, {}),
    "opened": (lambda index: SUMMED[index], {"index": (0, 1)}),
    "opened by path": (lambda path: cl.explain(loss, 0, args=(MODEL, X))[path], {"path": "layers[0].bias"}),
    "largest": (SUMMED.largest, {"k": 2}),
    "paths": (ENTRY.paths, {"k": 2}),
    "all paths": (ENTRY.all_paths, {"most": 2}),
    "show": (ENTRY.show, {"k": 2}),
    "dtype": (ENTRY.at, {"dtype": np.float32}),
}
PLACES = [(name, place) for name, (_, given) in RIGHT.items() for place in given]


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refuses(name, given):
    """Whether a call ends in one of our errors; any other error fails, and what is returned must print itself."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            str(RIGHT[name][0](**given))
    except ClearpropError as error:
        assert error.headline and error.expected
        return True
    except Exception as error:
        said = f"{name}: {given!r:.300} ended in {type(error).__name__}: {error}"
        raise AssertionError(said) from error
    return False


@pytest.mark.parametrize("name", RIGHT)
def test_the_right_call_is_right(name):
    assert not refuses(name, RIGHT[name][1])


@pytest.mark.parametrize(("name", "place"), PLACES)
def test_a_wrong_argument_ends_in_our_error(name, place):
    refused = [refuses(name, {**RIGHT[name][1], place: wrong}) for wrong in WRONG]
    assert sum(refused) >= len(WRONG) // 3 or place in ("dtype", "args")


@pytest.mark.parametrize("place", ["wrt", "args", "index", "output", "step", "row"])
@pytest.mark.parametrize("target", WRONG, ids=lambda v: f"{v!r:.20}".replace("\n", " "))
def test_two_wrong_arguments_end_in_our_error(target, place):
    for wrong in WRONG:
        refuses("tensor", {"target": target, "wrt": LEAVES["w"], place: wrong})


@pytest.mark.parametrize("name", ["tensor", "update", "export", "lesson"])
def test_keywords_that_are_not_taken_end_in_our_error(name):
    function, given = RIGHT[name]
    assert refuses(name, {**given, "steps": 1})
    assert refuses(name, {})
    with pytest.raises(ArgumentError, match="does not take these arguments"):
        function(*given.values(), *range(9))


def test_the_nearest_keyword_is_named():
    with pytest.raises(ArgumentError, match="'index', the nearest name"):
        cl.explain(Y, LEAVES["w"], indx=0)
