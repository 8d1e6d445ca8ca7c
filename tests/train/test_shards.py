"""Batches as sums over shards: what they mean, that their bits do not depend on who computes them, what cannot be."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clearprop as cl
from clearprop.compiler.epoch_loop import BoundLoop
from clearprop.errors import ArgumentError, DataError
from clearprop.rules import random
from clearprop.runs.folder import RunFolder
from clearprop.runs.state import State
from clearprop.train import sharded_executor as module
from clearprop.train.batches import ArrayFeed
from clearprop.train.fitting import fit
from clearprop.train.metrics import find_loss, find_metrics
from clearprop.train.sharded_executor import sharded_executor
from clearprop.train.shards import bounds, shares, tree_sum
from clearprop.train.step import Step, make_step
from tests.train.conftest import bits

KEY = random.key(3).value
OPTIONS = {"epochs": 2, "batch_size": 12, "grad_shards": 4, "validation": 0.2, "checkpoint_seconds": 0.0}


@given(rows=st.integers(1, 300), power=st.integers(0, 6))
def test_shards_hold_every_row_once_and_count_by_their_rows(rows, power):
    cut = bounds(rows, 2**power)
    assert [i for begin, end in cut for i in range(begin, end)] == list(range(rows))
    sizes = [end - begin for begin, end in cut]
    assert max(sizes) - min(sizes) <= 1
    assert np.allclose(np.array(shares(rows, 2**power)) * rows, sizes)
    assert sum(shares(rows, 2**power)) == pytest.approx(1.0)


def test_the_tree_adds_neighbours_first():
    assert tree_sum([f"({c})" for c in "abcd"]) == "(a)(b)(c)(d)"
    big = [1.0, 2.0**-53, 2.0**-53, 0.0]
    assert tree_sum(big) == (1.0 + 2.0**-53) + (2.0**-53 + 0.0) == 1.0 != sum(reversed(big))


@pytest.fixture
def as_written(monkeypatch):
    """The parts of a step run operation by operation, in float64 here."""
    monkeypatch.setattr(module, "Compiled", lambda function, *_: function)
    monkeypatch.setattr(module, "numba_obstacle", lambda: "no native loops here")


def rows64(rows):
    rng = np.random.default_rng(rows)
    return rng.normal(size=(rows, 4)), rng.normal(size=(rows, 2))


def dense64(*more):
    return cl.nn.Sequential(
        cl.nn.Dense(4, 6, rng=1, dtype="float64"), "tanh", *more, cl.nn.Dense(6, 2, rng=2, dtype="float64")
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("rows", [8, 11])
def test_without_chance_and_statistics_shards_are_the_ordinary_step(rows, weighted, as_written):
    """Of a short batch too, and of rows that count differently, some of them not at all."""
    x, y = rows64(rows)
    weight = [np.array([0.0, 0.0, 2.0, 1.0] * rows)[:rows]] if weighted else []
    rule, loss = cl.optim.sgd(0.1, momentum=0.9), find_loss("mse")
    model, penalty = dense64(), cl.nn.Penalty(0.0, 0.1)
    metrics = tuple(find_metrics(["mae"]))
    whole = make_step(loss, metrics, rule, penalty)(model, rule.init(model), x, y, KEY, *weight)
    step = make_step(loss, metrics, rule, penalty, 4)
    as_one = step(model, rule.init(model), x, y, KEY, *weight)
    feed = ArrayFeed(x, y, rows, False, KEY, 1, *weight)
    after, finished = sharded_executor(step, KEY)(State(model, rule.init(model)), feed, None, lambda _: False)
    by_shards = after.model, after.optimizer, after.totals[1] / rows, (after.totals[2] / rows,)
    for found in (as_one, by_shards):
        for a, b in zip(cl_leaves(found), cl_leaves(whole), strict=True):
            assert np.allclose(a, b, rtol=1e-12, atol=1e-14)
    assert finished and after.totals[0] == rows


@pytest.mark.parametrize("shards", [1, 2, 4])
def test_weights_of_rows_count_once_in_a_training_on_shards(shards):
    """Against a loop by hand, whose batches divide by their rows: Σ w·loss / rows, with weights of mean 1."""
    x, y = rows64(22)
    weight = np.random.default_rng(1).uniform(0.1, 3, 22)
    weight[3:9] = 0
    options = {"batch_size": 8, "epochs": 2, "shuffle": False, "optimizer": cl.optim.sgd(0.1), "loss": "mse"}
    run = fit(dense64(), (x, y), sample_weight=weight, grad_shards=shards, **options)
    model, rule, scaled, losses = dense64(), cl.optim.sgd(0.1), weight / weight.mean(), []
    for begin in (0, 8, 16) * 2:
        rows = slice(begin, begin + 8)

        def loss(m, rows=rows):
            return cl.sum(scaled[rows, None] * cl.square(m(x[rows]) - y[rows])) / y[rows].size

        value, grads = cl.value_and_grad(loss)(model)
        losses.append(float(value) * len(x[rows]))
        model = cl.optim.apply_updates(model, rule.update(grads, rule.init(model), model)[0])
    for a, b in zip(cl_leaves(run.last), cl_leaves(model), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
    assert run.history[1]["train"]["loss"] == pytest.approx(sum(losses[3:]) / 22, rel=1e-12)


def cl_leaves(tree):
    from clearprop.autodiff.trees import flatten
    from clearprop.program.values import raw

    return [np.asarray(raw(leaf)) for leaf in flatten(tree)[0]]


def test_each_shard_draws_its_own_numbers_and_takes_its_own_statistics(as_written):
    x, y = rows64(8)
    model = dense64(cl.nn.BatchNorm(6, dtype="float64"), cl.nn.Dropout(0.5))
    rule = cl.optim.sgd(0.1)
    step = make_step(cl.nn.mse, (), rule, shards=2)
    after, _ = sharded_executor(step, KEY)(
        State(model, rule.init(model)), ArrayFeed(x, y, 8, False, KEY), None, lambda _: False
    )
    key, losses, states = random.fold_in(KEY, 0), [], []
    for s, part in enumerate((slice(0, 4), slice(4, 8))):
        out, new = cl.nn.apply(model, x[part], train=True, rng=random.fold_in(key, s))
        losses.append(float(cl.nn.mse(out, y[part]).value))
        states.append({path: np.asarray(v.value) for path, v in new.state().items()})
    assert after.totals[1] / 8 == pytest.approx(np.mean(losses), rel=1e-12)
    for path, value in after.model.state().items():
        assert np.allclose(value.value, np.mean([s[path] for s in states], axis=0), rtol=1e-12, atol=0)


class ThreadRanks:
    """Ranks that are threads: what they hold is added up as a binary tree."""

    def __init__(self, rank, size, shared):
        self.rank, self.size, (self.barrier, self.held) = rank, size, shared

    def vector(self, count, dtype):
        return np.zeros(count, dtype)

    def add(self, vector, how):
        assert how == "exact"
        self.held[self.rank] = vector.copy()
        self.barrier.wait()
        vector[:] = tree_sum(self.held)
        self.barrier.wait()
        return vector

    def common(self, vector, count):
        return None

    def require_same(self, **facts):
        self.held[self.rank] = facts
        self.barrier.wait()
        assert all(held == facts for held in self.held)
        self.barrier.wait()


def on_threads(size, model, data, batches):
    """The last state on each of so many ranks."""
    rule = cl.optim.adam()
    shared, found = (threading.Barrier(size, timeout=60), [None] * size), [None] * size

    def train(rank):
        step = make_step(cl.nn.cross_entropy, (), rule, shards=4)
        ranks = ThreadRanks(rank, size, shared) if size > 1 else None
        feed = ArrayFeed(*data, 12, True, KEY, 8)
        executor = sharded_executor(step, KEY, ranks)
        # the first rank alone wants to pause, after its third step: all pause after the fourth
        wants = lambda state: rank == 0 and size > 1 and state.step == batches - 1
        found[rank] = executor(State(model, rule.init(model)), feed, batches if size == 1 else None, wants)[0]

    threads = [threading.Thread(target=train, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_any_number_of_ranks_has_the_same_bits_and_pauses_together(network, data):
    (alone,) = on_threads(1, network, data, 2)
    for size in (2, 4):
        for state in on_threads(size, network, data, 2):
            assert (state.step, state.batch, state.totals) == (2, 2, alone.totals)
            assert bits(state.model) == bits(alone.model) and bits(state.optimizer) == bits(alone.optimizer)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with shards, in a folder."""
    rng = np.random.default_rng(1)
    y = np.arange(40) % 2
    x = (rng.normal(size=(40, 4)) + 1.5 * y[:, None]).astype(np.float32)
    model = cl.nn.Sequential(
        cl.nn.Dense(4, 6, bias=False, rng=1), cl.nn.BatchNorm(6), "relu", cl.nn.Dropout(0.2), cl.nn.Dense(6, 2, rng=2)
    )
    out = tmp_path_factory.mktemp("runs") / "run"
    return cl.fit(model, (x, y), out=out, **OPTIONS), model, (x, y)


