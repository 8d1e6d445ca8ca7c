"""Explanations go to other processes and come back whole: records, deeper levels, checks, paths."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import RunError
from clearprop.explanation import Entry
from tests.explanation.neuron import product_form


def loss(model, x):
    return cl.nn.cross_entropy(model(x), np.array([0, 1]))


@cl.composite("elementwise", d_x=lambda g, x: g * (1 + 2 * x))
def x_plus_square(x, /):
    """x + x²."""
    return x + x * x


def of_neuron():
    y, v = product_form()
    return cl.explain(y, wrt=v["w"])


def of_network():
    rows = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    return cl.explain(loss, "layers[0].weight", args=(cl.nn.mlp([3, 4, 2], activation="gelu", seed=0), rows))


def of_composite():
    x = cl.tensor([1.0, 2.0], name="x", requires_grad=True)
    y = cl.sum(x_plus_square(x)[::-1] * np.array([2.0, 3.0]))
    return cl.explain(y, wrt=x)


def of_unused():
    x = cl.tensor([1.0, 2.0], name="x", requires_grad=True)
    y = cl.sum(cl.relu(x[:1]))
    return cl.explain(y, wrt=x)


def of_loop():
    x = cl.tensor([1.0, 2.0], name="x", requires_grad=True)
    return cl.explain(cl.scan(lambda total, v: (total + v * v, total), 0.0, x)[0], wrt=x)


def of_branch():
    x = cl.tensor([1.0, 2.0], name="x", requires_grad=True)
    return cl.explain(cl.sum(cl.cond(x[0] > 0, lambda a: a * a, cl.sqrt, x)), wrt=x)


EXPLAINED = {
    f.__name__.removeprefix("of_"): f for f in (of_neuron, of_network, of_composite, of_unused, of_loop, of_branch)
}
COPIES = {"pickle": lambda e: pickle.loads(pickle.dumps(e)), "copy": copy.copy, "deepcopy": copy.deepcopy}


def told(entry, levels=2):
    """All that an entry says, with its next levels, bodies and paths."""
    found = [str(entry), entry.json(), entry.html(), entry.latex(), entry.sentences(), repr(entry.at(np.float32))]
    found += map(str, entry.paths(3))
    for term in entry.terms if levels else ():
        found += told(term.open(), levels - 1)
        found += [str(body) for f in term.factors if (body := f.body()) is not None]
    return found


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("name", EXPLAINED)
def test_a_copy_says_what_the_original_says(name, way):
    explanation = EXPLAINED[name]()
    again = COPIES[way](explanation)
    assert str(again) == str(explanation)
    assert again.gradient.tobytes() == explanation.gradient.tobytes()
    assert [told(e, 1) for e in again.largest(2)] == [told(e, 1) for e in explanation.largest(2)]
    entry = explanation.largest(1)[0]
    assert told(COPIES[way](entry), 1) == told(entry, 1)


def test_parts_of_an_explanation_are_copied_too():
    (term,) = of_neuron()[0].terms
    (gate,) = term.open().terms[0].factors
    for way in COPIES.values():
        assert str(way(term).open()) == str(term.open())
        assert str(way(gate).body()) == str(gate.body())


def test_a_long_tape_is_pickled_without_recursion():
    x = y = cl.tensor(0.5, name="x", requires_grad=True)
    for _ in range(3000):
        y = cl.sin(y)
    explanation = cl.explain(y, wrt=x)
    again = pickle.loads(pickle.dumps(explanation))
    assert again.gradient.tobytes() == explanation.gradient.tobytes()


def test_another_process_reads_it(tmp_path):
    explanation = of_neuron()
    (tmp_path / "e").write_bytes(pickle.dumps(explanation))
    code = f"import pickle; e = pickle.load(open({str(tmp_path / 'e')!r}, 'rb')); print(e); print(e[1].check())"
    out = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == f"{explanation}\n{explanation[1].check()}\n"


def test_operations_on_what_was_restored_come_after_its_own():
    """The order of the tape is that of this process, whatever the other one had counted to."""
    x = cl.tensor(3.0, name="x", requires_grad=True)
    again = pickle.loads(pickle.dumps((x, x * x)))
    (cl.tensor(2.0) * again[1]).backward()
    assert float(again[0].grad) == 12.0


def test_a_primitive_is_pickled_by_its_name():
    assert pickle.loads(pickle.dumps(x_plus_square)) is x_plus_square
    assert copy.deepcopy(cl.relu) is cl.relu
    declared = cl.custom_rule(x=lambda g: g)(lambda x: x)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(declared)


# ------------------------------------------------------------------------------------------------------- of runs
@pytest.fixture(scope="module")
def run():
    x = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
    return cl.fit(cl.nn.mlp([3, 4, 1], seed=0), (x, x.sum(1)), loss="mse", epochs=2, batch_size=4, seed=0)


def test_an_explanation_of_a_run_leaves_the_run_behind(run):
    entry = cl.explain(run, "layers[0].weight", step=2, index=(0, 1))
    again = pickle.loads(pickle.dumps(entry))
    assert isinstance(again, Entry)
    assert told(again, 1) == told(entry, 1)
    with pytest.raises(RunError, match="has left the run behind"):
        again.native()
    native = entry.native()
    assert pickle.loads(pickle.dumps(entry)).native() == native


def test_updates_are_copied(run):
    update = cl.explain_update(run, "layers[0].weight", (0, 1), 2)
    for way in COPIES.values():
        assert (way(update), str(way(update))) == (update, str(update))
