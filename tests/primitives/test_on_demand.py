"""Functions in families that load at their first use: values by NumPy and SciPy, derivatives checked."""

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.special

import clearprop as cl
from clearprop.errors import ClearpropError

L = cl.linalg
X = np.random.default_rng(0).standard_normal((3, 5))
HOLES = np.where(np.abs(X) < 0.3, np.nan, X)
M = np.random.default_rng(1).uniform(-1, 1, (2, 3, 3)) + 2 * np.eye(3)
S = M @ M.mT + np.eye(3)
R = np.random.default_rng(2).standard_normal((2, 3, 4))


def symmetric(f):
    return lambda x: f(0.5 * (x + cl.matrix_transpose(x)))


WITHOUT_NAN = (
    "nansum",
    "nanmean",
    "nanmax",
    "nanmin",
    "nanvar",
    "nanstd",
    "nanprod",
    "nanmedian",
    "nancumsum",
    "nancumprod",
)


def along(module, name):
    function = getattr(module, name)
    return lambda x: function(x, axis=1)


# name: (ours, the oracle, operand, up to which order it is differentiated)
FUNCTIONS = {
    "sort": (lambda x: cl.sort(x, axis=0), lambda x: np.sort(x, axis=0), X, 2),
    "topk": (lambda x: cl.topk(x, 2)[0], lambda x: -np.sort(-x)[:, :2], X, 2),
    "median": (lambda x: cl.median(x, axis=1), lambda x: np.median(x, axis=1), X, 2),
    "median of an even number": (lambda x: cl.median(x[:, :4]), lambda x: np.median(x[:, :4]), X, 2),
    "quantile": (lambda x: cl.quantile(x, 0.3, axis=(0, 1), keepdims=True),
                 lambda x: np.quantile(x, 0.3, axis=(0, 1), keepdims=True), X, 2),
    "interp": (lambda x: cl.interp(x, cl.sort(x[0]), x[1], left=-1.0, right=2.0),
               lambda x: np.interp(x, np.sort(x[0]), x[1], left=-1.0, right=2.0), X, 2),
    "interp of one point": (lambda x: cl.interp(x, x[0, :1], x[1, :1]),
                            lambda x: np.interp(x, x[0, :1], x[1, :1]), X, 0),
    "cumulative_prod": (lambda x: cl.cumulative_prod(x, axis=1), lambda x: np.cumprod(x, axis=1), X, 2),
    "cummax": (lambda x: cl.cummax(x, axis=0), lambda x: np.maximum.accumulate(x, axis=0), X, 2),
    "cummin": (lambda x: cl.cummin(x, axis=1), lambda x: np.minimum.accumulate(x, axis=1), X, 2),
    "logcumsumexp": (lambda x: cl.logcumsumexp(x, axis=1), lambda x: np.logaddexp.accumulate(x, axis=1), X, 2),
    "trapezoid": (lambda x: cl.trapezoid(x, dx=0.5, axis=0), lambda x: np.trapezoid(x, dx=0.5, axis=0), X, 2),
    "trapezoid of places": (lambda x: cl.trapezoid(x, x[0] ** 2), lambda x: np.trapezoid(x, x[0] ** 2), X, 2),
    "quantiles": (lambda x: cl.quantile(x, (0.3, 0.5, 1.0), axis=1),
                  lambda x: np.quantile(x, (0.3, 0.5, 1.0), axis=1), X, 2),
    "percentile": (lambda x: cl.percentile(x, 30.0, axis=1), lambda x: np.percentile(x, 30.0, axis=1), X, 2),
    "nanquantile": (lambda x: cl.nanquantile(x, [0.1, 0.7], axis=0),
                    lambda x: np.nanquantile(x, [0.1, 0.7], axis=0), HOLES, 0),
    "nanquantile without holes": (lambda x: cl.nanquantile(x, 0.7), lambda x: np.nanquantile(x, 0.7), X, 2),
    "nanpercentile": (lambda x: cl.nanpercentile(x, 70, axis=(0, 1), keepdims=True),
                      lambda x: np.nanpercentile(x, 70, axis=(0, 1), keepdims=True), HOLES, 0),
    "diag of a vector": (lambda x: cl.diag(x[0], offset=-1), lambda x: np.diag(x[0], -1), X, 2),
    "diag of a matrix": (lambda x: cl.diag(x, offset=1), lambda x: np.diag(x, 1), X, 2),
    "flatten": (lambda x: cl.flatten(x, 1), lambda x: x.reshape(2, 12), R, 2),
    "atleast_nd": (lambda x: cl.atleast_nd(x, ndim=4), lambda x: x[None, None], X, 2),
    **{f"segment_{name}": (lambda x, name=name: getattr(cl, f"segment_{name}")(x, [1, 0, 1], size=2),
                           lambda x, by=by: np.stack([by(x[1:2], axis=0), by(x[::2], axis=0)]), X, 2)
       for name, by in (("mean", np.mean), ("prod", np.prod), ("max", np.max), ("min", np.min))},
    "segment_sum": (lambda x: cl.segment_sum(x, [1, 0, 1], size=3),
                    lambda x: np.stack([x[1], x[0] + x[2], 0 * x[0]]), X, 2),
    "bincount": (lambda x: cl.bincount(np.array([1, 1, 3, 0, 1]), weights=x[0]),
                 lambda x: np.bincount([1, 1, 3, 0, 1], x[0]), X, 2),
    "linspace": (lambda x: cl.linspace(cl.asarray(x[0]), 2.0, 4), lambda x: np.linspace(x[0], 2.0, 4), X, 2),
    "unique_values": (lambda x: cl.unique_values(x), np.unique, X, 0),
    "split": (lambda x: cl.split(x, [1, -1], axis=1)[1], lambda x: np.split(x, [1, -1], axis=1)[1], X, 2),
    "rot90": (lambda x: cl.rot90(x, 3), lambda x: np.rot90(x, 3), X, 2),
    "pad": (lambda x: cl.pad(x, ((1, 2), (0, 1)), value=3.0),
            lambda x: np.pad(x, ((1, 2), (0, 1)), constant_values=3.0), X, 2),
    **{f"pad, {mode}": (lambda x, mode=mode: cl.pad(x, 2, mode), lambda x, mode=mode: np.pad(x, 2, mode), X, 2)
       for mode in ("edge", "reflect", "symmetric", "wrap")},
    **{f"atleast_{n}d": (getattr(cl, f"atleast_{n}d"), getattr(np, f"atleast_{n}d"), X, 2) for n in (1, 2, 3)},
    **{name: (along(cl, name), along(np, name), HOLES, 0) for name in WITHOUT_NAN},
    **{f"{name} without holes": (along(cl, name), along(np, name), X, 2) for name in WITHOUT_NAN},
    "cholesky": (symmetric(L.cholesky), np.linalg.cholesky, S, 2),
    "eigvalsh": (symmetric(L.eigvalsh), np.linalg.eigvalsh, S, 2),
    "eigenvectors": (symmetric(lambda x: L.eigh(x).eigenvectors ** 2), lambda x: np.linalg.eigh(x)[1] ** 2, S, 2),
    "svdvals": (L.svdvals, lambda x: np.linalg.svd(x, compute_uv=False), R, 1),
    "nuclear norm": (lambda x: L.matrix_norm(x, ord="nuc"), lambda x: np.linalg.norm(x, "nuc", (-2, -1)), R, 1),
    "svdvals again": (L.svdvals, lambda x: np.linalg.svd(x, compute_uv=False), R, 2),
    "left singular vectors": (lambda x: L.svd(x, full_matrices=False).U ** 2,
                              lambda x: np.linalg.svd(x, full_matrices=False)[0] ** 2, R, 2),
    "right singular vectors": (lambda x: L.svd(x, full_matrices=False).Vh ** 2,
                               lambda x: np.linalg.svd(x, full_matrices=False)[2] ** 2, R, 2),
    "qr of tall ones": (lambda x: L.qr(cl.matrix_transpose(x)).Q, lambda x: np.linalg.qr(x.mT)[0], R, 2),
    "qr of wide ones": (lambda x: L.qr(x).R, lambda x: np.linalg.qr(x)[1], R, 2),
    "complete qr": (lambda x: L.qr(cl.matrix_transpose(x), mode="complete").R,
                    lambda x: np.linalg.qr(x.mT, mode="complete")[1], R, 2),
    "lu": (lambda x: cl.concat(L.lu(x), axis=-1), lambda x: np.concatenate(scipy.linalg.lu(x), axis=-1), M, 2),
    "lstsq of tall ones": (lambda x: L.lstsq(cl.matrix_transpose(x), cl.exp(x[:, 0, :, None])).solution,
                           lambda x: np.linalg.pinv(x.mT) @ np.exp(x[:, 0, :, None]), R, 2),
    "lstsq of wide ones": (lambda x: L.lstsq(x, cl.exp(x[..., :1])).solution,
                           lambda x: np.linalg.pinv(x) @ np.exp(x[..., :1]), R, 2),
    "residuals": (lambda x: L.lstsq(cl.matrix_transpose(x[0]), x[1, 0]).residuals,
                  lambda x: np.linalg.lstsq(x[0].mT, x[1, 0])[1][0], R, 2),
    "cholesky_solve": (lambda x: L.cholesky_solve(x, x), lambda x: np.linalg.inv(np.tril(x) @ np.tril(x).mT) @ x, M, 2),
    "logdet": (L.logdet, lambda x: np.linalg.slogdet(x)[1], M, 2),
    "cond": (L.cond, np.linalg.cond, R, 2),
    "cond in the norm of columns": (lambda x: L.cond(x, ord=1), lambda x: np.linalg.cond(x, 1), M, 1),
    "multi_dot": (lambda x: L.multi_dot([x[0], cl.matrix_transpose(x[1]), x[0], x[1, 0]]),
                  lambda x: np.linalg.multi_dot([x[0], x[1].mT, x[0], x[1, 0]]), R, 2),
    "expm": (L.expm, scipy.linalg.expm, M, 2),
    "kron": (lambda x: L.kron(x[0], x[1]), lambda x: np.kron(x[0], x[1]), R, 2),
    "matrix_power": (lambda x: L.matrix_power(x, -3), lambda x: np.linalg.matrix_power(x, -3), M, 2),
    "cross": (lambda x: L.cross(x, x[::-1], axis=1), lambda x: np.linalg.cross(x, x[::-1], axis=1), R, 2),
}  # fmt: skip


