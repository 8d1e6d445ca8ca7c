"""NumPy's functions take lists where they take arrays: beside a tensor too, with NumPy's own answers or a refusal."""

import inspect
import warnings

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import ClearpropError

X, M = np.array([0.3, 0.7, 1.1]), np.array([[2.0, 0.3, 0.1], [0.2, 1.5, 0.4], [0.1, 0.2, 1.8]])
L, LL = X.tolist(), M.tolist()
CALLS = [
    (X, L), (L, X), (M, LL), (LL, M), (M, L), (L, M), ([X, L],), (X, [0, 2]), (M, [0, 1]), (X, (3, 1)), (X, L, L),
    (L, X, L), ([0.0, 1.0, 2.0], X, [0.0, 1.0, 4.0]), (X, 2), (2, X),
]  # fmt: skip
HOMES = {"": np, "linalg.": np.linalg, "fft.": np.fft}
ASIDE = ("bmat", "save", "savetxt", "savez", "savez_compressed", "frombuffer", "empty", "empty_like", "info", "test",
         "show_config", "show_runtime", "frompyfunc", "get_include", "asmatrix")  # fmt: skip
"""What converts nothing, writes files or gives what nobody set; matrices."""


def functions():
    for home, module in HOMES.items():
        for name in getattr(module, "__all__", dir(module)):
            function = getattr(module, name, None)
            if callable(function) and not inspect.isclass(function) and name not in ASIDE:
                yield f"{home}{name}", function


def tensors(argument):
    if isinstance(argument, np.ndarray):
        return cl.asarray(argument)
    return [tensors(item) for item in argument] if isinstance(argument, list) else argument


def is_same(got, want):
    if isinstance(want, (tuple, list)):
        return len(got) == len(want) and all(map(is_same, got, want))
    got, want = np.asarray(got), np.asarray(want)
    return got.shape == want.shape and (want.dtype.kind in "OSU" or np.allclose(got, want, atol=1e-9, equal_nan=True))


def test_lists_beside_tensors_are_arrays(record_property):
    right = refused = 0
    for name, function in functions():
        for args in CALLS:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # NumPy's own, of what is no longer meant to be called
                try:
                    want = function(*(np.copy(a) if isinstance(a, np.ndarray) else a for a in args))
                except Exception:
                    continue
                if want is None or want is NotImplemented:
                    continue
                try:
                    got = function(*map(tensors, args))
                except ClearpropError:
                    refused += 1
                    continue
            assert is_same(got, want), (name, args)
            right += 1
    record_property("tried", f"{right} calls as NumPy answers them, {refused} refused")
    assert right > 500


@pytest.mark.parametrize("name", ["dot", "inner", "outer", "vdot", "convolve", "polyval"])
def test_lists_of_tensors_keep_their_history(name):
    function = getattr(np, name)

    def f(x):
        return cl.sum(function([x[0], x[1] * x[1]], x[1:] * 1.0))

    step = 1e-6
    want = [(float(f(cl.asarray(X + step * e))) - float(f(cl.asarray(X - step * e)))) / (2 * step) for e in np.eye(3)]
    np.testing.assert_allclose(np.asarray(cl.grad(f)(X)), want, atol=1e-7)
    np.testing.assert_allclose(np.asarray(cl.compile(cl.grad(f))(X)), want, atol=1e-7)
