"""Rules that see a parameter as a matrix or all of them as one vector: Muon, Adafactor, L-BFGS, ASGD."""

import numpy as np
import pytest

import clearprop as cl
from clearprop import optim
from clearprop.errors import ArgumentError

SHAPES = {"wide": (3, 7), "tall": (9, 2), "square": (4, 4), "kernel": (3, 3, 2, 5), "row": (1, 6)}


def first_update(link, gradient):
    p = {"w": np.ones_like(gradient)}
    return np.asarray(link.update({"w": gradient}, link.init(p), p)[0]["w"])


@pytest.mark.parametrize("size", [1e-100, 1.0, 1e200])
@pytest.mark.parametrize("name", SHAPES)
def test_muon_keeps_the_singular_vectors_and_evens_out_the_singular_values(name, size):
    gradient = size * np.random.default_rng(0).normal(size=SHAPES[name])
    update = first_update(optim.scale_by_muon(steps=12, scaling="width", eps=0.0), gradient)
    inputs, outputs = int(np.prod(SHAPES[name][:-1])), SHAPES[name][-1]
    left, _, right = np.linalg.svd(gradient.reshape(inputs, outputs), full_matrices=False)
    turned = left.T @ update.reshape(inputs, outputs) @ right.T / np.sqrt(max(1, outputs / inputs))
    np.testing.assert_allclose(turned, np.diag(np.diag(turned)), atol=1e-9)
    assert np.all((np.diag(turned) > 0.65) & (np.diag(turned) < 1.25))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_muon_of_no_gradient_is_no_update(dtype):
    update = first_update(optim.scale_by_muon(), np.zeros((3, 2), dtype))
    assert update.dtype == dtype and not update.any()


def test_muon_with_the_scaling_rms_is_about_as_long_as_adam():
    gradient = np.random.default_rng(1).normal(size=(64, 16))
    update = first_update(optim.scale_by_muon(), gradient)
    assert 0.1 < np.sqrt(np.mean(update**2)) < 0.3  # Liu et al. 2025: Adam's lies between 0.2 and 0.4


def test_muon_moves_vectors_by_adam_and_the_link_alone_refuses_them():
    params = {"weight": np.ones((2, 3)), "bias": np.ones(3), "scale": np.float64(2.0)}
    grads = {k: 0.3 * np.asarray(v) for k, v in params.items()}
    ours, adams = (r.update(grads, r.init(params), params)[0] for r in (optim.muon(0.1), optim.adam(0.1)))
    for vector in ("bias", "scale"):
        np.testing.assert_array_equal(np.asarray(ours[vector]), np.asarray(adams[vector]))
    with pytest.raises(ArgumentError, match="moves matrices"):
        optim.scale_by_muon().init(params)


@pytest.mark.parametrize("name", SHAPES)
def test_adafactor_estimates_squares_by_the_outer_product_of_means(name):
    """Shazeer & Stern 2018, algorithm 4, matrix by matrix."""
    gradient = np.random.default_rng(2).normal(size=SHAPES[name])
    update = first_update(optim.scale_by_factored_rms(), gradient)
    for place in np.ndindex(SHAPES[name][:-2]):
        g = gradient[place]
        rows, columns = np.mean(g**2, axis=1), np.mean(g**2, axis=0)
        np.testing.assert_allclose(update[place], g / np.sqrt(np.outer(rows, columns) / np.mean(rows)), rtol=1e-12)


def test_adafactor_keeps_rows_and_columns_alone():
    state = optim.scale_by_factored_rms().init({"w": np.ones((30, 40)), "b": np.ones(40)})
    kept = {slot: {k: v if v is None else np.shape(v) for k, v in state[slot].items()} for slot in state if slot != "t"}
    assert kept == {
        "rows": {"w": (30, 1), "b": None}, "columns": {"w": (1, 40), "b": None}, "v": {"w": None, "b": (40,)},
    }  # fmt: skip


def test_lbfgs_ends_where_a_parabola_does():
    """On a quadratic of n coordinates with the whole memory, near the minimum the steps are Newton's."""
    bend = np.array([1.0, 10.0, 100.0])
    opt, p = optim.lbfgs(1.0, memory=10), {"x": np.array([1.0, -2.0, 0.5])}
    state = opt.init(p)
    for _ in range(60):
        updates, state = opt.update({"x": bend * np.asarray(p["x"])}, state, p)
        p = optim.apply_updates(p, updates)
    assert np.max(np.abs(np.asarray(p["x"]))) < 1e-10


def test_lbfgs_goes_downhill_where_the_function_is_not_convex():
    """Pairs of negative curvature are passed over: −x₁²+x₁⁴ has a maximum at 0."""
    opt, p = optim.lbfgs(0.1, memory=4), {"x": np.array([0.05, 1.0])}
    state = opt.init(p)
    for _ in range(200):
        x = np.asarray(p["x"])
        gradient = np.array([-2 * x[0] + 4 * x[0] ** 3, x[1]])
        updates, state = opt.update({"x": gradient}, state, p)
        assert np.vdot(np.asarray(updates["x"]), gradient) <= 0
        p = optim.apply_updates(p, updates)
    np.testing.assert_allclose(np.asarray(p["x"]), [np.sqrt(0.5), 0.0], atol=1e-3)


def test_what_asgd_evaluates_is_the_mean_of_the_points_after_its_start():
    opt, p = optim.asgd(0.1, start=3), cl.tensor([2.0, -1.0])
    state, points = opt.init(p), []
    for t in range(1, 9):
        updates, state = opt.update(p + np.sin(t), state, p)
        p = optim.apply_updates(p, updates)
        points.append(np.asarray(p))
        wanted = p if t <= 3 else np.mean(points[3:], axis=0)
        np.testing.assert_allclose(np.asarray(opt.eval_params(state, p)), wanted, rtol=1e-12)


def test_asgd_takes_a_schedule_as_the_rate():
    schedule = optim.step(0.1, every=1, factor=0.5)
    given = optim.asgd(schedule, shrink=0.0)
    plain = optim.sgd(schedule)
    p = {"w": np.array([1.0, 2.0])}
    states = [rule.init(p) for rule in (given, plain)]
    for _ in range(3):
        (one, states[0]), (other, states[1]) = (r.update(p, s, p) for r, s in zip((given, plain), states, strict=True))
        np.testing.assert_array_equal(np.asarray(one["w"]), np.asarray(other["w"]))