DISCRETE = {
    "lexsort": (lambda x: cl.lexsort((x[0], x[1] > 0), axis=0), lambda x: np.lexsort((x[0], x[1] > 0)), X),
    "lexsort of rows": (lambda x: cl.lexsort(cl.round(x)), lambda x: np.lexsort(np.round(x)), R),
    "isin": (lambda x: cl.isin(x, x[:, ::2]), lambda x: np.isin(x, x[:, ::2]), X),
    "not in": (lambda x: cl.isin(x, [np.nan, 0.5], invert=True), lambda x: x != 0.5, HOLES),
    "in nothing": (lambda x: cl.isin(x, x[:0]), lambda x: np.isin(x, x[:0]), X),
    "lcm": (lambda x: cl.lcm(cl.astype(4 * x, np.int32), 6), lambda x: np.lcm((4 * x).astype(np.int32), 6), X),
    "gcd of the least integer": (lambda x: cl.gcd(np.array([-128, 0, -128], np.int8), np.array([-1, 0, 6], np.int8)),
                                 lambda x: np.array([1, 0, 2], np.int8), X),
}  # fmt: skip
"""What gives places, truth values or integers."""


@pytest.mark.parametrize("name", ["nanmean", "nanvar", "nanstd"])
def test_no_numbers_have_no_mean_and_nothing_is_said(name):
    for given in (np.zeros((0, 3)), np.full((2, 3), np.nan)):
        assert np.all(np.isnan(getattr(cl, name)(given, axis=0)))


