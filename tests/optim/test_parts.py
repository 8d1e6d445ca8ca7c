"""Optimizers as text, their parts, and settings that they do not suit."""

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn, optim
from clearprop.errors import ClearpropError
from clearprop.optim.inspection import full_batch_part, parse, says_rate, with_rate
from tests.optim.test_messages import lines, message, without_where

X = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
Y = X**2


def fit(opt, **options):
    return cl.fit(nn.Dense(1, 1), (X, Y), loss="mse", optimizer=opt, epochs=1, **options)


def test_rprop_is_refused_for_mini_batches():
    found = message(lambda: fit("rprop", batch_size=8))
    assert [line for line in found if not line.startswith("  where")] == lines("""
rprop needs all rows in every step
  expected  a batch size of at least 40, the rows to train on
  got       batches of 8 rows: their noise breaks rprop
  try       batch_size=40, or an optimizer for mini-batches such as adam
""")
    assert any("test_parts.py:" in line for line in found)


def test_rprop_is_refused_for_an_iterable_and_wherever_it_stands():
    batches = [(X[:20], Y[:20]), (X[20:], Y[20:])]
    wrapped = optim.chain(optim.clip_by_norm(1.0), optim.masked(optim.rprop(), ("weight",)))
    with pytest.raises(ClearpropError) as caught:
        cl.fit(nn.Dense(1, 1), batches, loss="mse", optimizer=wrapped, epochs=1)
    assert caught.value.got == "an iterable of batches"
    assert repr(full_batch_part(wrapped)) == repr(optim.rprop())


def test_rprop_takes_whole_batches():
    assert fit(optim.rprop(), batch_size=40).steps == 1
    assert full_batch_part(optim.sam(optim.adam())) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("adam", optim.adam()),
        ("sgd:lr=0.1,momentum=0.9,nesterov=true", optim.sgd(0.1, 0.9, nesterov=True)),
        ("polyak:growth=none,c=1", optim.polyak(c=1)),
        ("schedule_free:base=sgd,learning_rate=1", optim.schedule_free(1, base="sgd")),
        ("hypergradient:inner=adam", optim.hypergradient(optim.adam())),
        ("lookahead:inner=sgd,every=3", optim.lookahead(optim.sgd(), every=3)),
        ("fractional_memory:alpha=0.7+sgd:lr=1e+1", optim.chain(optim.fractional_memory(0.7), optim.sgd(1e1))),
        ("clip_by_norm+adam+average", optim.chain(optim.clip_by_norm(), optim.adam(), optim.average())),
    ],
)
def test_an_optimizer_is_read_from_text(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("adam", False),
        ("adam:lr=0.1", True),
        ("sgd:momentum=0.9,learning_rate=0.1", True),
        ("fractional_memory:alpha=0.7+sgd", False),
        ("fractional_memory:alpha=0.7+sgd: lr = 0.1", True),
    ],
)
def test_whether_a_text_says_the_rate(text, said):
    assert says_rate(text) is said


def test_what_is_given_beside_the_text_yields_to_it():
    assert parse("sgd:lr=0.5", learning_rate=0.1, b1=0.3) == optim.sgd(0.5)
    assert parse("sgd:momentum=0.5", learning_rate=0.1) == optim.sgd(0.1, 0.5)


@pytest.mark.parametrize(
    ("text", "headline", "remedy"),
    [
        ("adan", "no optimizer named 'adan'", "'adam', the nearest name"),
        ("sgd:momentun=0.9", "no hyper-parameter of sgd named 'momentun'", "'momentum', the nearest name"),
        ("sgd:0.9", "the optimizer 'sgd:0.9' cannot be read", "sgd:learning_rate=0.1,momentum=0.9"),
        ("sgd:momentum=1.5", "sgd cannot work with this momentum", "sgd(momentum=0.0)"),
        ("clip_by_nrom+adam", "no optimizer or link named 'clip_by_nrom'", "'clip_by_norm', the nearest name"),
        ("adam+sgd", "the optimizer 'adam+sgd' cannot be read", "clip_by_norm:limit=1+adam"),
        ("adam:b1=big", "adam cannot work with this b1", "adam(b1=0.9)"),
    ],
)
def test_a_text_that_means_nothing(text, headline, remedy):
    with pytest.raises(ClearpropError) as caught:
        parse(text, "--optimizer")
    assert (caught.value.headline, caught.value.where, caught.value.try_) == (headline, "--optimizer", remedy)


def test_a_rate_is_put_where_there_is_one():
    opt = optim.chain(optim.clip_by_norm(1.0), optim.groups(optim.adam(), ("*.bias", optim.sgd(0.1))))
    changed = with_rate(opt, 0.5)
    assert [r.learning_rate for r in (changed.links[1].default, changed.links[1].rules[0][1])] == [0.5, 0.5]
    assert with_rate(optim.sam(), 0.5).inner.learning_rate == 0.5
    assert without_where(message_of_armijo()) == lines("""
this optimizer has no learning rate
  expected  an optimizer with a setting learning_rate, such as adam or sgd
  got       armijo(initial=1.0, c=0.1, backtrack=0.5, growth=1.2, largest=10.0, trials=4)
  try       cl.optim.adam(1e-3); rules such as polyak and armijo choose the rate themselves
""")


def message_of_armijo():
    found = message(lambda: with_rate(optim.armijo(), 0.5))
    return [line.replace("test_parts.py:", "test_messages.py:") for line in found]


@pytest.mark.parametrize("name", ["adam", "lion", "asgd", "lookahead", "muon"])
def test_a_number_of_numpy_is_a_number(name):
    make = getattr(optim, name)
    known = make(optim.adam()) if name == "lookahead" else make()
    numbers = {
        key: {float: np.float64, int: np.int64, bool: np.bool_}[type(value)](value)
        for key, value in known.settings().items()
        if type(value) in (float, int, bool)
    }
    given = type(known)(**(known.settings() | numbers))
    assert repr(given) == repr(known)
    assert [type(v) for v in given.settings().values()] == [type(v) for v in known.settings().values()]
    weights = [np.asarray(fit(opt, batch_size=40).model.weight) for opt in (known, given)]
    np.testing.assert_array_equal(*weights)
