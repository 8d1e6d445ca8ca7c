"""Complex numbers: derivatives of every function that takes or gives them, and the refusals of the others.

The convention is JAX's: ∂f/∂x − i·∂f/∂y of a real f, so that df = Re(∂f/∂z · dz).
"""

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import ArgumentError, ClearpropError, DTypeError, GradientError
from clearprop.primitives import REGISTRY
from tests.tiers import together

RNG = np.random.default_rng(7)


def draw(*shape):
    return RNG.uniform(0.4, 1.6, shape) + 1j * RNG.uniform(0.3, 1.2, shape)


def hermitian(z):
    return 0.5 * (z + cl.conj(cl.matrix_transpose(z)))


VECTOR, OTHER, REAL = draw(4), draw(4), RNG.uniform(0.5, 1.5, 4)
MATRIX, SECOND = draw(2, 3, 3) + 2 * np.diag([1, 2, 4]), draw(2, 3, 3)
TALL = draw(4, 3)
# name: (the function, its operands)
FUNCTIONS = {
    name: (getattr(cl, name), (VECTOR,))
    for name in (
        *("abs", "acos", "acosh", "angle", "asin", "asinh", "atan", "atanh", "conj", "cos", "cosh", "exp", "expm1"),
        *("imag", "log", "log1p", "log2", "log10", "negative", "positive", "real", "reciprocal", "sign", "sin", "sinh"),
        *("sqrt", "square", "tan", "tanh", "cumulative_sum", "cumulative_prod", "mean", "prod", "sum", "diff", "flip"),
    )
}
FUNCTIONS |= {
    name: (getattr(cl, name), (VECTOR, OTHER)) for name in ("add", "divide", "multiply", "pow", "subtract", "vecdot")
}
FUNCTIONS |= {
    "a real operand": (lambda x, z: x * z + cl.exp(1j * x), (REAL, VECTOR)),
    "a real power": (lambda x, z: z**3 + x ** (0.5 + 1j), (REAL, VECTOR)),
    "a choice": (lambda x, z: cl.where(x > 1, z, cl.conj(z)), (REAL, VECTOR)),
    "rows": (lambda z: z[1:, None] * z[None, :2], (VECTOR,)),
    "broadcast": (lambda x, z: x[:1] * z, (REAL, VECTOR)),
    "matmul": (cl.matmul, (MATRIX, SECOND)),
    "a real matrix": (cl.matmul, (MATRIX.real, SECOND)),
    "einsum": (lambda a, b: cl.einsum("bij,bkj->bik", a, b), (MATRIX, SECOND)),
    "tensordot": (lambda a, b: cl.tensordot(a, b, axes=((0, 1), (0, 1))), (MATRIX, SECOND)),
    "single precision": (lambda z: cl.astype(cl.astype(z, cl.complex128) * 1.0, cl.complex128), (VECTOR,)),
    "conversion": (lambda x: cl.astype(x, cl.complex128) * (1 + 2j), (REAL,)),
}
LINALG = {
    "det": (cl.linalg.det, (MATRIX,)),
    "inv": (cl.linalg.inv, (MATRIX,)),
    "solve": (cl.linalg.solve, (MATRIX, SECOND)),
    "solve of a real matrix": (cl.linalg.solve, (MATRIX.real, SECOND)),
    "logabsdet": (cl.linalg.logabsdet, (MATRIX,)),
    "expm": (cl.linalg.expm, (0.3 * MATRIX,)),
    "matrix_power": (lambda a: cl.linalg.matrix_power(a, 3), (MATRIX,)),
    "lu": (lambda a: cl.linalg.lu(a)[1] + cl.linalg.lu(a)[2], (MATRIX,)),
    "solve_triangular": (lambda a, b: cl.linalg.solve_triangular(a, b, lower=True), (MATRIX, SECOND)),
    "svdvals": (cl.linalg.svdvals, (TALL,)),
    "eigvalsh": (lambda a: cl.linalg.eigvalsh(hermitian(a)), (MATRIX,)),
    "eigvals": (cl.linalg.eigvals, (MATRIX,)),
    "eigvals of a real matrix": (cl.linalg.eigvals, (MATRIX.real,)),
    "matrix_norm": (cl.linalg.matrix_norm, (TALL,)),
    "vector_norm": (lambda a: cl.linalg.vector_norm(a, ord=3), (TALL,)),
    "trace": (cl.linalg.trace, (MATRIX,)),
    "outer": (cl.linalg.outer, (VECTOR, OTHER)),
}
NORMS = ("backward", "ortho", "forward")
FFT = {
    f"{name} n={n} {norm}": (
        lambda x, name=name, n=n, norm=norm: getattr(cl.fft, name)(x, n=n, axis=0, norm=norm),
        (RNG.uniform(-1, 1, (5, 2)) if name in ("rfft", "ihfft") else draw(5, 2),),
    )
    for name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
    for n, norm in ((None, "backward"), (3, "ortho"), (4, "forward"), (9, "backward"))
}
FFT |= {
    "fft of real numbers": (cl.fft.fft, (REAL,)),
    "irfft of real numbers": (cl.fft.irfft, (REAL,)),
    "fftn": (lambda z: cl.fft.fftn(z, s=(3, 4), axes=(0, 1)), (draw(4, 3, 2),)),
    "ifftn": (cl.fft.ifftn, (draw(2, 3),)),
    "rfftn": (cl.fft.rfftn, (RNG.uniform(-1, 1, (2, 3, 4)),)),
    "irfftn": (cl.fft.irfftn, (draw(2, 3, 4),)),
    "fftshift": (cl.fft.fftshift, (draw(3, 4),)),
    "ifftshift": (lambda z: cl.fft.ifftshift(z, axes=1), (draw(2, 5),)),
}
ALL = {**FUNCTIONS, **LINALG, **FFT}


