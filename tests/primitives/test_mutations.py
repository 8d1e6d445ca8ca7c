"""The tester tested: every kind of mistake in a rule makes the factory fail."""

from contextlib import contextmanager

import pytest

from clearprop.autodiff import reverse
from clearprop.primitives import REGISTRY, Rule
from tests.primitives.checks import CHECKS, check_all
from tests.primitives.table import TABLE

DERIVATIVE_CHECKS = [CHECKS[name] for name in ("adjoint", "central_difference", "second_order")]
ROWS: dict[str, list] = {}
for row in TABLE:
    if row.differentiated:
        ROWS.setdefault(row.name, []).append(row)


@contextmanager
def mutated(primitive, k, change):
    """The rule of operand k with its result or arguments changed."""
    kept = primitive.rules
    rule = kept[k]
    broken = Rule(rule.formula, rule.names, change(rule.call))
    primitive.rules = (*kept[:k], broken, *kept[k + 1 :])
    try:
        yield
    finally:
        primitive.rules = kept


def times(factor):
    def change(call):
        def scaled(*args):
            out = call(*args)
            return [factor * v for v in out] if isinstance(out, list) else factor * out

        return scaled

    return change


def assert_caught(name):
    # whatever the broken rule makes of it, an error of its own included, the factory does not pass
    with pytest.raises((AssertionError, ValueError, IndexError, TypeError)):
        for row in ROWS[name]:
            check_all(row, DERIVATIVE_CHECKS)


RULES = [(name, k) for name in ROWS for k, rule in enumerate(REGISTRY[name].rules) if isinstance(rule, Rule)]


def test_the_unchanged_rules_pass():
    for name in ("add", "tanh", "matmul", "sum", "concat", "softmax"):
        check_all(ROWS[name][0], DERIVATIVE_CHECKS)


@pytest.mark.parametrize(("name", "k"), RULES)
def test_a_scaled_rule_is_caught(name, k):
    with mutated(REGISTRY[name], k, times(1.001)):
        assert_caught(name)


@pytest.mark.parametrize(("name", "k"), RULES)
def test_a_flipped_sign_is_caught(name, k):
    with mutated(REGISTRY[name], k, times(-1.0)):
        assert_caught(name)


@pytest.mark.parametrize(
    "name", ["add", "multiply", "divide", "maximum", "where", "clip", "atan2", "squared_error", "matmul"]
)
def test_a_dropped_unbroadcast_is_caught(name, monkeypatch):
    monkeypatch.setattr(reverse, "_unbroadcast", lambda g, have, want: g)
    monkeypatch.setattr(reverse, "_fit_array", lambda g, want: g)  # the same of arrays
    assert_caught(name)


@pytest.mark.parametrize("name", ["add", "multiply", "where", "squared_error", "matmul"])
def test_an_unbroadcast_over_one_axis_too_few_is_caught(name, monkeypatch):
    right, right_of_arrays = reverse._unbroadcast, reverse._fit_array

    def wrong(g, have, want):
        g = right(g, have, want)
        return g / max(have[0], 2) if len(have) > len(want) else g

    def wrong_of_arrays(g, want):
        fitted = right_of_arrays(g, want)
        return fitted / max(g.shape[0], 2) if g.ndim > len(want) else fitted

    monkeypatch.setattr(reverse, "_unbroadcast", wrong)
    monkeypatch.setattr(reverse, "_fit_array", wrong_of_arrays)
    assert_caught(name)


def swap_operands(call):
    return lambda g, y, xs, params: call(g, y, xs[::-1], params)


def swap_input_and_output(call):
    return lambda g, y, xs, params: call(g, xs[0], (y, *xs[1:]), params)


def swap_cotangent_and_output(call):
    return lambda g, y, xs, params: call(y, g, xs, params)


@pytest.mark.parametrize(
    ("name", "k"),
    [("multiply", 0), ("divide", 0), ("pow", 0), ("pow", 1), ("maximum", 0), ("atan2", 0), ("logaddexp", 1),
     ("matmul", 0), ("matmul", 1), ("squared_error", 0), ("take", 0)],
)  # fmt: skip
def test_swapped_operands_are_caught(name, k):
    with mutated(REGISTRY[name], k, swap_operands):
        assert_caught(name)


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sqrt", "square", "sigmoid", "gelu", "logsumexp", "reshape"])
def test_swapped_input_and_output_are_caught(name):
    with mutated(REGISTRY[name], 0, swap_input_and_output):
        assert_caught(name)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_swapped_cotangent_and_output_are_caught(name):
    with mutated(REGISTRY[name], 0, swap_cotangent_and_output):
        assert_caught(name)
