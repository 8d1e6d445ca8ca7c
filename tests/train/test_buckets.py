"""Batches of sequences of similar lengths: the steps are those of whole batches, and every row comes once an epoch."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import ArgumentError
from clearprop.train.batches import bucket_rows
from clearprop.train.executor import eager_executor

RNG = np.random.default_rng(2)
N, STEPS, FEATURES = 45, 20, 3
LENGTHS = np.concatenate([[STEPS, 1], RNG.integers(1, STEPS + 1, N - 2)])
THERE = np.arange(STEPS) < LENGTHS[:, None]
X = np.concatenate([RNG.normal(size=(N, STEPS, FEATURES)), THERE[..., None]], axis=-1)
Y = RNG.integers(0, 2, N)
WIDTH = FEATURES + 1


def network(*layers, size=6, flat=True):
    front = [cl.nn.Unflatten((-1, WIDTH))] if flat else []
    return cl.nn.Sequential(*front, cl.nn.Masked(*layers), cl.nn.Dense(size, 2, dtype=float))


def cell(kind, **more):
    return kind(FEATURES, 6, output="last", dtype=float, **more)


NETWORKS = {
    "lstm": lambda: network(cell(cl.nn.LSTM)),
    "gru of axes": lambda: network(cell(cl.nn.GRU), flat=False),
    "both ways": lambda: network(cell(cl.nn.RNN, bidirectional=True), size=12),
    "statistics": lambda: network(cl.nn.BatchNorm(FEATURES, dtype=float), cell(cl.nn.GRU)),
    "attention": lambda: network(
        cl.nn.Dense(FEATURES, 6, dtype=float),
        cl.nn.TransformerBlock(6, 2, dtype=float),
        cl.nn.MeanOverSteps(),
    ),
}


def fitted(net, x, **more):
    flat = isinstance(net.layers[0], cl.nn.Unflatten)
    data = (x.reshape(len(x), -1) if flat else x, Y)
    return cl.fit(net, data, optimizer=cl.optim.sgd(0.1), batch_size=8, seed=3, **{"buckets": 3, "epochs": 2, **more})


@pytest.fixture
def eager(monkeypatch):
    monkeypatch.setattr("clearprop.train.job.choose_executor", eager_executor)


@pytest.mark.parametrize("kind", NETWORKS)
def test_steps_are_those_of_batches_filled_up_to_the_longest_of_all(kind, eager):
    """What lies behind the end of a sequence enters nothing: neither outputs, gradients nor statistics."""
    net = NETWORKS[kind]()
    run = fitted(net, X)
    feed = run.workings.plan().feed
    model, rule = net, cl.optim.sgd(0.1)
    state = rule.init(model)
    for epoch in range(2):
        for picked in feed.picked(epoch, 0):
            x, y = feed.x[picked.rows], Y[picked.rows]  # all steps

            def loss(m, x=x, y=y):
                outputs, trained = cl.nn.apply(m, x, train=True)
                return cl.nn.cross_entropy(outputs, y), trained

            (_, trained), grads = cl.value_and_grad(loss, has_aux=True)(model)
            updates, state = rule.update(grads, state, model)
            model = cl.optim.apply_updates(trained, updates)
    for (path, one), other in zip(run.last.parameters().items(), model.parameters().values(), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-9, atol=1e-12, err_msg=path)
    for norm, other in zip(*(
        [layer for layer in m.layers[1].layers if isinstance(layer, cl.nn.BatchNorm)] if kind == "statistics" else []
        for m in (run.last, model)), strict=True):  # fmt: skip
        np.testing.assert_allclose(np.asarray(norm.mean), np.asarray(other.mean), rtol=1e-9)
        np.testing.assert_allclose(np.asarray(norm.variance), np.asarray(other.variance), rtol=1e-9)


def test_every_row_comes_once_an_epoch_in_an_order_of_its_own(eager):
    feed = fitted(NETWORKS["lstm"](), X).workings.plan().feed
    orders = []
    for epoch in range(3):
        picked = list(feed.picked(epoch, 0))
        assert len(picked) == feed.count
        assert sorted(np.concatenate([p.rows for p in picked]).tolist()) == list(range(N))
        for p in picked:
            assert LENGTHS[p.rows].max() * WIDTH <= p.width
            assert p.part(0, p.count())[0].shape == (len(p.rows), p.width)
        orders.append([tuple(p.rows) for p in picked])
        assert [tuple(p.rows) for p in feed.picked(epoch, 2)] == orders[-1][2:]
    assert len(set(map(tuple, orders))) == 3
    assert len({p.width for p in feed.picked(0, 0)}) == 3


@pytest.mark.parametrize("number", [1, 2, 3, 8, 1000])
def test_buckets_hold_all_rows_and_no_fewer_than_a_batch(number):
    for least in (1, 5, 45):
        buckets = bucket_rows(LENGTHS, number, least)
        assert sorted(np.concatenate([rows for rows, _ in buckets]).tolist()) == list(range(N))
        assert len(buckets) <= number and min(len(rows) for rows, _ in buckets) >= least
        for rows, longest in buckets:
            assert LENGTHS[rows].max() <= longest


def test_a_compiled_run_goes_on_and_is_replayed_with_its_bits(tmp_path):
    net = NETWORKS["gru of axes"]()
    whole = fitted(net, X, epochs=3, out=tmp_path / "whole")

    def stop(event, _):
        return "stop" if event["event"] == "epoch" and event["epoch"] == 1 else None

    fitted(net, X, epochs=3, callbacks=[stop], out=tmp_path / "parts")
    again = fitted(net, X, epochs=3, resume=tmp_path / "parts")
    for a, b in zip(whole.last.parameters().values(), again.last.parameters().values(), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    assert whole.replay(7).digest == again.replay(7).digest
    assert cl.load(tmp_path / "whole").config.settings.buckets == 3
    entry = cl.explain(whole, "layers[0].layers[0].cells[0].recurrent", step=4)[0, 1]
    assert entry.check().agrees


REFUSED = {
    "no mask": (cl.nn.mlp([STEPS * WIDTH, 2], dtype=float), X.reshape(N, -1)),
    "one length": (
        cl.nn.Sequential(cl.nn.Unflatten((STEPS, WIDTH)), *NETWORKS["lstm"]().layers[1:]), X.reshape(N, -1)
    ),

}  # fmt: skip


@pytest.mark.parametrize("case", ["no mask", "one length"])
def test_networks_of_one_length_are_refused(case, tmp_path):
    net, x = REFUSED[case]
    with pytest.raises(ArgumentError, match="buckets are of sequences whose steps say whether they are there"):
        cl.fit(net, (x, Y), buckets=2, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_network_that_takes_one_length_alone_is_refused(tmp_path):
    net = cl.nn.Sequential(cl.nn.Masked(cl.nn.Dense(FEATURES, 1)), cl.nn.Flatten(), cl.nn.Dense(STEPS, 2))
    with pytest.raises(ArgumentError, match="buckets are for networks that take sequences of any length"):
        cl.fit(net, (X, Y), buckets=2, batch_size=8, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


OF_ALL_STEPS = {
    "a mean of all": lambda: [cl.nn.Masked(cl.nn.Dense(FEATURES, 6), cl.nn.GlobalPool(space=1))],
    "a mean behind the mask": lambda: [cl.nn.Masked(cl.nn.Dense(FEATURES, 6)), cl.nn.GlobalPool(space=1)],
    "statistics of all": lambda: [
        cl.nn.Masked(cl.nn.InstanceNorm(FEATURES, space=1), cl.nn.LSTM(FEATURES, 6, output="last"))],
    "the last of all": lambda: [cl.nn.Masked(cl.nn.Dense(FEATURES, 6)), cl.nn.LSTM(6, 6, output="last")],
}  # fmt: skip


@pytest.mark.parametrize("case", OF_ALL_STEPS)
def test_a_network_whose_answers_change_with_what_is_not_there_is_refused(case):
    """Its training would see other means than its predictions, which are made of whole sequences."""
    net = cl.nn.Sequential(*OF_ALL_STEPS[case](), cl.nn.Dense(6, 2))
    with pytest.raises(ArgumentError, match="buckets are for networks that take sequences of any length") as error:
        cl.fit(net, (X, Y), buckets=3, batch_size=8)
    assert error.value.got.startswith("other answers with ")


def test_shards_and_accumulated_gradients_in_buckets_are_replayed():
    """The step count of the optimizer is a number by itself, and the run keeps its own."""
    net = NETWORKS["gru of axes"]()
    run = fitted(net, X, epochs=2, accumulate=3, grad_shards=2)
    for _ in range(2):
        again = run.replay(run.steps).state.model.parameters()
        for path, one in run.last.parameters().items():
            np.testing.assert_array_equal(np.asarray(one), np.asarray(again[path]))