@pytest.mark.parametrize("name", DISCRETE)
def test_what_is_discrete(name):
    ours, oracle, x = DISCRETE[name]
    want = oracle(x)
    for got in (ours(x), cl.compile(ours, executor="numpy")(x), cl.vmap(ours)(x[None])[0]):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_derivatives(name):
    ours, oracle, x, order = FUNCTIONS[name]
    want = oracle(x)
    np.testing.assert_allclose(ours(x), want, rtol=1e-11, atol=1e-13)
    single = ours(x.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, want, rtol=2e-3, atol=1e-4)
    if order == 1:
        cl.check_grads(ours, (x,), order=1)
    if order:
        cl.check_grads(ours, (x,), order=order)
        np.testing.assert_allclose(cl.compile(ours, executor="numpy")(x), want, rtol=1e-11, atol=1e-13)
        both = cl.vmap(ours)(np.stack([x, 1.25 * x]))
        np.testing.assert_allclose(both, np.stack([want, oracle(1.25 * x)]), rtol=1e-10, atol=1e-12)


def test_a_quantile_of_a_nan_is_nan():
    assert np.isnan(cl.median(cl.tensor([1.0, np.nan, 2.0])).item())


def test_what_is_not_a_number_passes_nothing_on():
    g = cl.grad(lambda x: cl.sum(cl.nanmean(x, axis=1)))(HOLES)
    assert np.array_equal(np.isnan(HOLES), g.numpy() == 0)


