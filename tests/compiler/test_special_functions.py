"""SciPy's special functions inside kernels: the same code as NumPy's executor calls, in every process."""

import ctypes
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from scipy import special

import clearprop as cl
from clearprop.compiler.native import scipy_addresses
from clearprop.primitives import REGISTRY

R = np.random.default_rng(0)
COUNT = 400
BORDERS = (0.0, -0.0, 1.0, -1.0, -2.5, 5e-310, 1e300, np.inf, -np.inf, np.nan)


def numbers(low, high):
    """Numbers from a range, with borders in front."""
    return np.concatenate([BORDERS, R.uniform(low, high, COUNT - len(BORDERS))])


SCIPYS = {  # by the operands: what is SciPy's own, so that bits agree
    "x": ("erfinv", "lgamma", "ndtri", "i0", "i0e", "i1", "i1e"),
    "a b": ("beta", "betaln", "zeta", "gammainc", "gammaincc"),
    "a b p": ("betainc",),
}
OURS = ("erfc", "ndtr", "log_ndtr", "inverse_mills", "digamma")
"""Put together of several, with an exp or tan whose last bits are another library's."""
GIVEN = {"x": numbers(-9, 30), "a": numbers(1.1, 9), "b": numbers(0.1, 9), "p": numbers(0, 1)}


def results(x, a, b, p):
    """Every special function, in one program."""
    given = {"x": x, "a": a, "b": b, "p": p}
    own = {n: getattr(cl, n)(*map(given.get, names.split())) for names, many in SCIPYS.items() for n in many}
    own["erfinv of p"], own["ndtri of p"] = cl.erfinv(p), cl.ndtri(p)
    composed = {n: REGISTRY[n](x) for n in OURS}
    composed |= {f"polygamma {n}": cl.polygamma(x, order=n) for n in (1, 2, 9)}
    return own, composed


@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.verify)])
def test_kernels_compute_what_scipy_computes(dtype):
    with np.errstate(over="ignore", under="ignore"):
        operands = [v.astype(dtype) for v in GIVEN.values()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        own, composed = cl.compile(results, executor="numba")(*operands)
    want, wanted = results(*operands)
    for name, y in own.items():
        assert y.dtype == dtype
        np.testing.assert_array_equal(np.asarray(y), np.asarray(want[name]), err_msg=name)
    for name, y in composed.items():
        # of float32 both are rounded from float64; near a zero of ψ, and of high orders, the tangent's last bit weighs
        tolerance = 1e-14 if dtype == "float64" else 1e-7
        np.testing.assert_allclose(np.asarray(y), np.asarray(wanted[name]), rtol=tolerance, atol=0, err_msg=name)


@pytest.mark.parametrize("name", scipy_addresses.FUNCTIONS)
def test_the_inner_loop_of_a_ufunc_gives_what_the_published_function_gives(name):
    operands = scipy_addresses.FUNCTIONS[name]
    published = scipy_addresses.published_address(name, operands)
    assert published is not None or name == "zeta"
    form = ctypes.CFUNCTYPE(ctypes.c_double, *[ctypes.c_double] * operands, ctypes.c_int)
    by_loop = form(scipy_addresses.inner_loop_address(name, operands))
    by_name = form(published) if published else by_loop
    for x in (0.25, 0.75):
        values = [1.5, 2.5, x][-operands:]
        assert by_loop(*values, 0) == by_name(*values, 0) == getattr(special, name)(*values)


IN_ANOTHER = """
import warnings
warnings.simplefilter("error")
import clearprop as cl
from clearprop.compiler.native.cache import stats
print(cl.compile(lambda x: cl.zeta(x, 2.0) + cl.erfinv(x / 9.0), executor="numba")(cl.tensor([3.0, 4.0])).tolist())
print(stats.compiled)
"""


@pytest.mark.verify
def test_a_kept_kernel_finds_scipy_in_another_process(tmp_path):
    environment = os.environ | {"CLEARPROP_CACHE_DIR": str(tmp_path)}
    said = [
        subprocess.run([sys.executable, "-c", IN_ANOTHER], env=environment, check=True, capture_output=True, text=True)
        for _ in range(2)
    ]
    (first, compiled), (second, again) = (run.stdout.splitlines() for run in said)
    assert first == second and int(compiled) > 0 and again == "0"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_error_function_of_many_numbers_is_that_of_each(dtype):
    x = np.random.default_rng(0).normal(size=(3, 5463)).astype(dtype) * 3
    x[0, :5] = [np.nan, np.inf, -np.inf, 0.0, -0.0]
    np.testing.assert_array_equal(cl.erf(x).numpy(), np.stack([cl.erf(row).numpy() for row in x]))
    assert cl.erf(x).dtype == dtype