def direction(x):
    v = RNG.uniform(-1, 1, x.shape)
    return v + 1j * RNG.uniform(-1, 1, x.shape) if x.dtype.kind == "c" else v


@pytest.mark.parametrize("name", ALL)
def test_both_modes_agree_with_differences_and_each_other(name):
    f, operands = ALL[name]
    v, h = [direction(x) for x in operands], 1e-6
    out, tangent = cl.jvp(f, operands, v)
    assert tangent.dtype == out.dtype and tangent.shape == out.shape
    up, down = (np.asarray(f(*[x + s * h * d for x, d in zip(operands, v, strict=True)])) for s in (1, -1))
    want = (up - down) / (2 * h)
    np.testing.assert_allclose(np.asarray(tangent), want, rtol=1e-6, atol=1e-8 * np.max(np.abs(want), initial=1))
    u = direction(np.asarray(out))
    back = cl.vjp(f, *operands)[1](u)
    assert [(g.shape, g.dtype) for g in back] == [(x.shape, x.dtype) for x in operands]
    left = np.sum(u * np.asarray(tangent)).real
    right = sum(np.sum(np.asarray(g) * d).real for g, d in zip(back, v, strict=True))
    assert abs(left - right) <= 1e-12 * np.sum(np.abs(u) * np.abs(np.asarray(tangent)))


@pytest.mark.parametrize(
    "name", ["abs", "exp", "sqrt", "tanh", "cosh", "divide", "pow", "matmul", "det", "solve", "fft n=9 backward"]
)
def test_the_gradient_is_differentiated_again(name):
    f, operands = ALL[name]
    v = [direction(x) for x in operands]
    g = cl.grad(lambda *zs: cl.sum(cl.abs(f(*zs)) ** 2), argnums=tuple(range(len(operands))))
    _, hv = cl.jvp(g, operands, v)
    up, down = (g(*[x + s * 1e-6 * d for x, d in zip(operands, v, strict=True)]) for s in (1, -1))
    for h, a, b in zip(hv, up, down, strict=True):
        want = (np.asarray(a) - np.asarray(b)) / 2e-6
        np.testing.assert_allclose(np.asarray(h), want, rtol=1e-5, atol=1e-7 * np.max(np.abs(want)))


@pytest.mark.parametrize("name", ["a real operand", "matmul", "irfft n=4 forward", "abs", "svdvals"])
def test_compiled_as_eager(name, recwarn):
    f, operands = ALL[name]

    def step(*zs):
        return cl.value_and_grad(lambda *zs: cl.sum(cl.abs(f(*zs)) ** 2))(*zs)

    for got, want in zip(cl.compile(step, executor="numpy")(*operands), step(*operands), strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-13)


