"""Random layers within loops: each step has numbers of its own, the same however the loop is computed."""

import importlib

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn
from clearprop.errors import ArgumentError

STEPS, FEATURES = 7, 16


def scanned(**options):
    return lambda layer, x: cl.scan(lambda c, row: (c, layer(row)), 0.0, x, **options)[1]


def by_index(layer, x):
    return cl.fori_loop(0, x.shape[0], lambda i, c: c.at[i].set(layer(x[i])), x)


def within_a_loop(layer, x):
    return cl.scan(lambda c, rows: (c, cl.map(layer, rows)), 0.0, x[None])[1][0]


SAME = {
    "scan": scanned(),
    "from the end": scanned(reverse=True),
    "written out": scanned(unroll=3),
    "recomputed": scanned(remat=True),
    "map": cl.map,
    "map of blocks": lambda layer, x: cl.map(layer, x, batch_size=3),
    "vmap": lambda layer, x: cl.vmap(layer)(x),
    "vmap of several": lambda layer, x: cl.vmap(lambda two: layer(two["a"]), in_axes=(1,))({"a": x.mT}),
    "fori_loop": by_index,
}
OTHERS = {
    "while_loop": lambda layer, x: cl.while_loop(
        lambda c: c[0] < STEPS, lambda c: (c[0] + 1, c[1].at[c[0]].set(layer(x[c[0]]))), (0, x), max_steps=STEPS
    )[1],
    "a loop in a loop": within_a_loop,
    "remat in a loop": lambda layer, x: cl.map(cl.remat(layer), x),
}


def passed(loop, x, layer=None):
    layer = layer or nn.Dropout(0.5)
    return nn.apply(nn.Function(lambda x: loop(layer, x)), x, rng=3)[0]


@pytest.mark.parametrize("loop", [*SAME.values(), *OTHERS.values()], ids=[*SAME, *OTHERS])
def test_each_step_drops_its_own(loop):
    kept = np.asarray(passed(loop, cl.ones((STEPS, FEATURES)))) > 0
    assert len({row.tobytes() for row in kept}) == STEPS
    assert 0.3 < kept.mean() < 0.7


@pytest.mark.parametrize("loop", SAME.values(), ids=SAME)
def test_the_way_of_a_loop_changes_no_number(loop):
    x = cl.ones((STEPS, FEATURES))
    assert np.array_equal(passed(loop, x), passed(SAME["scan"], x))


@pytest.mark.parametrize("loop", [SAME["scan"], SAME["map of blocks"], SAME["vmap"], OTHERS["a loop in a loop"]])
def test_derivatives_and_compiled_loops_meet_the_same_numbers(loop):
    x = cl.ones((STEPS, FEATURES))
    mask = np.asarray(passed(loop, x))
    slope = cl.grad(lambda x: cl.sum(passed(loop, x)))
    assert np.array_equal(slope(x), mask)
    assert np.array_equal(cl.compile(slope)(x), mask)


def test_layers_of_one_step_draw_apart():
    both = passed(lambda layer, x: cl.map(lambda row: cl.stack([layer(row), layer(row)]), x), cl.ones((4, 32)))
    first, second = np.asarray(both)[:, 0], np.asarray(both)[:, 1]
    assert not np.array_equal(first, second)


def test_what_is_drawn_behind_a_loop_is_drawn_once():
    x = cl.ones((STEPS, FEATURES))
    seen = passed(lambda layer, x: cl.stack([cl.map(layer, x), layer(x), cl.map(layer, x)]), x)
    assert len({part.tobytes() for part in np.asarray(seen)}) == 3


def test_examples_of_a_derivative_share_what_the_function_drew():
    layer = nn.Dropout(0.5)
    slopes = passed(lambda layer, x: cl.jacobian(layer)(x), cl.ones(8), layer)
    slopes = np.asarray(slopes)
    assert set(np.diag(slopes)) == {0.0, 2.0}
    assert np.count_nonzero(slopes) == np.count_nonzero(np.diag(slopes))


def test_a_loop_without_a_number_of_steps_refuses_them():
    with pytest.raises(ArgumentError, match="while_loop does not count its steps for a random layer") as caught:
        passed(lambda layer, x: cl.while_loop(lambda c: cl.sum(c) > 0, layer, x), cl.ones(8))
    assert "max_steps=1000" in str(caught.value)


def test_no_random_layer_no_number_of_the_turn():
    step = cl.compile(lambda x: nn.apply(nn.Function(lambda x: cl.map(lambda r: r * 2, x)), x, rng=3)[0])
    step(cl.ones((3, 2)))
    assert "arange" not in step.source("numpy")


@pytest.mark.parametrize(
    ("loop", "module", "name"),
    [("scan", "control.scan", "scan_"), ("map", "control.scan", "scan_"), ("vmap", "autodiff.batching", "run_batched")],
)
def test_an_eager_loop_around_a_random_layer_runs_once(loop, module, name, monkeypatch):
    module, runs = importlib.import_module(f"clearprop.{module}"), []
    run = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *args, **params: runs.append(1) or run(*args, **params))
    passed(SAME[loop], cl.ones((STEPS, FEATURES)))
    assert len(runs) == 1
