"""Every function with derivatives is compared with PyTorch's, by its page, or with JAX's."""

import json
import os
import re
import subprocess

import numpy as np
import pytest

import clearprop as cl
from benchmarks.peers import ROOT, provide
from clearprop.primitives import REGISTRY, Rule
from clearprop.rules import on_demand
from tests.docs.coming_from import arguments, rows
from tests.primitives.jax_derivatives import HOLES, SEGMENTS, SQUARE, WEIGHTS, A, B, U, derivatives


def with_holes(x):
    return cl.where(HOLES, cl.nan, x)


OURS = {
    "gammainc": lambda x: cl.gammainc(A, x),
    "gammainc by a": lambda a: cl.gammainc(a, B),
    "gammaincc": lambda x: cl.gammaincc(A, x),
    "gammaincc by a": lambda a: cl.gammaincc(a, B),
    "betainc": lambda x: cl.betainc(A, B, x),
    "beta": lambda x: cl.beta(x, B),
    "betaln": lambda x: cl.betaln(x, B),
    "zeta": lambda x: cl.zeta(2.5, x),
    "hard_sigmoid": cl.hard_sigmoid,
    "getitem": lambda x: cl.asarray(x)[np.array([4, 0, 0, 2, 1])],
    "imag": lambda x: cl.imag((1 + 2j) * x * x),
    "logabsdet": lambda x: x * cl.linalg.logabsdet(SQUARE * x[0] + x[1]),
    "squared_error": lambda x: cl.squared_error(x, B),
    "absolute_error": lambda x: cl.absolute_error(x, B),
    "huber_error": lambda x: cl.huber_error(x, B),
    "softmax_cross_entropy": lambda x: x * cl.softmax_cross_entropy(x, WEIGHTS / WEIGHTS.sum()),
    "softmax_cross_entropy by labels": lambda x: x * cl.softmax_cross_entropy(A, x / cl.sum(x)),
    "sigmoid_cross_entropy": lambda x: cl.sigmoid_cross_entropy(x, U),
    "sigmoid_cross_entropy by labels": lambda x: cl.sigmoid_cross_entropy(A, x),
    **{
        f"segment_{n}": lambda x, n=n: cl.take(getattr(cl, f"segment_{n}")(x * x, SEGMENTS, size=3), SEGMENTS)
        for n in ("sum", "prod", "max", "min")
    },
    **{n: lambda x, n=n: getattr(cl, n)(with_holes(x)) for n in ("nancumsum", "nancumprod")},
    **{
        f"nan{n}": lambda x, n=n: x * getattr(cl, f"nan{n}")(with_holes(x))
        for n in ("sum", "mean", "prod", "max", "min", "var", "std", "median")
    },
    "nanquantile": lambda x: x * cl.nanquantile(with_holes(x), 0.3),
    "percentile": lambda x: x * cl.percentile(x, 30.0),
}


def test_every_primitive_with_a_derivative_has_a_line():
    on_demand.load_all()
    compared = {n.partition(" ")[0] for n in OURS}
    for row in rows("pytorch"):
        if row.compared and arguments(row.theirs):
            compared |= set(re.findall(r"(\w+)\(", row.ours))
    ours = [p for p in REGISTRY.values() if p.public and p.__module__.startswith("clearprop.rules.")]
    assert [p.name for p in ours if any(isinstance(r, Rule) for r in p.rules) and p.name not in compared] == []


@pytest.mark.verify
def test_jax_has_the_same_values_first_and_second_derivatives():
    installed = provide(["jax"])["jax"]
    assert not installed.absent, installed.absent
    command = [installed.python, "-W", "ignore", str(ROOT / "tests" / "primitives" / "jax_derivatives.py")]
    alone = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=alone)
    assert done.returncode == 0, done.stderr[-2000:]
    mine, theirs = derivatives(OURS, cl.grad, cl.sum), json.loads(done.stdout)
    assert mine.keys() == theirs.keys()
    for name, want in theirs.items():
        for got, value in zip(mine[name], want, strict=True):
            np.testing.assert_allclose(got, value, rtol=1e-12, atol=1e-13, err_msg=name)
