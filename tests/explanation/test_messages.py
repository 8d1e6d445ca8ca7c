"""What bad input gets: the four parts, literally."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import ArgumentError, DTypeError, GradientError


def _neuron():
    w = cl.tensor([1.0, 2.0, 3.0], name="w", requires_grad=True)
    return cl.sum(w * w), w


def loss(model, x):
    return cl.mean(cl.square(model(x)))


def _model():
    return cl.nn.mlp([2, 3, 1], seed=0), np.ones((4, 2), np.float32)


def _message(kind, call):
    with pytest.raises(kind) as caught:
        call()
    return [line for line in str(caught.value).splitlines() if not line.startswith("  where")]


def test_index_out_of_range():
    y, w = _neuron()
    assert _message(ArgumentError, lambda: cl.explain(y, wrt=w)[5]) == [
        "w has no entry [5]",
        "  expected  0 … 2 on axis 0, for shape (3,)",
        "  got       5",
    ]


def test_index_of_another_rank():
    y, w = _neuron()
    assert _message(ArgumentError, lambda: cl.explain(y, wrt=w, index=(0, 1))) == [
        "an entry of w is named by one integer",
        "  expected  one integer for shape (3,)",
        "  got       (0, 1)",
    ]


def test_unknown_parameter_names_the_nearest():
    assert _message(ArgumentError, lambda: cl.explain(loss, "layers[0].wieght", args=_model())) == [
        "no argument or parameter named 'layers[0].wieght'",
        "  expected  one of: layers[0].bias, layers[0].weight, layers[2].bias, layers[2].weight, model, x",
        "  got       'layers[0].wieght'",
        "  try       'layers[0].weight', the nearest name",
    ]


def test_unknown_array_of_a_tree():
    found = cl.explain(loss, 0, args=_model())
    assert _message(ArgumentError, lambda: found["layers[0].wight"]) == [
        "no array named 'layers[0].wight'",
        "  expected  one of: layers[0].bias, layers[0].weight, layers[2].bias, layers[2].weight",
        "  got       'layers[0].wight'",
        "  try       'layers[0].weight', the nearest name",
    ]


def test_index_for_a_whole_tree():
    paths = "layers[0].weight, layers[0].bias, layers[2].weight, layers[2].bias"
    assert _message(ArgumentError, lambda: cl.explain(loss, 0, args=_model(), index=0)) == [
        "index= needs one array",
        "  expected  wrt= with the path of one array: " + paths,
        "  got       wrt = 0, which holds 4 arrays",
    ]


def test_position_out_of_range():
    assert _message(ArgumentError, lambda: cl.explain(loss, 3, args=_model())) == [
        "explain has no argument 3 to differentiate",
        "  expected  argnums from 0 to 1",
        "  got       argnums = 3 with 2 positional arguments",
        "  try       pass the argument by position",
    ]


def test_a_function_without_arguments():
    assert _message(ArgumentError, lambda: cl.explain(loss, 0)) == [
        "explaining a function needs its arguments",
        "  expected  args=(…), a tuple with the values to differentiate at",
        "  got       no args",
    ]


def test_an_integer_argument():
    assert _message(DTypeError, lambda: cl.explain(lambda n: n * 1.5, 0, args=(3,))) == [
        "explain needs a floating argument, and n is none",
        "  expected  an argument with at least one floating number",
        "  got       int64",
        "  try       write the numbers as floats: 3 → 3.0",
    ]


def test_an_integer_target():
    _, w = _neuron()
    assert _message(DTypeError, lambda: cl.explain(cl.argmax(w), wrt=w)) == [
        "explain needs a floating target",
        "  expected  float32 or float64",
        "  got       int64",
        "  try       the loss that the integer was made from: an integer has no derivative",
    ]


def test_a_target_without_history():
    _, w = _neuron()
    with cl.no_grad():
        y = cl.sum(w * w)
    assert _message(GradientError, lambda: cl.explain(y, wrt=w)) == [
        "the target has no history",
        "  expected  a value computed from tensors with requires_grad=True",
        "  got       a value whose computation was not recorded",
        "  try       cl.tensor(..., requires_grad=True), and no cl.no_grad() or detach() on the way",
    ]


def test_a_target_that_is_no_scalar():
    _, w = _neuron()
    assert _message(ArgumentError, lambda: cl.explain(w * w, wrt=w)) == [
        "explain differentiates one number",
        "  expected  output=, the index of one entry of the target",
        "  got       a target of shape (3,)",
        "  try       output=0, or cl.sum(y)",
    ]


def test_a_target_that_is_nothing():
    _, w = _neuron()
    assert _message(ArgumentError, lambda: cl.explain(3.0, wrt=w)) == [
        "explain needs something to differentiate",
        "  expected  a Tensor, a function with args=, or a run",
        "  got       float",
    ]


def test_wrt_that_is_no_tensor():
    y, _ = _neuron()
    assert _message(ArgumentError, lambda: cl.explain(y, wrt="w")) == [
        "wrt is the tensor whose gradient is opened",
        "  expected  a Tensor that the target was computed from",
        "  got       wrt = 'w'",
        "  try       cl.explain(y, wrt=w); for a function: cl.explain(f, 'w', args=(…))",
    ]


def test_several_results_need_a_choice():
    def two(x):
        return cl.sum(x), x * 2.0

    x = np.array([1.0, 2.0])
    assert _message(ArgumentError, lambda: cl.explain(two, 0, args=(x,))) == [
        "the function returns several results",
        "  expected  output=, the position or path of one of: [0], [1]",
        "  got       output = None",
        "  try       output=0, or output=(0, index) for an entry of it",
    ]
    assert cl.explain(two, 0, args=(x,), output=0)[1].value == 1.0
    assert cl.explain(two, 0, args=(x,), output=(1, 1))[1].value == 2.0


def test_a_dtype_that_is_no_float():
    y, w = _neuron()
    assert _message(DTypeError, lambda: cl.explain(y, wrt=w)[0].at("int32")) == [
        "at() evaluates in a floating dtype",
        "  expected  float64, float32 or float16",
        "  got       int32",
    ]


def test_the_message_names_the_users_line():
    y, w = _neuron()
    with pytest.raises(ArgumentError) as caught:
        cl.explain(y, wrt=w, index=7)
    assert caught.value.where.endswith("cl.explain(y, wrt=w, index=7)")
