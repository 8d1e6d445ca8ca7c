"""What a step computes is traced and planned once in a process: the next training finds it, with the same bits."""

import dataclasses
import functools
import gc
import threading
import weakref

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler import epoch_loop
from clearprop.nn import Penalty
from clearprop.program.processes import Remembered
from clearprop.train import job
from clearprop.train.metrics import find_loss, find_metrics
from clearprop.train.step import Step, identity_of

RNG = np.random.default_rng(0)
X = RNG.normal(size=(22, 3)).astype("f")
Y = RNG.integers(0, 2, 22)


class nudged(cl.optim.sgd):
    """An optimizer of the user's own."""


def fit(sizes=(3, 4, 2), x=X, y=Y, dropout=0.0, activation="relu", **given):
    given = {"epochs": 2, "batch_size": 8, "loss": "cross_entropy", "progress": False, **given}
    run = cl.fit(cl.nn.mlp(list(sizes), activation, dropout=dropout), (x, y), **given)
    return run.replay(run.steps).digest, run.history[-1]["train"]


@pytest.fixture
def traced(monkeypatch):
    """How many programs were traced, in a process that knows none."""
    monkeypatch.setattr(epoch_loop, "_PROGRAMS", Remembered(epoch_loop.KNOWN))
    monkeypatch.setattr(job, "_TRIED", Remembered(64))
    found = []
    init = epoch_loop._Traced.__init__

    def counted(self, *args):
        found.append(self)
        init(self, *args)

    monkeypatch.setattr(epoch_loop._Traced, "__init__", counted)
    return found


VARIANTS = {
    "the same": {},
    "another seed": {"seed": 7},
    "another number of rows": {"x": X[:17], "y": Y[:17]},
    "other rows": {"x": X[::-1].copy(), "y": Y[::-1].copy()},
    "another batch": {"batch_size": 5},
    "batches of one": {"batch_size": 1},
    "another rate": {"optimizer": cl.optim.adam(0.1)},
    "another optimizer": {"optimizer": cl.optim.sgd(0.1, momentum=0.9)},
    "a schedule": {"optimizer": cl.optim.sgd(cl.optim.cosine(0.1, 20))},
    "a chain": {"optimizer": "clip_by_norm+adam"},
    "a penalty": {"l2": 0.1},
    "another penalty": {"l1": 0.1},
    "metrics": {"metrics": ("accuracy",)},
    "another network": {"sizes": (3, 5, 2)},
    "one hidden unit": {"sizes": (3, 1, 2)},
    "another activation": {"activation": "tanh"},
    "another loss": {"loss": "mse", "sizes": (3, 4, 1), "y": X[:, :1].copy()},
    "a loss with a setting": {"loss": "cross_entropy:label_smoothing=0.1"},
    "class weights": {"class_weight": {0: 1.0, 1: 3.0}},
    "dropout": {"dropout": 0.5},
    "dropout, another seed": {"dropout": 0.5, "seed": 3},
}


WITH_ARRAYS = ("class weights",)
"""Steps that hold arrays of their own are traced each time."""


@pytest.mark.parametrize("name", VARIANTS)
def test_a_known_step_gives_the_bits_of_a_new_one(traced, name):
    want = fit(**VARIANTS[name])
    epoch_loop._PROGRAMS.values.clear()
    for other in ("the same", "dropout", "another penalty", name):  # what is known may be another's
        fit(**VARIANTS[other])
    count = len(traced)
    assert fit(**VARIANTS[name]) == want
    assert (len(traced) == count) is (name not in WITH_ARRAYS)


PLAIN = {
    "loss": "mse",
    "metrics": (),
    "optimizer": cl.optim.adam(0.1),
    "penalty": Penalty(),
    "model": cl.nn.mlp([3, 4, 2]),
}
OPT, N = cl.optim, cl.nn


def step_of(**changed):
    """The identity of a step of library parts, and of the network that it trains."""
    given = {**PLAIN, **changed}
    loss, metrics = find_loss(given["loss"]), tuple(find_metrics(given["metrics"]))
    return identity_of((Step(loss, metrics, given["optimizer"], given["penalty"]), given["model"]))


def sequential(*layers):
    return N.Sequential(N.Dense(3, 4), *layers, N.Dense(4, 2))