@pytest.mark.parametrize("name", ["exp", "matmul", "conj"])
def test_single_precision_stays(name):
    f, operands = ALL[name]
    single = [x.astype(np.complex64) for x in operands]
    out, back = cl.vjp(f, *single)
    assert out.dtype == np.complex64 and {g.dtype for g in back(out)} == {np.dtype(np.complex64)}


# What jax.grad gives (JAX 0.11 in float64) at 0.3 + 0.4j, at a matrix and at a vector: the convention is the same.
POINT, AT, ROW = 0.3 + 0.4j, np.array([[2 + 1j, 0.5j], [1 - 1j, 3]]), np.array([1.0, 2.0, 4.0, -1.0])
JAX = {
    "square": (lambda z: cl.real(z * z), POINT, [0.6 + 0.8j]),
    "abs": (cl.abs, POINT, [0.6 - 0.8j]),
    "angle": (cl.angle, POINT, [-1.6 - 1.2j]),
    "exp": (lambda z: cl.imag(cl.exp(z)), POINT, [0.5256597791969788 - 1.2433022950695027j]),
    "conj": (lambda z: cl.real(cl.conj(z) * z * z), POINT, [0.43 - 0.24j]),
    "sqrt": (lambda z: cl.abs(cl.sqrt(z) + z) ** 2, POINT, [2.5914021704740873 - 2.9281566172707194j]),
    "power": (lambda z: cl.real(z ** (2 + 1j)), POINT, [0.3389317068380547 + 0.28420343015841415j]),
    "log": (lambda z: cl.imag(cl.log(z)) * cl.real(z), POINT, [0.4472952180016123 - 0.36j]),
    "tanh": (lambda z: cl.abs(cl.tanh(z)), POINT, [0.4914134878429754 - 0.9421444604564385j]),
    "divide": (lambda z: cl.real(1j / z), POINT, [-3.84 + 1.12j]),
    "det": (lambda a: cl.abs(cl.linalg.det(a)), AT, [
        2.731099432387815 - 1.2414088329035522j, -0.4965635331614209 + 1.324169421763789j,
        -0.20690147215059201 - 0.45518323873130245j, 2.234535899226394 + 0.08276058886023685j]),
    "inv": (lambda a: cl.real(cl.sum(cl.linalg.inv(a))), AT, [
        -0.15837868267967728 + 0.0981422405704635j, -0.10320885719647212 - 0.0900731844623757j,
        -0.12291236629761682 + 0.12000375304935261j, -0.11090260836930006 - 0.06042409457684369j]),
    "logabsdet": (cl.linalg.logabsdet, AT, [
        0.4520547945205479 - 0.2054794520547945j, -0.0821917808219178 + 0.2191780821917808j,
        -0.03424657534246575 - 0.07534246575342465j, 0.3698630136986301 + 0.0136986301369863j]),
    "svdvals": (lambda a: cl.linalg.svdvals(a)[0], AT, [
        0.2653357807948941 - 0.15141395928016976j, 0.07498427553089049 - 0.36939539213607303j,
        0.37011809624526726 + 0.40761023401071256j, 0.6791947044331806 - 0.012497379255148489j]),
    "eigvals": (lambda a: cl.sum(cl.abs(cl.linalg.eigvals(a)) ** 2), AT, [4, 2 - 2j, 1j, 6 - 2j]),
    "fft": (lambda a: cl.sum(cl.abs(cl.fft.fft(a, n=3) + 1) ** 2), AT, [18 - 6j, -3j, 12 + 6j, 18]),
    "irfft": (lambda a: cl.sum(cl.fft.irfft(a, n=3) ** 3), AT, [1.5, (-1 - 8j) / 6, 19 / 3, 10]),
    "hfft": (lambda a: cl.sum(cl.fft.hfft(a, n=3) ** 3), AT, [40.5, -4.5 - 36j, 171, 270]),
    "rfft": (lambda x: cl.sum(cl.abs(cl.fft.rfft(x) + 1) ** 3), ROW, [
        200.36669234721606, 104.4499614791759, 243.63330765278394, 39.550038520824096]),
    "ihfft": (lambda x: cl.sum(cl.abs(cl.fft.ihfft(x, n=3) + 1) ** 3), ROW, [34 / 3, 32 / 3, 34 / 3, 0]),
}  # fmt: skip


