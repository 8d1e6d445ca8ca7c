"""The line search and the corrections of the metric, each against its definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearprop.optim.line_search import DECREASE, Line
from clearprop.optim.objective import Point
from clearprop.optim.quasi_newton_methods import Matrix, Pairs, _bfgs, _damp, _dfp
from clearprop.optim.symmetric_rank_one import _correct_matrix

FLATTER = 0.9


def line(f, slope, flatter=FLATTER, seen=None):
    """The line search along +1 from 0 for a function of one variable."""

    def evaluate(x):
        if seen is not None:
            seen.append(float(x[0]))
        return Point(x, float(f(x[0])), np.array([slope(x[0])]))

    return Line(evaluate, evaluate(np.zeros(1)), np.ones(1), flatter)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(
    minimum=st.floats(1e-3, 1e3),
    wave=st.floats(0, 0.9),
    pace=st.floats(0.1, 5),
    first=st.floats(1e-4, 1e4),
    flatter=st.sampled_from([0.1, 0.5, 0.9]),
)
def test_what_is_found_satisfies_the_strong_wolfe_conditions(minimum, wave, pace, first, flatter):
    """On a wavy parabola, from first steps that are far too short and far too long."""
    w = pace / minimum

    def f(s):
        return (s / minimum - 1) ** 2 + wave * np.sin(w * s) / pace

    def slope(s):
        return 2 / minimum * (s / minimum - 1) + wave * w * np.cos(w * s) / pace

    search = line(f, slope, flatter)
    if search.slope >= 0:
        return
    t = search.search(first)
    assert t is not None
    assert t.value <= search.start.value + DECREASE * t.step * search.slope + search.noise
    assert abs(slope(t.step)) <= -flatter * search.slope * (1 + 1e-9)


def test_a_wall_is_backed_away_from():
    """−log(1 − s) − 2s has its minimum at ½ and is not defined from 1 on."""
    seen = []

    def f(s):
        with np.errstate(all="ignore"):
            return -np.log(1 - s) - 2 * s if s < 1 else np.nan

    t = line(f, lambda s: 1 / (1 - s) - 2 if s < 1 else np.nan, 0.1, seen).search(100.0)
    assert t.step == pytest.approx(0.5, abs=0.06) and max(seen) == 100


def test_nothing_lower_is_none():
    assert line(lambda s: 1 + s, lambda s: -1.0).search(1.0) is None


def test_values_that_overflow_are_no_guide():
    t = line(
        lambda s: np.where(s < 1e-3, (s - 1e-4) ** 2, 1e300), lambda s: 2 * (s - 1e-4) if s < 1e-3 else 1e305
    ).search(1.0)
    assert t.value < 1e-8


def pairs(n, count, seed=0):
    """Steps p and changes of gradient y of a convex quadratic."""
    r = np.random.default_rng(seed)
    a = r.normal(size=(n, n))
    h = a @ a.T + np.eye(n)
    return [(p, h @ p) for p in r.normal(size=(count, n))]


@pytest.mark.parametrize("correct", [_bfgs, _dfp])
def test_the_metric_knows_the_last_pair_and_stays_positive(correct):
    metric = Matrix(correct)
    for p, y in pairs(5, 4):
        metric.learn(p, y)
        np.testing.assert_allclose(metric.times(y), p, rtol=1e-8)
        np.testing.assert_allclose(metric.w, metric.w.T, rtol=1e-10, atol=1e-12)
    assert np.linalg.eigvalsh(metric.w)[0] > 0


def test_bfgs_and_dfp_are_dual():
    """DFP of W with (p, y) is the inverse of BFGS of W⁻¹ with (y, p)."""
    (p, y), *_ = pairs(4, 1)
    w = np.diag([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(_dfp(w, p, y), np.linalg.inv(_bfgs(np.linalg.inv(w), y, p)), rtol=1e-8)


def test_two_loops_are_bfgs_from_the_scaled_identity():
    """The pairs that are kept, applied to I·(pᵀy/yᵀy) of the last one."""
    memory, known = Pairs(3), pairs(6, 5)
    for p, y in known:
        memory.learn(p, y)
    p, y = known[-1]
    w = np.eye(6) * (p @ y) / (y @ y)
    for p, y in known[-3:]:
        w = _bfgs(w, p, y)
    g = np.arange(1.0, 7.0)
    np.testing.assert_allclose(memory.times(g), w @ g, rtol=1e-10)


def test_sr1_finds_an_indefinite_hessian_in_n_steps():
    h = np.diag([-2.0, 1.0, 5.0]) + 0.3
    b = None
    for p in np.eye(3) + 0.1:
        b = _correct_matrix(b, p, h @ p)
    np.testing.assert_allclose(b, h, rtol=1e-10)


def test_powells_damping_keeps_a_fifth_of_the_curvature():
    p, curved = np.array([1.0, 2.0]), np.array([2.0, 1.0])  # pᵀBp = 4
    assert _damp(p, -curved, curved) @ p == pytest.approx(0.8)
    y = np.array([1.0, 1.0])
    assert _damp(p, y, curved) is y