DIFFERENT = [
    {},
    *({"loss": name} for name in ("mae", "huber", "huber:2", "huber:3", "cross_entropy", "pinball:0.9")),
    *({"metrics": names} for names in (("mae",), ("rmse",), ("mae", "rmse"), ("rmse", "mae"))),
    *({"penalty": Penalty(*p)} for p in ((0.1, 0.0), (0.0, 0.1), (1e-300, 0.0), (-0.0, 0.0), (0, 0), (False, 0.0))),
    *(
        {"optimizer": OPT.adam(r)}
        for r in (
            0.1 + 1e-16,
            1.0,
            1,
            OPT.cosine(0.1, 20),
            OPT.cosine(0.1, 21),
            OPT.exponential(0.1, every=20, factor=0.5),
        )
    ),
    *({"optimizer": OPT.adam(0.1, **{n: 0.5})} for n in ("b1", "b2", "eps")),
    *({"optimizer": OPT.sgd(0.1, **more)} for more in ({}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True})),
    *({"optimizer": OPT.chain(OPT.clip_by_norm(c), OPT.adam(0.1))} for c in (1.0, 2.0)),
    {"optimizer": OPT.chain(OPT.adam(0.1), OPT.clip_by_norm(1.0))},
    {"optimizer": OPT.adamw(0.1)},
    {"optimizer": OPT.adamw(0.1, weight_decay=0.5)},
    {"optimizer": OPT.adamw(0.1, mask="all")},
    *({"model": N.mlp([3, 4, 2], a)} for a in ("tanh", "gelu", "leaky_relu")),
    *({"model": N.mlp([3, 4, 2], dropout=d)} for d in (0.1, 0.2)),
    *({"model": N.mlp([3, 4, 2], norm=n)} for n in ("layer", "batch")),
    {"model": N.mlp([3, 4, 4, 2])},
    {"model": sequential()},
    *({"model": sequential(N.Activation("leaky_relu", slope=s))} for s in (0.1, 1.0, 1)),
    *({"model": sequential(N.LayerNorm(4, eps=e))} for e in (1e-5, 1e-6)),
    *({"model": sequential(N.BatchNorm(4, decay=d))} for d in (0.1, 0.2)),
    *({"model": sequential(N.Dropout(d))} for d in (0.0, 0.1)),
    {"model": sequential(N.SmoothClip())},
]


def test_whatever_differs_in_a_step_tells_it_apart():
    found = [step_of(**changed) for changed in DIFFERENT]
    assert None not in found
    assert len(set(found)) == len(found)
    assert found == [step_of(**changed) for changed in DIFFERENT]


def test_parameters_do_not():
    assert step_of(model=N.mlp([3, 4, 2], seed=1)) == step_of(model=N.mlp([3, 4, 2], seed=2))


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Step)])
def test_every_field_of_a_step_counts(name):
    """Also one that is added: a setting that a step receives is never ignored."""
    step = Step(find_loss("mse"), (), cl.optim.adam(0.1), Penalty())
    assert identity_of(dataclasses.replace(step, **{name: ("another",)})) not in (identity_of(step), None)
    assert identity_of(dataclasses.replace(step, **{name: lambda *_: 0.0})) is None


class Falling(cl.optim.Schedule):
    """A schedule of the user's own."""

    rate: float = 0.1

    def at(self, t):
        return self.rate / (1 + t)


class Doubled(cl.nn.Module):
    """A layer of the user's own."""

    def forward(self, x):
        return 2 * x


class Wider(cl.nn.Dense):
    """A layer that is nearly one of the library."""


class Asked:
    """An object that is called as a loss."""

    def __call__(self, z, y):
        return cl.mean(z - y)


@functools.wraps(cl.nn.mse)
def disguised(z, y):
    return 3 * cl.nn.mse(z, y)


USERS = {
    "a function": {"loss": lambda z, y: cl.mean(z)},
    "a function that looks like ours": {"loss": disguised},
    "ours with an argument": {"loss": functools.partial(cl.nn.huber, delta=2.0)},
    "an object": {"loss": Asked()},
    "a metric": {"metrics": ("mae", lambda z, y: cl.mean(z))},
    "an optimizer": {"optimizer": nudged()},
    "an optimizer in a chain": {"optimizer": OPT.chain(OPT.clip_by_norm(1.0), nudged())},
    "a schedule": {"optimizer": OPT.adam(Falling(0.1))},
    "a rate that is an array": {"optimizer": OPT.adam(cl.tensor(0.1))},
    "a mask": {"optimizer": OPT.adamw(0.1, mask=lambda path: True)},
    "a layer": {"model": sequential(Doubled())},
    "a subclass of a layer": {"model": N.Sequential(Wider(3, 2))},
}


@pytest.mark.parametrize("name", USERS)
def test_what_users_wrote_is_not_compared(name):
    assert step_of(**USERS[name]) is None


def test_what_stands_under_a_name_of_ours_is_not_ours_for_it(monkeypatch):
    monkeypatch.setattr(cl.nn.losses, "mse", disguised)
    assert step_of(loss=disguised) is None


