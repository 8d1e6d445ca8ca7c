"""Families of declarations that are loaded when one of their names is first used: an import need not pay for them.

`FAMILIES` says which public names each module declares.  Nothing here is known to `import clearprop` but these words;
`find` loads the family of a name, and `load_all` every family, for whoever looks at all declarations.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

FAMILIES: dict[str, tuple[str, ...]] = {
    "contractions": ("einsum", "inner"),
    "convolution": ("conv", "conv_transpose"),
    "pooling": ("avg_pool", "max_pool"),
    "bits": (
        *("bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor"),
        "logical_xor",
    ),
    "division": ("floor_divide", "fmod", "gcd", "lcm", "remainder", "trunc"),
    "floating": (
        *("copysign", "deg2rad", "exp2", "fmax", "fmin", "heaviside", "hypot", "isinf", "lerp", "logit", "nan_to_num"),
        *("nextafter", "positive", "rad2deg", "rsqrt", "signbit", "sinc", "softsign", "xlog1py", "xlogy"),
    ),
    "complex_numbers": ("angle", "conj", "imag", "real"),
    "creation": (
        *("arange", "empty", "empty_like", "eye", "full", "full_like", "linspace", "meshgrid", "tril", "triu"),
    ),
    "manipulation": (
        *("atleast_1d", "atleast_2d", "atleast_3d", "atleast_nd", "broadcast_arrays", "diff", "flatten", "moveaxis"),
        *("pad", "ravel", "repeat", "roll", "rot90", "split", "tile", "unstack"),
    ),
    "further_activations": ("hard_sigmoid", "hard_silu", "hard_tanh", "mish"),
    "scattering": ("index_add", "masked_fill", "put_along_axis"),
    "sorting": (
        *("argsort", "bincount", "count_nonzero", "histogram", "interp", "isin", "lexsort", "nonzero"),
        *("searchsorted", "sort", "topk"),
        *("unique_all", "unique_counts", "unique_inverse", "unique_values"),
    ),
    "segments": ("segment_max", "segment_mean", "segment_min", "segment_prod", "segment_sum"),
    "incomplete_functions": ("betainc", "gammainc", "gammaincc"),
    "special_functions": (
        *("beta", "betaln", "digamma", "entr", "erfc", "erfcx", "erfinv", "i0", "i0e", "i1"),
        *("i1e", "lgamma", "log_ndtr", "ndtr", "ndtri", "polygamma", "zeta"),
    ),
    "statistics": (
        *("cummax", "cummin", "cumulative_prod", "logcumsumexp", "median", "percentile", "quantile", "trapezoid"),
    ),
    "missing_values": (
        *("nanargmax", "nanargmin", "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmedian", "nanmin"),
        *("nanpercentile", "nanprod", "nanquantile", "nanstd", "nansum", "nanvar"),
    ),
    "diagonals": ("diag", "diagonal", "trace"),
    "linalg": ("cross", "kron", "outer"),
}
"""The public names of each family, by module."""

NAMESPACES: dict[str, dict[str, tuple[str, ...]]] = {
    "linalg": {
        "matrices": ("cholesky", "eigvalsh", "expm", "inv", "pinv", "solve", "svdvals"),
        "determinants": ("det", "logabsdet"),
        "decompositions": ("solve_triangular",),
        "eigenvalues": ("eig", "eigvals"),
        "linalg": (
            *("cholesky_solve", "cond", "cross", "eigh", "kron", "logdet", "lstsq", "lu", "matrix_norm"),
            *("matrix_power", "matrix_rank", "multi_dot", "outer", "qr", "slogdet", "svd", "vector_norm"),
        ),
        "diagonals": ("diagonal", "trace"),
    },
    "fft": {
        "fourier": (
            *("fft", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifftn", "ifftshift", "ihfft", "irfft", "irfftn"),
            *("rfft", "rfftfreq", "rfftn"),
        ),
    },
    "random": {
        "distributions": (
            *("cauchy", "exponential", "gumbel", "laplace", "logistic", "lognormal", "multivariate_normal", "pareto"),
            *("rayleigh", "truncated_normal", "weibull"),
        ),
        "discrete": ("binomial", "categorical", "choice", "geometric", "integers", "poisson", "rademacher", "shuffle"),
        "further_distributions": (
            *("double_sided_maxwell", "f", "generalized_normal", "generalized_pareto", "half_cauchy", "half_normal"),
            *("kumaraswamy", "loggamma", "maxwell", "noncentral_chisquare", "noncentral_f", "power"),
            *("relaxed_bernoulli", "triangular", "wald"),
        ),
        "random_arrays": ("ball", "gumbel_softmax", "lkj_cholesky", "orthogonal", "wishart"),
        "angles": ("von_mises",),
        "counts": (
            *("hypergeometric", "logseries", "multinomial", "multivariate_hypergeometric", "negative_binomial"),
            "zipf",
        ),
        "gamma_family": ("beta", "chisquare", "dirichlet", "gamma", "inverse_gamma", "student_t"),
    },
}
"""Names that stand in a namespace of their own, `cl.linalg`, `cl.random`: its families, and what each declares."""

METHODS = {"at": "scattering"}
"""What is asked of a tensor and no function of the package, by family."""

_HOME = {name: family for family, names in FAMILIES.items() for name in names}


def names() -> tuple[str, ...]:
    """Every public name of every family."""
    return tuple(_HOME)


def find(name: str) -> Callable[..., Any] | None:
    """The function of this name, its family loaded; None if no family declares it."""
    family = _HOME.get(name)
    if family is None:
        return None
    found: Callable[..., Any] = getattr(import_module(f"{__name__}.{family}"), name)
    return found


def late_function(name: str) -> Callable[..., Any]:
    """The function of this name, for declarations that need one of a family here and there."""
    found = find(name)
    if found is None:
        raise KeyError(name)
    return found


def late_method(name: str) -> Callable[..., Any]:
    """The function behind an attribute of tensors, its family loaded."""
    found: Callable[..., Any] = getattr(import_module(f"{__name__}.{METHODS[name]}"), name)
    return found


def find_in(namespace: str, name: str) -> Callable[..., Any] | None:
    """The function of this name in a namespace, its family loaded; None if there is none."""
    for family, declared in NAMESPACES[namespace].items():
        if name in declared:
            found: Callable[..., Any] = getattr(import_module(f"{__name__}.{family}"), name)
            return found
    return None


def load_all() -> None:
    """Every family declared, so that the registry is whole."""
    for family in [*FAMILIES, *(f for families in NAMESPACES.values() for f in families)]:
        import_module(f"{__name__}.{family}")
