"""What a loop computes and the loop of its derivative would compute again is kept: same values, fewer operations."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.compiler import lowering
from clearprop.program.ir import Program


def normal(seed, *shape):
    return cl.tensor(np.random.default_rng(seed).standard_normal(shape))


def cell(kind, **options):
    """A layer's loss as a function of its input: the parameters are the layer's."""
    layer = getattr(cl.nn, kind)(3, 4, rng=1, dtype=np.float64, **options)
    return lambda x: cl.sum(layer(x) ** 2)


def with_constants(x):
    """exp(w) is the same in every step: kept once, not in each."""
    w = normal(9, 3)
    return cl.scan(lambda c, v: (cl.tanh(c * cl.exp(w) + v), None), cl.zeros(3), x)[0].sum()


def remembered(x):
    """Loops of loops, whose steps are taken once more."""
    return cl.scan(lambda c, v: (cl.tanh(c + v), None), cl.zeros(3), x, remat=True)[0].sum()


def backwards(x):
    """From the last element to the first."""
    last, ys = cl.scan(lambda c, v: (cl.sin(c) * v, cl.exp(c)), cl.ones(3), x, reverse=True)
    return cl.sum(last) + cl.sum(ys * x)


def of_images(x):
    """A convolution in every step."""
    kernel = normal(8, 3, 1, 1)
    step = lambda c, v: (cl.tanh(cl.nn.Conv1d(1, 1, 3, padding="same", rng=2, dtype=np.float64)(c) + v[:, None]), None)
    return cl.scan(step, cl.zeros((3, 1)), x)[0].sum() + cl.sum(kernel)


LAYER, VECTOR = (2, 5, 3), (9, 3)
PROGRAMS = {
    "LSTM": (cell("LSTM"), LAYER, {"exp"}),
    "GRU, both ways": (cell("GRU", bidirectional=True), LAYER, {"exp"}),
    "RNN": (cell("RNN", output="last"), LAYER, {"tanh"}),
    "RNN with relu": (cell("RNN", activation="relu"), LAYER, set()),
    "with constants": (with_constants, VECTOR, {"tanh"}),
    "backwards": (backwards, VECTOR, {"sin", "exp"}),
    "remembered": (remembered, VECTOR, set()),
    "of images": (of_images, VECTOR, {"tanh"}),
}
ORDERS = {
    "gradient": cl.grad,
    "tangents": lambda f: lambda x: cl.jvp(f, (x,), (cl.ones(x.shape),)),
    "second order": lambda f: lambda x: cl.hvp(f, (x,), (cl.ones(x.shape),)),
}


def leaves(tree):
    return [np.asarray(v) for v in (tree if isinstance(tree, (tuple, list)) else [tree])]


@pytest.mark.parametrize("executor", ["numba", "numpy"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_same_values(name, order, executor, monkeypatch):
    """To the bit on NumPy; natively a product and a sum are rounded once where they stand in one kernel."""
    f, shape, _ = PROGRAMS[name]
    x, g = normal(3, *shape), ORDERS[order](f)
    kept = leaves(cl.compile(g, executor=executor)(x))
    monkeypatch.setattr(lowering, "with_residuals", lambda program, loops: program)
    for a, b in zip(kept, leaves(cl.compile(g, executor=executor)(x)), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=(1e-15 if executor == "numba" else 0) * np.abs(b).max())


def steps(program: Program):
    """The programs of all loops, those within others included."""
    for eq in program.equations:
        if eq.primitive.facts.control == "scan":
            yield eq.params["body"]
            yield from steps(eq.params["body"])


@pytest.mark.parametrize("name", [name for name, (_, _, functions) in PROGRAMS.items() if functions])
def test_no_function_is_computed_twice(name):
    f, shape, functions = PROGRAMS[name]
    step = cl.compile(cl.grad(f))
    step.lower(normal(3, *shape))
    found = [{eq.primitive.name for eq in body.equations} for body in steps(lowering.lower(step.program))]
    first, later = found[: len(found) // 2], found[len(found) // 2 :]
    assert functions <= set.union(*first)
    assert not functions & set.union(*later)


def test_what_all_steps_share_is_not_kept_in_each():
    step = cl.compile(cl.grad(with_constants))
    step.lower(normal(3, *VECTOR))
    program = lowering.lower(step.program)
    loop = next(eq for eq in program.equations if eq.primitive.facts.control == "scan")
    made = {v: eq.primitive.name for eq in loop.params["body"].equations for v in eq.outputs}
    assert [made[v] for v in loop.params["body"].outputs[1:]] == ["tanh"]


def test_loops_of_loops_keep_few_steps():
    """Of 400 steps those of one inner loop are kept: no array of the program has a row for each."""
    step = cl.compile(cl.grad(remembered))
    step.lower(normal(3, 400, 3))
    program = lowering.lower(step.program)
    loops = [eq for eq in program.equations if eq.primitive.facts.control == "scan"]
    sizes = [int(np.prod(v.shape)) for eq in loops for v in eq.outputs]
    assert max(sizes) <= 400 * 3  # the input's own cotangent
    assert sum(sizes) < 3 * 400 * 3