@pytest.mark.parametrize("name", JAX)
def test_gradients_are_those_of_jax(name):
    f, point, want = JAX[name]
    got = np.ravel(cl.grad(f)(point))
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_the_convention():
    z = 0.3 + 0.4j
    assert np.isclose(cl.grad(lambda z: cl.real(z))(z).item(), 1)
    assert np.isclose(cl.grad(lambda z: cl.imag(z))(z).item(), -1j)
    assert np.isclose(cl.grad(lambda z: cl.real(z * z))(z).item(), 2 * z)
    assert np.isclose(cl.grad(lambda z: cl.abs(z) ** 2)(z).item(), 2 * np.conj(z))
    assert cl.grad(cl.abs)(0j).item() == 0
    assert np.isclose(cl.grad(lambda x: cl.real(cl.exp(2j * x)))(0.7).item(), -2 * np.sin(1.4))


# ------------------------------------------------------------------------------------------------------ refusals
def test_what_is_not_declared_for_complex_numbers_is_refused():
    """Of every primitive: it is declared, linear by its kind, or says no."""
    z = cl.asarray(VECTOR)
    refused = [p for p in REGISTRY.values() if p.on_complex == "refused" and p.kind == "elementwise"]
    assert {"maximum", "floor", "erf", "relu", "less", "sigmoid", "atan2"} <= {p.name for p in refused}
    for p in refused:
        with pytest.raises(DTypeError, match=r"not defined for complex numbers|no meaning|converted"):
            p(*[z] * len(p.operands), **p.params)


@pytest.mark.parametrize(
    "name", ["max", "argmax", "sort", "var", "std", "median", "logsumexp", "softmax", "cummax", "norm"]
)
def test_no_order_and_no_statistics_of_it(name):
    with pytest.raises(ClearpropError, match="not defined for complex numbers"):
        getattr(cl, name)(cl.asarray(VECTOR))


@pytest.mark.parametrize(
    "f",
    [
        lambda a: cl.linalg.eigh(a).eigenvectors,
        lambda a: cl.linalg.svd(a).U,
        lambda a: cl.linalg.qr(a).Q,
        lambda a: cl.linalg.cholesky(hermitian(a) + 9 * np.eye(3)),
        cl.linalg.pinv,
        lambda a: cl.linalg.eig(a).eigenvectors,
        lambda a: cl.linalg.slogdet(a).sign,
    ],
)
def test_values_without_a_derivative_say_so(f):
    assert f(cl.asarray(MATRIX)).dtype == np.complex128
    for derivative in (lambda: cl.vjp(f, MATRIX)[1](f(MATRIX)), lambda: cl.jvp(f, (MATRIX,), (MATRIX,))):
        with pytest.raises(GradientError, match=r"no derivative|has no rule"):
            derivative()


W = cl.tensor([1.0, 2.0], requires_grad=True)
DOORS = {
    "grad of a complex loss": lambda z: cl.grad(lambda z: z[0])(z),
    "backward of a complex loss": lambda z: cl.sum(W * 1j).backward(),
    "a leaf": lambda z: cl.tensor(z, requires_grad=True),
    "jacobian": lambda z: cl.jacobian(lambda z: z * z)(z),
    "hessian": lambda z: cl.hessian(lambda z: cl.sum(cl.abs(z)))(z),
    "check_grads": lambda z: cl.check_grads(cl.abs, (z,)),
    "scan": lambda z: cl.scan(lambda c, a: (c + a, a), 0.0, z),
    "cond": lambda z: cl.cond(cl.asarray(True), cl.abs, cl.real, z),
    "while_loop": lambda z: cl.while_loop(lambda z: cl.real(z) < 3, lambda z: z + 1, z[0]),
    "remat": lambda z: cl.remat(cl.abs)(z),
    "optimizer": lambda z: cl.optim.adam(0.1).init({"w": z}),
    "updates": lambda z: cl.optim.apply_updates({"w": z}, {"w": z}),
    "loss": lambda z: cl.nn.mse(z, z),
    "layer": lambda z: cl.nn.mlp([4, 3, 2], seed=0)(z[None]),
    "features": lambda z: cl.fit(cl.nn.mlp([4, 2], seed=0), (z[None].numpy(), np.zeros((1, 2))), epochs=1),
    "explain": lambda z: cl.explain(lambda x: cl.sum(cl.abs(cl.exp(1j * x))), "x", args=(REAL,)),
    "float": lambda z: float(z[0]),
    "int": lambda z: int(z[0]),
    "a real dtype": lambda z: cl.asarray(z, dtype=float),
    "astype": lambda z: z.astype(np.float32),
    "a tangent of a real value": lambda z: cl.jvp(cl.sin, (REAL,), (z,)),
    "random numbers": lambda z: cl.random.normal(cl.random.key(0), (2,), dtype="complex64"),
    "rfft": lambda z: cl.fft.rfft(z),
}