@pytest.mark.parametrize("name", ["nanargmax", "nanargmin"])
def test_places_without_nan(name):
    np.testing.assert_array_equal(getattr(cl, name)(HOLES, axis=1), getattr(np, name)(HOLES, axis=1))
    assert getattr(cl, name)([[np.nan, np.nan]], axis=1, keepdims=True).tolist() == [[-1]]
    infinite = -np.inf if name == "nanargmax" else np.inf
    assert getattr(cl, name)([np.nan, infinite]).item() == 1  # where NumPy names the NaN


def test_a_median_without_nan_gives_its_derivative_to_the_middle():
    g = cl.grad(cl.nanmedian)(np.array([np.nan, 5.0, 1.0, np.nan, 2.0, 7.0]))
    assert g.tolist() == [0.0, 0.5, 0.0, 0.0, 0.5, 0.0]


def test_nothing_belongs_to_a_segment():
    found = {n: getattr(cl, f"segment_{n}")([2, 4], [1, 1], size=2).tolist() for n in ("sum", "prod", "max", "min")}
    ends = np.iinfo(np.int64)
    assert found == {"sum": [0, 6], "prod": [1, 8], "max": [ends.min, 4], "min": [ends.max, 2]}
    np.testing.assert_array_equal(cl.segment_mean([2, 4], [1, 1], size=2), [np.nan, 3.0])
    assert cl.segment_max(np.zeros((0, 2)), np.zeros(0, int), size=1).tolist() == [[-np.inf, -np.inf]]


def test_vectors_of_equal_values_have_no_derivative():
    for f in (lambda x: L.eigh(x).eigenvectors, lambda x: L.svd(x).U):
        assert np.all(np.isnan(cl.grad(lambda x, f=f: cl.sum(f(x)))(np.eye(2))))
    assert cl.grad(lambda x: cl.sum(L.eigvalsh(x)))(np.eye(2)).tolist() == [[1.0, 0.0], [0.0, 1.0]]