@pytest.mark.parametrize("change", ["a variable", "an array", "a dtype"])
def test_what_a_users_loss_uses_is_looked_at_in_every_training(change):
    before, after = {
        "a variable": (1.0, 3.0),
        "an array": (np.ones(2, "f"), np.array([1, 3], "f")),
        "a dtype": (np.float32(1), np.ones(2, "f")),
    }[change]
    held = [before]

    def loss(z, y):
        return cl.nn.cross_entropy(held[0] * z, y)

    found = []
    for held[0] in (before, after, before):
        found.append(fit(loss=loss, optimizer="sgd"))
    assert (found[0] != found[1]) is (change != "a dtype")
    assert found[0] == found[2]


def test_networks_of_another_dtype_are_other_programs(traced):
    for dtype in ("float32", "float64"):
        model = cl.nn.mlp([3, 4, 2], dtype=dtype)
        run = cl.fit(model, (X, Y), epochs=1, progress=False)
        assert {str(v.dtype) for v in run.last.parameters().values()} == {dtype}


def test_nothing_of_a_training_is_kept_alive(traced):
    """Neither data nor networks, and of what users wrote nothing at all."""

    def loss(z, y):
        return cl.nn.cross_entropy(z, y)

    x, model = X.copy(), cl.nn.mlp([3, 4, 2], dropout=0.5)
    for given in ({}, {"loss": loss}):
        run = cl.fit(model, (x, Y), epochs=1, progress=False, **given)
    gone = [weakref.ref(v) for v in (x, model, loss, run.last, run)]
    del x, model, loss, given, run
    traced.clear()
    gc.collect()
    assert [ref() for ref in gone] == [None] * len(gone)
    assert len(epoch_loop._PROGRAMS.values) == 1


def test_trainings_in_several_threads_share_what_is_known(traced):
    want, found = fit(), []
    threads = [threading.Thread(target=lambda: found.append(fit())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [want] * 4
    assert len(traced) == 1


def test_what_users_wrote_is_traced_each_time(traced):
    scale = [1.0]

    def loss(z, y):
        return scale[0] * cl.nn.cross_entropy(z, y)

    found = []
    for value in (1.0, 3.0):
        scale[0] = value
        found.append(fit(loss=loss, optimizer="sgd"))
    assert found[0] != found[1]
    count = len(traced)
    fit(optimizer=nudged())
    fit(optimizer=nudged())
    assert len(traced) >= count + 2


def test_what_does_not_fit_is_said_also_when_a_like_step_is_known(traced):
    fit()
    for wrong in (
        {"y": 2 * Y - (X[:, 0] > 0)},
        {"x": X[:, :2].copy()},
        {"sizes": (3, 4, 1)},
        {"y": 2 * np.eye(2, dtype=int)[Y]},
    ):
        with pytest.raises(cl.errors.ClearpropError):
            fit(**wrong)
    fit()


class Batches:
    """Batches that can be gone through again, with these labels."""

    def __init__(self, y):
        self.y = y

    def __iter__(self):
        return ((X[i : i + 8], self.y[i : i + 8]) for i in range(0, 16, 8))


def test_labels_of_batches_are_looked_at_also_when_a_like_step_is_known(traced, tmp_path):
    """Before anything is written, in the words of the first time."""
    told = []
    for y in (Y + 5, Y, Y + 5):
        try:
            cl.fit(cl.nn.mlp([3, 4, 2]), Batches(y), epochs=1, progress=False, out=tmp_path / f"run-{len(told)}")
            told.append("")
        except cl.errors.ArgumentError as refused:
            told.append(refused.headline)
    assert told == ["cross_entropy got a label outside its range", "", told[0]]
    assert [path.name for path in tmp_path.iterdir()] == ["run-1"]


def test_instructions_are_those_of_the_size(traced, monkeypatch):
    """Batches of many sizes: no more are kept than that, and each training has its own arrays."""
    monkeypatch.setattr(epoch_loop, "SIZES", 2)
    want = [fit(batch_size=n) for n in (1, 2, 3, 5, 8)]
    assert [fit(batch_size=n) for n in (8, 5, 3, 2, 1)] == want[::-1]
    assert max(len(program._sized.values) for program in traced) <= 2


def test_a_training_does_not_disturb_another_of_its_kind():
    """One goes on after another has run to its end: they share instructions, and no memory."""
    want = fit(epochs=3)
    inner = []

    def train_another(event, state):
        if event["event"] == "epoch":
            inner.append(fit(epochs=3))

    assert fit(epochs=3, callbacks=[train_another]) == want
    assert inner == [want] * 3


def test_the_programs_that_are_kept_are_bounded(traced, monkeypatch):
    monkeypatch.setattr(epoch_loop._PROGRAMS, "most", 2)
    for hidden in (2, 3, 4, 5):
        fit(sizes=(3, hidden, 2))
    assert len(epoch_loop._PROGRAMS.values) == 2
