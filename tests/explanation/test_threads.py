"""Eight threads explain at once: the same bits as one, no lock that stays shut, no filter of warnings left behind."""

import threading
import warnings

import numpy as np
import pytest

import clearprop as cl
from clearprop.data.streaming.disk_rows import Dealing, DiskRows
from clearprop.rules.special import erf
from clearprop.train.batches import BlockFeed, batch_at
from tests.explanation.neuron import product_form
from tests.tiers import later

THREADS = 8


def at_once(function):
    """What the function returns in each of eight threads that start together."""
    start, found = threading.Barrier(THREADS), [None] * THREADS

    def work(i):
        start.wait()
        try:
            found[i] = function()
        except Exception as error:
            found[i] = error

    threads = [threading.Thread(target=work, args=(i,)) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def everything(explanation):
    """Text, JSON, paths, deeper levels, bodies and another dtype of the largest entries."""
    found = [str(explanation), explanation.json(), explanation.gradient.tobytes()]
    for entry in explanation.largest(2):
        found += [str(entry.at(np.float32)), *map(str, entry.paths(3))]
        for term in entry.terms:
            found.append(str(term.open()))
            found += [str(body) for f in term.factors if (body := f.body()) is not None]
    return found


def network():
    rows = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    model = cl.nn.mlp([4, 5, 2], activation="gelu", seed=0)
    return lambda m, x: cl.nn.cross_entropy(m(x), np.array([0, 1, 0])), (model, rows)


@cl.primitive("elementwise", numpy="np.real({x})", d_x=lambda g, x: g)
def only_real(x, /):
    """x, without its imaginary part: a function that has no complex step."""


def of_neuron():
    y, v = product_form()
    return cl.explain(y, wrt=v["w"])


def of_network():
    f, args = network()
    return cl.explain(f, "layers[0].weight", args=args)


def of_the_users_own():
    x = cl.tensor([1.0, 2.0], name="x", requires_grad=True)
    y = cl.sum(only_real(x) * x)
    return cl.explain(y, wrt=x)


@pytest.mark.parametrize("explained", [of_neuron, of_the_users_own, *later([of_network])])
def test_threads_find_what_one_finds(explained):
    before, alone = list(warnings.filters), everything(explained())
    assert at_once(lambda: everything(explained())) == [alone] * THREADS
    shared = explained()
    assert at_once(lambda: everything(shared)) == [alone] * THREADS
    assert warnings.filters == before


def test_threads_open_one_run():
    x = np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32)
    run = cl.fit(cl.nn.mlp([3, 4, 1], seed=0), (x, x.sum(1)), loss="mse", epochs=2, batch_size=4, seed=0)

    def opened():
        entry = cl.explain(run, "layers[0].weight", step=4, index=(1, 2))
        update = cl.explain_update(run, "layers[0].bias", 1, 3)
        return [str(entry), entry.native(), str(update), str(cl.explain(run, "x", row=5))]

    assert at_once(opened) == [opened()] * THREADS


def test_threads_take_batches_from_one_feed_on_disk():
    """Its blocks share one piece of memory, which a thread must not lose before it has copied its batch."""
    x = np.random.default_rng(0).standard_normal((40_000, 8)).astype(np.float32)
    rows = DiskRows(Dealing(len(x), 8, seed=0, shuffled=True), 8, (), np.float32)
    order, held = rows.order(0, len(x))
    rows.write(0, np.arange(len(x)), held, (x[order], x[order].sum(1)))
    feed = BlockFeed(rows, 100, True, np.zeros(2, np.uint32))
    places = [(epoch, number) for epoch in range(2) for number in range(0, feed.count, 60)]

    def taken():
        return [tuple(a.tobytes() for a in batch_at(feed, *place)) for place in places]

    assert at_once(taken) == [taken()] * THREADS


def test_a_complex_number_is_refused_where_it_would_be_cut():
    """The complex step knows by this that a function on the way has no complex form."""
    with pytest.raises(TypeError):
        erf(np.array([0.5 + 1e-30j]))