CALLS = [
    (lambda: cl.roll(X, (1, 2), axis=0), "roll needs one shift for each axis"),
    (lambda: cl.split(X, 2), "split cannot cut 3 into 2 equal parts"),
    (lambda: cl.pad(X, 1, "mirror"), "pad has no mode 'mirror'"),
    (lambda: cl.pad(X, (1, 2, 3)), "pad needs widths for each axis"),
    (lambda: cl.meshgrid(X), "meshgrid takes vectors"),
    (lambda: cl.meshgrid(X[0], indexing="yx"), 'indexing is "xy" or "ij"'),
    (lambda: cl.tril(X[0]), "tril needs two axes"),
    (lambda: cl.full(3, X), "full repeats one value"),
    (lambda: cl.arange(1, 2, 0), "arange needs a step"),
    (lambda: cl.interp(X, X, X), "interp needs points"),
    (lambda: cl.interp(X, X[0, :0], X[0, :0]), "interp needs points"),
    (lambda: cl.lexsort((X, X[0])), "lexsort takes keys of one shape"),
    (lambda: cl.lexsort(()), "lexsort takes keys of one shape"),
    (lambda: cl.bincount([1.0, 2.0]), "bincount counts integers"),
    (lambda: cl.bincount([1, -1]), "take_transposed: index 2 is out of bounds"),
    (lambda: cl.histogram(cl.tensor([1j])), "histogram is not defined for complex numbers"),
    (lambda: cl.pad(X, 1.5), "pad needs widths for each axis"),
    (lambda: cl.floor(np.arange(3), out=np.arange(3)), "floor does not take these arguments"),
    (lambda: cl.topk(X, 9), "topk cannot take 9 of 5"),
    (lambda: cl.quantile(X, 1.5), "quantile takes a share"),
    (lambda: cl.percentile(X, [50, 101]), "percentile takes a share"),
    (lambda: cl.nanquantile(X, "half"), "nanquantile takes a share"),
    (lambda: cl.diag(1.0), "diag needs an axis"),
    (lambda: cl.flatten(X, 1, 0), "flatten joins axes from the first to the last"),
    (lambda: cl.median(X[:0]), "no elements have no quantile"),
    (lambda: cl.searchsorted(X[0], X, side="middle"), 'side is "left" or "right"'),
    (lambda: cl.repeat(X, [1, 2], axis=0), "repeat takes one count for each entry"),
    (lambda: cl.moveaxis(X, (0, 1), (0, 0)), "moveaxis moves each axis to a place of its own"),
    (lambda: L.inv(np.zeros((2, 2))), "a matrix has no such result: Singular matrix"),
    (lambda: L.cholesky(-S), "a matrix has no such result"),
    (lambda: L.det(X), "this needs square matrices"),
    (lambda: L.solve(M, X.T), "solve cannot solve"),
    (lambda: L.matrix_norm(X, ord=3), "there is no matrix norm 3"),
    (lambda: L.outer(X, X), "outer multiplies vectors"),
    (lambda: L.cross(X, X), "cross multiplies vectors of three entries"),
    (lambda: cl.grad(lambda x: cl.sum(L.svd(x).U))(X.T), "singular vectors beyond the range of a matrix"),
    (lambda: cl.grad(lambda x: cl.sum(L.qr(x, mode="complete").Q))(X.T), "complete_factor has no derivative"),
    (lambda: L.qr(X, mode="raw"), "qr has no mode 'raw'"),
    (lambda: L.lu(X), "this needs square matrices"),
    (lambda: L.solve_triangular(np.zeros((2, 2)), np.ones(2)), "a matrix has no such result"),
    (lambda: L.solve_triangular(X, X), "solve_triangular cannot solve"),
    (lambda: L.multi_dot([X]), "multi_dot multiplies matrices"),
    (lambda: L.multi_dot([X, M]), "multi_dot multiplies matrices"),
    (lambda: cl.grad(lambda s: cl.zeta(s, 1.0))(2.0), "zeta has no derivative with respect to s"),
    (lambda: cl.compile(cl.nonzero)(X), "np.asarray(x) needs numbers"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "headline"), CALLS, ids=[headline for _, headline in CALLS])
def test_wrong_calls_are_refused_in_four_parts(call, headline):
    with pytest.raises(ClearpropError) as caught:
        call()
    assert caught.value.headline.startswith(headline)
    assert caught.value.expected and caught.value.got


def test_the_printed_source_of_a_special_function_stands_alone():
    f = cl.compile(lambda x: cl.sum(cl.lgamma(x) + cl.erfc(x)), executor="numpy")
    x = np.array([0.5, 2.0])
    want = np.sum(scipy.special.gammaln(x) + scipy.special.erfc(x))
    assert f(x).item() == pytest.approx(want, rel=1e-15)
    assert "from scipy import special" in f.source("numpy")