def test_a_run_keeps_its_shards_and_goes_on_replays_and_opens_with_them(run):
    run, model, data = run
    assert run.config.settings.grad_shards == 4
    assert run.config.settings.least_rows == 8  # two of each shard, of which statistics are taken
    assert bits(run.replay(run.steps).model) == bits(run.last)
    longer = cl.fit(model, data, **{**OPTIONS, "epochs": 3})
    resumed = cl.fit(model, data, resume=run.folder, **{**OPTIONS, "epochs": 3})
    assert bits(resumed.last) == bits(longer.last)
    told = cl.explain(run, step=3, wrt="layers[4].bias")
    assert "objective of step 3" in str(told)
    assert RunFolder(run.folder).config().settings.grad_shards == 4


def test_the_explained_gradient_is_the_one_that_the_shards_have(run):
    from clearprop.explanation.runs import native_gradients, open_run, plan_of

    run, *_ = run
    opened = open_run(run, 2, None)
    exact = cl.grad(lambda m: opened.function(m, opened.x, opened.y))(opened.model).parameters()
    native = native_gradients(plan_of(run), run.replay(1).state)
    for path, value in exact.items():
        (found,) = [v for name, v in native.items() if name.endswith(path)]
        assert np.allclose(found, value.value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("at", [3, 5, 8])
def test_an_interrupt_while_buffers_are_moved_leaves_none_of_it(at, monkeypatch):
    """Ctrl-C may come right behind any of them: what is replayed next has its own bits."""
    data = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32), np.arange(40) % 2
    run = cl.fit(cl.nn.mlp([4, 6, 2], seed=0), data, **OPTIONS, progress=False)
    wanted, move, left = bits(run.replay(3).model), BoundLoop.move, [at]

    def moved(self, arrays):
        move(self, arrays)
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(BoundLoop, "move", moved)
        with pytest.raises(KeyboardInterrupt):
            run.replay(3)
    assert bits(run.replay(3).model) == wanted


