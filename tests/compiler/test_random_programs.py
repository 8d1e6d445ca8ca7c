"""Random programs: eager, the NumPy executor, the kernels' text interpreted, and a sample on Numba agree.

The bound is that of a running error analysis, see `bounds`: for one matrix product k·eps·(|A||B|), for everything else
what its rounding can make of it.  In `make test` a few programs run in some of the forms that a kernel can take;
`make verify` runs many in all of them, and sees that every primitive was met.  Every other form may write its results
into its inputs.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import clearprop as cl
from clearprop.autodiff.trees import flatten
from clearprop.compiler import native_obstacle
from clearprop.program.values import raw
from tests.compiler.bounds import assert_within, bounded, certain
from tests.compiler.plain import plain
from tests.compiler.program import RandomProgram
from tests.compiler.programs import FAMILIES, core, other_inputs, random_program
from tests.tiers import later

FORMS: list[dict[str, Any]] = [
    {},
    {"form": "rows", "thin": False},
    {"form": "lanes"},
    {"form": "unrolled"},
    {"threads": 2},
    {"threads": 2, "first": 1, "form": "lanes"},
    {"threads": 2, "first": 1, "form": "rows", "thin": False},
    {"threads": 2, "form": "unrolled"},
]
"""Ways to run a plan: how short rows and thin products are written, on one thread or two, which one is ahead."""


def results(f: Any, inputs: Any) -> list[Any]:
    """The flat outputs, as arrays."""
    return [raw(v) for v in flatten(f(*inputs))[0]]


class Compared:
    """A program run eagerly and by the NumPy executor, with the bound on differences; native runs are compared."""

    def __init__(self, p: RandomProgram) -> None:
        self.p = p
        self.numpy = cl.compile(self.function, executor="numpy")

    def function(self, *xs: Any) -> Any:
        return self.p(*xs)

    def at(self, inputs: Any) -> None:
        """Take these inputs; eager and NumPy must agree on them."""
        self.inputs = inputs
        eager = results(self.p, inputs)
        self.want = results(self.numpy, inputs)
        lowered = self.numpy.last.lowered
        assert native_obstacle(lowered) is None
        self.bounds = [e for _, e in bounded(lowered, [*inputs, *map(raw, lowered.captured)])]
        self.agree(self.want, eager, "NumPy, eager")

    def natively(self, compiled: Any, what: str) -> None:
        """A compiled function, run natively or interpreted, must agree with the NumPy executor."""
        self.agree(results(compiled, self.inputs), self.want, what)

    def agree(self, got: list[Any], want: list[Any], what: str) -> None:
        for k, (a, b, e) in enumerate(zip(got, want, self.bounds, strict=True)):
            try:
                assert_within(a, b, e, f"{what}, output {k}")
            except AssertionError as error:
                raise AssertionError(f"{error}\n{self.p}") from None


def check(p: RandomProgram, forms: list[dict[str, Any]]) -> Compared:
    """One program at its sizes and, by the same compiled function, at others."""
    compared = Compared(p)
    compared.at(p.inputs)
    share = certain(compared.bounds)
    for k, form in enumerate(forms):
        with plain(**form):
            compiled = cl.compile(compared.function, donate=(0,) if k % 2 else ())
            compared.natively(compiled, f"interpreted {form}{', donated' if k % 2 else ''}")
            if form is forms[0]:
                other_sizes(compared, compiled)
                compared.at(p.inputs)
    compared.share = share
    return compared


def other_sizes(compared: Compared, compiled: Any) -> None:
    """The same functions, traced once, at other sizes; where numbers index, they may be traced again."""
    inputs = other_inputs(compared.p)
    try:
        compared.p(*inputs)
    except (ValueError, IndexError):
        return  # an index that only the drawn sizes have
    compared.at(inputs)
    compared.natively(compiled, "at other sizes")


@pytest.mark.parametrize("block", [0, 1, *later([2, 3])])
def test_random_programs(block):
    shares = []
    for seed in range(12 * block, 12 * (block + 1)):
        forms = [FORMS[seed % len(FORMS)], FORMS[(seed // 2 + 3) % len(FORMS)]]
        shares.append(check(random_program(seed), forms).share)
    assert np.nanmean(shares) > 0.95, "the bounds say too little"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_on_numba(family):
    """Compiled kernels of a program of each family, and of its gradient."""
    for seed in itertools.count():
        p = random_program(seed, 5, family)
        if p.wish == "gradient":
            break
    compared = Compared(p)
    compared.at(p.inputs)
    compared.natively(cl.compile(compared.function, executor="numba"), "Numba")


@pytest.mark.verify
@pytest.mark.parametrize("block", range(30))
def test_many_random_programs(block):
    for seed in range(1000 + 20 * block, 1000 + 20 * (block + 1)):
        check(random_program(seed, 6 + seed % 8), FORMS)


@pytest.mark.verify
@pytest.mark.parametrize("block", range(20))
def test_many_programs_on_numba(block):
    for seed in range(5 * block, 5 * (block + 1)):
        p = random_program(seed + 5000, 8, list(FAMILIES)[seed % len(FAMILIES)])
        compared = Compared(p)
        compared.at(p.inputs)
        compared.natively(cl.compile(compared.function, executor="numba"), "Numba")


@pytest.mark.verify
def test_every_primitive_is_met():
    """Over the programs of `test_many_random_programs` all primitives of the registry occur."""
    seen = set()
    for seed in range(1000, 1600):
        p = random_program(seed, 6 + seed % 8)
        compiled = cl.compile(lambda *xs, p=p: p(*xs), executor="numpy").lower(*p.inputs)
        seen |= {eq.primitive.name for eq in compiled.program.equations + compiled.lowered.equations}
    own = {p.name for p in core() if p.__module__.startswith("clearprop.")}
    assert own - seen <= {"identity"}
