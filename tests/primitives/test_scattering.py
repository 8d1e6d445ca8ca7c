"""Indexing by several arrays and masks, and arrays written anew: against NumPy's assignment, and `ufunc.at`."""

import warnings

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import ClearpropError
from tests.tiers import diagonal

X = np.random.default_rng(0).standard_normal((4, 3, 5))
KEYS = {
    "an integer": 1,
    "from the end": (slice(None), -1),
    "a slice": slice(1, 3),
    "every second": (slice(None, None, 2), slice(None), slice(1, 4)),
    "backwards": (Ellipsis, slice(None, None, -1)),
    "a new axis": (None, 1),
    "nothing": slice(2, 2),
    "an array": np.array([0, 2]),
    "a matrix of indices": np.array([[0, 1], [3, 2]]),
    "along the middle": (slice(None), np.array([2, 0])),
    "an integer and an array": (1, np.array([2, 0])),
    "an integer apart from an array": (1, slice(None), np.array([1, 2])),
    "a slice and an array": (slice(1, None), np.array([0, 2])),
    "pairs": (np.array([0, 1, 3]), np.array([2, 1, 0])),
    "pairs apart": (np.array([0, -1]), slice(None), np.array([2, 1])),
    "an outer product": (np.array([[0], [2]]), np.array([1, 2])),
    "no indices": np.zeros(0, np.int64),
    "a mask of rows": X[:, 0, 0] > 0,
    "a mask of two axes": X[:, :, 0] > 0,
    "a mask of entries": X > 0,
    "a mask in the middle": (slice(None), np.array([True, False, True])),
    "a mask and an integer": (X[:, 0, 0] > 0, 1),
}
OPERATIONS = {
    "set": lambda a, b: b,
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "max": np.maximum,
    "min": np.minimum,
}


def has_array(key):
    return any(isinstance(k, np.ndarray) for k in (key if isinstance(key, tuple) else (key,)))


def has_mask(key):
    return any(getattr(k, "dtype", np.dtype(float)).kind == "b" for k in (key if isinstance(key, tuple) else (key,)))


@pytest.mark.parametrize("name", KEYS)
def test_reading_is_numpys(name):
    key = KEYS[name]
    assert np.array_equal(cl.asarray(X)[key], X[key])
    assert np.array_equal(cl.asarray(X).at[key].get(), X[key])
    cl.check_grads(lambda x: cl.asarray(x)[key], (X,), order=2)
    if not has_mask(key):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.array_equal(cl.compile(lambda x: x[key])(X), X[key])
        assert np.array_equal(cl.vmap(lambda x: x[key])(np.stack([X, 2 * X])), np.stack([X[key], 2 * X[key]]))


@pytest.mark.parametrize(("how", "name"), diagonal(OPERATIONS, KEYS, every=3))
def test_writing_is_numpys_assignment(how, name):
    key = KEYS[name]
    values = np.random.default_rng(1).uniform(0.5, 2.0, X[key].shape)
    want = X.copy()
    want[key] = OPERATIONS[how](X[key], values)

    def f(x, values):
        return getattr(cl.asarray(x).at[key], how)(values)

    np.testing.assert_allclose(f(X, values), want, rtol=1e-15)
    cl.check_grads(f, (X, values), order=2)
    if not has_mask(key):
        with warnings.catch_warnings():
            native = how in ("set", "add", "subtract") or not has_array(key)
            warnings.simplefilter("error" if native else "ignore")  # what is combined at a place is sorted by places
            np.testing.assert_allclose(cl.compile(f)(X, values), want, rtol=1e-15)


@pytest.mark.parametrize("name", KEYS)
def test_one_value_for_all_places(name):
    want = X.copy()
    want[KEYS[name]] = 2.5
    assert np.array_equal(cl.asarray(X).at[KEYS[name]].set(2.5), want)
    assert np.array_equal(cl.asarray(X).at[KEYS[name]].apply(lambda entries: 0.0 * entries + 2.5), want)


TWICE = np.array([2, 0, 2, 2, -2, 1])
UFUNCS = {name: getattr(np, name) for name in ("add", "subtract", "multiply", "divide")}
UFUNCS |= {"max": np.maximum, "min": np.minimum}


@pytest.mark.parametrize("how", ["set", *UFUNCS])
def test_a_place_that_is_named_twice(how):
    values = np.random.default_rng(2).uniform(0.5, 2.0, (6, 3, 5))
    want = X.copy()
    if how == "set":
        want[TWICE] = values
    else:
        UFUNCS[how].at(want, TWICE, values)

    def f(x, indices, values):
        return getattr(cl.asarray(x).at[indices], how)(values)

    np.testing.assert_allclose(f(X, TWICE, values), want, rtol=1e-14)
    cl.check_grads(lambda x, v: f(x, TWICE, v), (X, values), order=2)
    np.testing.assert_allclose(cl.compile(f, executor="numpy")(X, TWICE, values), want, rtol=1e-14)
    each = cl.vmap(lambda x, v: f(x, TWICE, v))(np.stack([X, X]), np.stack([values, values]))
    np.testing.assert_allclose(each, np.stack([want, want]), rtol=1e-14)


def test_a_product_with_zeros_has_its_derivative():
    g = cl.grad(lambda v: cl.asarray(np.ones(2)).at[np.array([0, 0, 0])].multiply(v)[0])(np.array([2.0, 0.0, 3.0]))
    assert g.tolist() == [0.0, 6.0, 0.0]