X = np.zeros((40, 4), np.float32)
Y = np.arange(40) % 2


class Counter(cl.nn.Module):
    """A state that is no mean."""

    seen: cl.Tensor = cl.nn.state()

    def forward(self, x):
        return x


@pytest.mark.parametrize(
    ("options", "headline", "got"),
    [
        ({"grad_shards": 3}, "the number of shards is a power of two", "grad_shards=3"),
        ({"grad_shards": 0}, "fit cannot work with this grad_shards", "grad_shards = 0"),
        ({"grad_shards": 2.0}, "fit cannot work with this grad_shards", "grad_shards = 2.0"),
        ({"grad_shards": 8192}, "fit cannot work with this grad_shards", "grad_shards = 8192"),
        ({"grad_shards": 64}, "a batch has too few rows for its shards", "batches of 32 rows"),
        ({"grad_shards": 64, "batch_size": 100}, "a batch has too few rows for its shards", "batches of 40 rows"),
        (
            {"grad_shards": 2, "optimizer": cl.optim.scale_by_curvature()},
            "scale_by_curvature cannot learn from shards of a batch",
            "one that needs the curvature of the loss, which no shard has",
        ),
    ],
)
def test_what_cannot_be_is_said_before_anything_starts(options, headline, got):
    model = cl.nn.mlp([4, 3, 2], seed=0)
    with pytest.raises(ArgumentError) as error:
        fit(model, (X, Y), epochs=1, **options)
    assert (error.value.headline, error.value.got) == (headline, got)


def test_a_state_that_has_no_mean_is_refused():
    model = cl.nn.Sequential(cl.nn.Dense(4, 2, rng=0), Counter(seen=cl.tensor(np.array(0))))
    with pytest.raises(ArgumentError, match="no mean over shards"):
        fit(model, (X, Y), epochs=1, grad_shards=2)


def test_an_iterable_may_give_shards_their_rows_or_not(network, monkeypatch):
    model, batches = network, [(X[:8], Y[:8]), (X[:3], Y[:3])]
    with monkeypatch.context() as patch:
        traced, of_shard = [], Step.of_shard
        patch.setattr(Step, "of_shard", lambda *given: traced.append(1) or of_shard(*given))
        assert fit(model, batches[:1], epochs=5, grad_shards=4).steps == 5
        assert len(traced) <= 2  # when the step is tried, and once for all epochs
    with pytest.raises(DataError, match="too few rows for its shards"):
        fit(model, batches, epochs=1, grad_shards=4)