def test_the_printed_source_of_an_integral_stands_alone():
    f = cl.compile(lambda a, x: cl.grad(lambda a: cl.sum(cl.gammainc(a, x)))(a), executor="numpy")
    a, x = np.array([0.5, 2.0, 30.0]), np.array([1.0, 0.1, 31.0])
    want = f(a, x).numpy()
    names = {}
    exec(compile(f.source("numpy"), "<source>", "exec"), names)
    np.testing.assert_array_equal(names["step"](a, x)[0], want)


def test_derivatives_by_parameters_far_out():
    """Values of mpmath with 40 digits, or of their first terms."""
    by_a = cl.grad(lambda a, x: cl.gammainc(a, x))
    assert by_a(1e8, 1e8).item() == pytest.approx(-1 / math.sqrt(2 * math.pi * 1e8), rel=1e-7)  # ε · a log a
    assert by_a(1e-5, 2.0).item() == pytest.approx(-scipy.special.exp1(2.0), rel=1e-4)
    assert [by_a(2.0, x).item() for x in (0.0, np.inf, 1e-300, 1e4)] == [0.0, 0.0, 0.0, 0.0]
    assert np.isnan(by_a(-1.0, 2.0).item())
    by_both = cl.grad(lambda a, b, x: cl.betainc(a, b, x), argnums=(0, 1))
    for x in (0.0, 1.0):
        assert [g.item() for g in by_both(2.0, 3.0, x)] == [0.0, 0.0]
    found = [g.item() for g in by_both(0.01, 0.02, 1e-9)]
    np.testing.assert_allclose(found, [-29.284674349737485, 9.042959816327430], rtol=1e-12)


@pytest.mark.parametrize(
    ("function", "at", "slope"),
    [
        (lambda x: cl.gammainc(1.0, x), 0.0, 1.0),
        (lambda x: cl.gammaincc(1.0, x), 0.0, -1.0),
        (lambda x: cl.gammainc(2.0, x), 0.0, 0.0),
        (lambda x: cl.gammainc(0.5, x), 0.0, np.inf),
        (lambda x: cl.betainc(1.0, 2.0, x), 0.0, 2.0),
        (lambda x: cl.betainc(2.0, 1.0, x), 1.0, 2.0),
    ],
)
def test_slopes_at_the_ends_of_a_domain(function, at, slope):
    """A density at the end of its support: 0 · log 0 is 0 there."""
    assert float(cl.grad(function)(at)) == pytest.approx(slope, rel=1e-12)


