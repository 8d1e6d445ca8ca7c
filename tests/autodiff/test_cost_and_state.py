"""Long chains, cost in calls, and an engine that is clean whatever happened inside."""

import gc
import sys
import threading

import numpy as np
import pytest

import clearprop as cl
from clearprop.program.ir import builder, evaluate, trace
from clearprop.program.types import FLOAT64, Type
from clearprop.program.values import RECORDING


def chain(n):
    def f(x):
        for _ in range(n):
            x = x * 0.999999
        return x

    return f


def calls(run):
    """How many Python calls `run` makes."""
    count = 0

    def profile(frame, event, arg):
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(None)
    return count


LONG = 100_000


def test_a_hundred_thousand_operations_backward():
    x = cl.tensor(2.0, requires_grad=True)
    y = chain(LONG)(x)
    y.backward()
    assert abs(x.grad.item() - 0.999999**LONG) < 1e-9
    del y  # a history this long is also let go without recursion


def test_a_hundred_thousand_operations_by_transforms():
    want = 0.999999**LONG
    assert abs(cl.grad(chain(LONG))(2.0).item() - want) < 1e-9
    _, tangent = cl.jvp(chain(LONG), (2.0,), (1.0,))
    assert abs(tangent.item() - want) < 1e-9


def test_a_hundred_thousand_operations_in_a_program():
    program = trace(lambda x: [chain(LONG // 5)(x)], [Type((), FLOAT64)])
    assert len(program.equations) == LONG // 5
    cl.typecheck(program)
    assert abs(evaluate(program, [np.float64(2.0)])[0] - 2 * 0.999999 ** (LONG // 5)) < 1e-9


@pytest.mark.parametrize(
    "run",
    [
        lambda n: cl.grad(chain(n))(2.0),
        lambda n: chain(n)(cl.tensor(2.0, requires_grad=True)).backward(),
        lambda n: cl.jvp(chain(n), (2.0,), (1.0,)),
        lambda n: cl.grad(cl.grad(chain(n)))(2.0),
        lambda n: cl.vmap(chain(n))(np.ones(3)),
    ],
    ids=["grad", "backward", "jvp", "grad of grad", "vmap"],
)
def test_cost_is_linear_in_the_number_of_operations(run):
    run(10)
    one, two, three = (calls(lambda n=n: run(n)) for n in (200, 400, 600))
    assert abs((three - two) - (two - one)) <= one / 500


def test_a_value_used_many_times_costs_no_more_than_its_uses():
    """y = x + x, doubled 60 times: 2⁶⁰ paths, 60 operations."""

    def f(x):
        for _ in range(60):
            x = x + x
        return x

    assert cl.grad(f)(1.0).item() == 2.0**60


def test_calls_from_an_operation_to_its_gradient():
    """The tracker's own line: at most 80 Python calls (micrograd 15, autograd 83, MyGrad 116)."""

    def step():
        x = cl.tensor(0.5, requires_grad=True)
        cl.tanh(x * 2).backward()

    x = cl.tensor(0.5, requires_grad=True)
    step()
    assert calls(lambda: cl.tanh(x * 2).backward()) - 1 <= 80


# ------------------------------------------------------------------------------------------------- exceptions
class Boom(Exception):
    """What the function under a transform raises."""


def exploding(x):
    y = x * 2
    raise Boom(y.shape)


@pytest.mark.parametrize(
    "run",
    [
        lambda: cl.grad(exploding)(1.0),
        lambda: cl.vmap(exploding)(np.ones(3)),
        lambda: cl.jvp(exploding, (1.0,), (1.0,)),
        lambda: cl.vjp(exploding, 1.0),
        lambda: cl.hessian(exploding)(np.ones(2)),
        lambda: cl.jacobian(exploding)(np.ones(2)),
        lambda: trace(exploding, [Type((3,), FLOAT64)]),
        lambda: cl.vmap(cl.grad(exploding))(np.ones(3)),
        lambda: cl.grad(lambda x: cl.sum(cl.vmap(exploding)(x)))(np.ones(3)),
    ],
)
def test_state_is_clean_after_an_exception(run):
    with pytest.raises(Boom):
        run()
    assert builder() is None and RECORDING.on
    assert cl.grad(lambda x: x * x)(3.0).item() == 6.0
    assert cl.vmap(lambda x: x * 2)(np.ones(2)).tolist() == [2.0, 2.0]


def test_no_grad_ends_with_its_block_also_by_an_exception():
    with pytest.raises(Boom), cl.no_grad():
        assert not RECORDING.on
        raise Boom
    assert RECORDING.on


def test_an_exception_in_a_rule_leaves_nothing_behind():
    @cl.custom_rule(x=lambda g: 1 / 0)
    def broken(x):
        return x * 2

    with pytest.raises(ZeroDivisionError):
        cl.grad(broken)(1.0)
    with pytest.raises(ZeroDivisionError):
        trace(lambda x: [cl.grad(broken)(x)], [Type((), FLOAT64)])
    assert builder() is None and RECORDING.on
    program = trace(lambda x: [x * 2], [Type((), FLOAT64)])
    assert program.equations[0].rule == ""


def test_a_traced_value_kept_beyond_its_trace_is_refused():
    kept = []
    trace(lambda x: kept.append(x) or [x], [Type((), FLOAT64)])
    with pytest.raises(cl.ClearpropError, match="a traced value was used outside its trace"):
        kept[0] * 2
    with pytest.raises(cl.ClearpropError, match="a value of a trace that has ended was used"):
        trace(lambda x: [x * kept[0]], [Type((), FLOAT64)])


# --------------------------------------------------------------------------------------------------- threads
def test_threads_do_not_see_each_other():
    """One thread traces and turns recording off while others differentiate."""
    start, results, errors = threading.Barrier(4), {}, []

    def differentiate(k):
        try:
            start.wait()
            for _ in range(30):
                results[k] = cl.grad(lambda x: cl.sum(cl.sin(k * x)))(np.ones(3)).tolist()
        except Exception as error:
            errors.append(error)

    def trace_and_stop():
        try:
            start.wait()
            for _ in range(30):
                with cl.no_grad():
                    trace(lambda x: [cl.exp(x) * 2], [Type((3,), FLOAT64)])
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=differentiate, args=(k,)) for k in (1, 2, 3)]
    threads.append(threading.Thread(target=trace_and_stop))
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors
    assert all(np.allclose(results[k], k * np.cos(k)) for k in (1, 2, 3))


def test_an_operation_on_the_tape_is_few_objects_for_the_collector_of_cycles():
    """A tensor, and its application with the inputs in it: what long tapes cost hangs on it."""
    x = start = cl.tensor(0.5, requires_grad=True)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(250):
        x = cl.tanh(x * 1.01) * start + 0.001
    gc.collect()
    assert len(gc.get_objects()) - before <= 2 * 1000 + 50
    x.backward()
    assert start.grad is not None