def test_indices_that_are_arguments_are_native():
    f = cl.compile(lambda x, i, v: (x.at[i].set(v), x.at[i].add(v)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in (3, 6, 0):
            values = np.arange(n * 15.0).reshape(n, 3, 5)
            written, added = f(X, TWICE[:n], values)
            want = X.copy()
            want[TWICE[:n]] = values
            assert np.array_equal(written, want)
            np.testing.assert_allclose(added, cl.index_add(X, TWICE[:n], values, axis=0), rtol=1e-15)


def test_a_traced_mask_writes_one_value():
    f = cl.compile(lambda x: x.at[x > 0].set(0.0))
    assert np.array_equal(f(X), np.where(X > 0, 0.0, X))
    rows = cl.compile(lambda x: x.at[x[:, 0, 0] > 0].add(x[0]))
    assert np.array_equal(rows(X), np.where(X[:, :1, :1] > 0, X + X[0], X))


def test_what_is_left_contributes_nothing():
    g = cl.grad(lambda x: cl.sum(cl.sqrt(x).at[0].set(1.0)))(np.array([0.0, 4.0]))
    assert g.tolist() == [0.0, 0.25]


@pytest.mark.parametrize("dtype", [np.float32, np.int8, bool])
def test_the_dtype_is_kept(dtype):
    x = cl.zeros((3,), dtype=dtype)
    assert x.at[[0, 2]].set(cl.ones((2,), dtype=dtype)).dtype == dtype
    assert x.at[1].set(dtype(1)).tolist() == [0, 1, 0]


@pytest.mark.parametrize("key", [0, [0, 2], np.array([True, False, False])], ids=str)
def test_python_numbers_fit_or_are_refused(key):
    x = cl.asarray(np.array([3, 2, 3], np.uint8))
    assert x.at[key].subtract(1)[0].item() == 2 and x.at[key].set(255)[0].item() == 255
    for change in (lambda: x.at[key].set(300), lambda: x.at[key].add(-1), lambda: cl.masked_fill(x, x > 2, 256)):
        with pytest.raises(ClearpropError, match="does not fit in uint8"):
            change()


def test_entries_along_an_axis():
    indices = np.argmin(X, axis=1, keepdims=True)
    want = X.copy()
    np.put_along_axis(want, indices, 0.5, axis=1)
    assert np.array_equal(cl.put_along_axis(X, indices, 0.5, axis=1), want)
    cl.check_grads(lambda x, v: cl.put_along_axis(x, indices, v, axis=1), (X, X[:, :1]), order=2)
    assert np.array_equal(cl.masked_fill(X, X > 0, 1.0), np.where(X > 0, 1.0, X))


HISTOGRAMS = [(5, {}), (4, {"range": (-1.0, 0.5)}), (np.array([-1.0, 0.0, 0.1, 2.0]), {"density": True})]


@pytest.mark.parametrize(("bins", "options"), HISTOGRAMS)
def test_histograms_are_numpys(bins, options):
    for weights in (None, np.abs(X)):
        found = cl.histogram(X, bins, weights=weights, **options)
        want = np.histogram(X, bins, weights=weights, **options)
        np.testing.assert_allclose(found.counts, want[0], rtol=1e-13)
        np.testing.assert_allclose(found.edges, want[1], rtol=1e-15)
    cl.check_grads(lambda w: cl.histogram(X, np.array([-1.0, 0.0, 2.0]), weights=w).counts, (np.abs(X),), order=1)


CALLS = [
    (lambda x: x.at[0].set(1j), "complex128 values cannot stand in an array of float64"),
    (lambda x: cl.asarray([1, 2]).at[0].set(1.5), "float64 values cannot stand in an array of int64"),
    (lambda x: cl.asarray([1, 2]).at[0].divide(2), "float64 values cannot stand in an array of int64"),
    (lambda x: x.at[7].set(1.0), "index 7 is out of range on axis 0"),
    (lambda x: x.at[[0, 7]].set(1.0), "take: index 7 is out of bounds"),
    (lambda x: x[[0, 1], [0, 1, 2]], "index arrays of one key cannot be paired"),
    (lambda x: x[np.array([True, False])], "a mask has the sizes of the axes that it stands for"),
    (lambda x: x[np.ones((4, 3, 5, 1), bool)], "too many indices"),
    (lambda x: cl.compile(lambda x: x[x > 0])(x), "a mask cannot index what is being traced"),
    (lambda x: cl.compile(lambda x: x.at[x > 0].set(cl.ones(7)))(x), "a mask cannot index what is being traced"),
    (lambda x: x.at["a"].set(1.0), "this index is not supported"),
    (lambda x: x.at[0].set(cl.ones(4)), "cannot broadcast (4,) to (3, 5)"),
    (lambda x: cl.masked_fill(x, x, 0.0), "masked_fill chooses by truth values"),
    (lambda x: cl.histogram(x, 0), "histogram needs bins of a width"),
    (lambda x: cl.histogram(x, 3, range=(0.0, np.inf)), "histogram needs bins of a width"),
    (lambda x: cl.histogram(x, np.int64(3), range=(1.0, 0.0)), "histogram needs bins of a width"),
    (lambda x: cl.histogram(x, [0.0, 1.0, 0.5]), "histogram needs the ends of bins in ascending order"),
    (lambda x: cl.where(x > 0), "where does not take these arguments"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "headline"), CALLS, ids=[c[1] for c in CALLS])
def test_wrong_keys_and_values_are_refused(call, headline):
    with pytest.raises(ClearpropError) as caught:
        call(cl.asarray(X))
    assert caught.value.headline.startswith(headline)
    assert caught.value.expected and caught.value.got


def test_powers_at_a_place_come_one_after_the_other():
    x, places, powers = np.array([2.0, 3.0, 4.0]), np.array([0, 2, 0]), np.array([2.0, 0.5, 3.0])
    assert cl.asarray(x).at[places].power(powers).tolist() == [64.0, 3.0, 2.0]
    cl.check_grads(lambda x, p: cl.asarray(x).at[places].power(p), (x, powers), order=2)