@pytest.mark.parametrize("door", DOORS)
def test_where_everything_is_real_complex_numbers_are_refused(door):
    with pytest.raises(ClearpropError) as caught:
        DOORS[door](cl.asarray(VECTOR))
    assert caught.value.expected


def test_a_complex_constant_has_its_derivative():
    """It was lost once: the result of a complex operation was not recorded."""
    f = lambda x: cl.real((x * (1 + 2j)) * (3 - 1j))
    assert cl.grad(f)(1.0).item() == 5.0
    x = cl.tensor(1.0, requires_grad=True)
    f(x).backward()
    assert x.grad.item() == 5.0


# ------------------------------------------------------------------------------------------------ transforms: values
@together("norm", NORMS)
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft", "fftn", "ifftn", "rfftn", "irfftn"])
def test_transforms_are_numpys(name, norm):
    several = name.endswith("n")
    for dtype in ("float32", "float64", *(() if name[0] == "r" or name == "ihfft" else ("complex64", "complex128"))):
        x = (draw(3, 4) if dtype[0] == "c" else RNG.uniform(-1, 1, (3, 4))).astype(dtype)
        for given in (
            [{}, {"axes": (0,)}, {"s": (2, 5), "axes": (0, 1)}] if several else [{}, {"n": 3}, {"n": 7, "axis": 0}]
        ):
            got = getattr(cl.fft, name)(x, norm=norm, **given)
            want = getattr(np.fft, name)(x, norm=norm, **given)
            assert got.dtype == want.dtype and got.shape == want.shape
            eps = np.finfo(want.dtype).eps
            np.testing.assert_allclose(got.numpy(), want, rtol=0, atol=8 * eps * np.max(np.abs(want)))


def test_frequencies_and_shifts_are_numpys():
    for n in range(1, 8):
        for name in ("fftfreq", "rfftfreq"):
            got = getattr(cl.fft, name)(n, d=0.3)
            np.testing.assert_array_equal(got, getattr(np.fft, name)(n, 0.3))
        x = RNG.uniform(size=(n, 3))
        for name in ("fftshift", "ifftshift"):
            for axes in (None, 0, (1,), (0, 1)):
                np.testing.assert_array_equal(getattr(cl.fft, name)(x, axes=axes), getattr(np.fft, name)(x, axes=axes))
    assert cl.fft.fftfreq(4, dtype=cl.float32).dtype == np.float32


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: cl.fft.fft(np.ones(3), n=0), "fft transforms one entry or more"),
        (lambda: cl.fft.fft(np.ones(3), norm="half"), "fft has no norm 'half'"),
        (lambda: cl.fft.fft(1.0), "fft needs an axis"),
        (lambda: cl.fft.irfft(np.ones(1)), "irfft transforms one entry or more"),
        (lambda: cl.fft.fftn(np.ones((2, 2)), s=(2,), axes=(0, 1)), "fftn needs one size for each axis"),
        (lambda: cl.fft.fftfreq(0), "fftfreq needs a number of entries"),
    ],
)
def test_wrong_calls_of_transforms(call, words):
    with pytest.raises((ArgumentError, ClearpropError), match=words):
        call()


def test_what_was_chosen_ends_at_a_transform():
    def f(x, y):
        mixed = cl.real(cl.fft.ifft(cl.sigmoid(x) * cl.fft.fft(y)))
        return cl.sum(cl.sigmoid(cl.diag(mixed) @ x))

    cl.check_grads(f, (np.array([0.7, 1.3, 0.55]), np.array([1.2, 0.6, 1.45])), order=2)