@pytest.mark.parametrize("values", [[1.0, np.nan, 3.0], [np.nan, np.inf, 1.0], [np.inf, -np.inf], [np.nan], [2.0, 2.0]])
@pytest.mark.parametrize("name", ["nanvar", "nanstd", "nansum", "nanmean", "nanmax", "nanmin"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of what is compared with
def test_what_leaves_nan_out_keeps_infinities(name, values):
    np.testing.assert_array_equal(getattr(cl, name)(values), getattr(np, name)(values))


def test_nanstd_has_squares_that_fit_and_a_derivative_where_all_is_the_same():
    for dtype, size in (("float32", 1e30), ("float64", 1e200), ("float32", 1e-30), ("float64", 1e-200)):
        x = np.array([1.0, np.nan, 3.0], dtype) * np.dtype(dtype).type(size)
        np.testing.assert_allclose(cl.nanstd(x).numpy(), size, rtol=1e-6)
    assert cl.grad(cl.nanstd)(np.array([2.0, np.nan, 2.0])).tolist() == [0.0, 0.0, 0.0]


def test_counts_of_small_integers_do_not_wrap_around():
    weights, places = np.array([200, 100, 90, 50], np.uint8), np.array([0, 1, 1, 1])
    assert cl.bincount(places, weights=weights).tolist() == [200, 240]
    assert cl.bincount(places, weights=weights > 60).tolist() == [1, 2]
    assert cl.segment_sum(weights, np.zeros(4, int), size=1).tolist() == [440]


SINGULAR = {
    "rank 1": np.outer([1.0, 2.0, 3.0], [1.0, 0.0, 2.0]),
    "rank 2": np.array([[1.0, 2.0, 0.5], [0.0, 1.0, 1.0], [1.0, 3.0, 1.5]]),
    "zeros": np.zeros((2, 2)),
    "one number": np.zeros((1, 1)),
    "a determinant that overflows": 2e15 * np.eye(3),
    "a determinant that underflows": 1e-18 * np.eye(3),
}


def minors(x):
    """The cofactors by their definition: determinants of what is left without a row and a column."""
    n = range(len(x))
    of = [[np.delete(np.delete(x, i, 0), j, 1) for j in n] for i in n]
    return np.array([[(-1) ** (i + j) * (np.linalg.det(of[i][j]) if len(x) > 1 else 1.0) for j in n] for i in n])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SINGULAR)
def test_the_determinant_has_a_derivative_at_singular_matrices(name, dtype):
    x = SINGULAR[name].astype(dtype)
    expected, tolerance = minors(x), 1e-5 if dtype == np.float32 else 1e-12
    found = cl.grad(cl.linalg.det)(x).numpy()
    np.testing.assert_allclose(found, expected, atol=tolerance * max(1.0, np.abs(expected).max()))
    together = cl.grad(lambda m: cl.sum(cl.linalg.det(m)))(np.stack([x, np.eye(len(x), dtype=dtype)])).numpy()
    np.testing.assert_allclose(together[0], found, rtol=tolerance, atol=tolerance)
    _, tangent = cl.jvp(cl.linalg.det, (x,), (np.ones_like(x),))
    np.testing.assert_allclose(tangent.numpy(), found.sum(), rtol=1e-4)


@pytest.mark.parametrize("ord", [1.5, 3, 4])
@pytest.mark.parametrize(
    ("dtype", "size"), [("float32", 1e25), ("float32", 1e-30), ("float64", 1e200), ("float64", 1e-200)]
)
def test_norms_of_powers_stay_in_range_and_have_a_derivative_at_0(ord, dtype, size):
    small = np.array([[3.0, -4.0, 0.0], [1.0, 2.0, 2.0]], dtype)
    x = small * np.dtype(dtype).type(size)
    expected = np.sum(np.abs(small.astype(float)) ** ord, axis=1) ** (1 / ord)
    np.testing.assert_allclose(L.vector_norm(x, axis=1, ord=ord).numpy() / size, expected, rtol=1e-6)
    np.testing.assert_allclose(
        L.vector_norm(x, axis=1, keepdims=True, ord=ord).numpy()[:, 0] / size, expected, rtol=1e-6
    )
    slope = cl.grad(lambda v: cl.sum(L.vector_norm(v, axis=1, ord=ord)))
    np.testing.assert_allclose(slope(x).numpy(), slope(small).numpy(), rtol=1e-5)
    assert slope(np.zeros((2, 2), dtype)).tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert L.vector_norm(np.zeros((2, 0), dtype), axis=1, ord=ord).tolist() == [0.0, 0.0]
    assert (
        np.isnan(L.vector_norm([np.nan, 1.0], ord=ord).item())
        and L.vector_norm([np.inf, 1.0], ord=ord).item() == np.inf
    )


@pytest.mark.parametrize("size", [1.0, 1e-300, 1e300])
def test_norms_of_negative_powers_stay_in_range(size):
    found = L.vector_norm(size * np.array([[2.0, -2.0], [1e-5, 3.0]]), axis=1, ord=-2)
    np.testing.assert_allclose(found.numpy() / size, [math.sqrt(2.0), 1e-5], rtol=1e-9)
    assert L.vector_norm(np.array([0.0, 1.0]), ord=-2).item() == 0.0


def test_integers_between_tensors_are_rounded_as_between_numbers():
    assert cl.linspace(cl.tensor(0.0), -5.0, 4, dtype=int).tolist() == cl.linspace(0.0, -5.0, 4, dtype=int).tolist()
