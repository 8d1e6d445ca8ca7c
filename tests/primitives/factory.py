"""The checks that every primitive passes in every row of the table.

A check takes a `Sample`: one primitive on drawn operands.  It raises AssertionError where the declaration is wrong;
`test_mutations.py` shows that it does.
"""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from clearprop.primitives import REGISTRY, Primitive
from clearprop.program.values import raw
from tests.primitives.rows import SIZES, Case, Row, shape_of_text

EPS = np.finfo(np.float64).eps
STEP = EPS ** (1 / 3)


@dataclass(frozen=True)
class Sample:
    """A primitive, operands drawn for one case of a row, and parameters."""

    row: Row
    case: Case
    sizes: Mapping[str, int]
    seed: int

    @property
    def primitive(self) -> Primitive:
        return REGISTRY[self.row.name]

    @cached_property
    def params(self) -> dict[str, Any]:
        return self.case.params(self.sizes)

    @cached_property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(f"{self.row.id} {self.case}".encode())])

    def draw(self) -> list[Any]:
        """Fresh read-only operands, away from kinks; a rule or kernel that writes into them raises."""
        shapes = [shape_of_text(s, self.sizes) for s in self.case.shapes]
        for _ in range(200):
            operands = [d(self.rng, s, self.sizes) for d, s in zip(self.row.draws, shapes, strict=True)]
            if not _near_kink(self, operands):
                return [_frozen(x) for x in operands]
        raise RuntimeError(f"{self.row.id}: every draw lies near a kink")

    @cached_property
    def operands(self) -> list[Any]:
        return self.draw()

    @cached_property
    def smooth(self) -> tuple[int, ...]:
        """The positions to differentiate: floating operands for which a derivative is declared."""
        if not self.row.differentiated:
            return ()
        rules = self.primitive.rules
        declared = [rules[0] if self.primitive.variadic else rules[k] for k in range(len(self.operands))]
        body = self.primitive.is_composite and not self.primitive.has_rule
        value = np.asarray(raw(self(*self.operands)))
        if value.dtype.kind != "f":
            return ()
        return tuple(
            k
            for k, (x, r) in enumerate(zip(self.operands, declared, strict=True))
            if x.dtype.kind == "f" and (body or r is not None)
        )

    def __call__(self, *operands: Any) -> Any:
        return self.primitive(*operands, **self.params)

    def at(self, operands: Sequence[Any], positions: Sequence[int]) -> Callable[..., Any]:
        """The function of the chosen operands alone."""

        def f(*chosen: Any) -> Any:
            full = list(operands)
            for k, x in zip(positions, chosen, strict=True):
                full[k] = x
            return self(*full)

        return f

    @property
    def primals(self) -> list[Any]:
        return [self.operands[k] for k in self.smooth]

    def weights(self, like: Any) -> Any:
        return self.rng.uniform(0.5, 1.5, np.shape(raw(like)))

    def __str__(self) -> str:
        return f"{self.row.id}({self.case}; {self.params})"


def samples(row: Row, sizes: Mapping[str, int] = SIZES, seed: int = 0) -> Iterator[Sample]:
    for case in row.cases:
        yield Sample(row, case, sizes, seed)


def _frozen(x: Any) -> Any:
    x = np.ascontiguousarray(x) if np.ndim(x) else x
    if np.ndim(x) == 0:
        return np.asarray(x)[()]
    x.flags.writeable = False
    return x


def _near_kink(sample: Sample, operands: Sequence[Any]) -> bool:
    if sample.row.avoid is not None and np.any(sample.row.avoid(*operands)):
        return True
    kink = sample.primitive.kink
    if kink is None:
        return False
    known = dict(zip(sample.primitive.operands, operands, strict=True)) | sample.primitive.params | sample.params
    names = inspect.signature(kink).parameters
    if "y" in names:
        known["y"] = sample(*operands)
    return bool(np.any(np.abs(kink(**{n: known[n] for n in names})) < 1e-3))


# ---------------------------------------------------------------------------------------------- comparisons
def array(value: Any) -> Any:
    return np.asarray(raw(value))


def assert_close(got: Any, want: Any, relative: float, scale: float, what: str) -> None:
    """|got − want| ≤ relative · (|want| + scale); NaN equals only NaN, an infinity only itself."""
    got, want = array(got), array(want)
    assert got.shape == want.shape, f"{what}: shape {got.shape}, expected {want.shape}"
    if want.dtype.kind != "f":
        assert np.array_equal(got, want), f"{what}: {got} instead of {want}"
        return
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.abs(got - want) <= relative * (np.abs(want) + scale)
    fine = near | (got == want) | (np.isnan(got) & np.isnan(want))
    assert np.all(fine), f"{what}: {got[~fine]} instead of {want[~fine]}"


def assert_same_bits(got: Any, want: Any, what: str) -> None:
    got, want = array(got), array(want)
    assert got.shape == want.shape, f"{what}: shape {got.shape}, expected {want.shape}"
    assert got.dtype == want.dtype, f"{what}: dtype {got.dtype}, expected {want.dtype}"
    equal = (got == want) | ((got != got) & (want != want))
    assert np.all(equal), f"{what}: {got[~equal]} instead of {want[~equal]}"


def groups(positions: Sequence[int]) -> list[tuple[int, ...]]:
    """Each position alone, and all together."""
    return [*((k,) for k in positions), *([tuple(positions)] if len(positions) > 1 else [])]


def direction(rng: np.random.Generator, like: Any) -> Any:
    return rng.standard_normal(np.shape(like))
