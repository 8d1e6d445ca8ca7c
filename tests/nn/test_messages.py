"""What a mistake with models and losses gets: whole messages."""

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn
from clearprop.errors import ArgumentError, ClearpropError


def lines(text):
    return text.strip("\n").split("\n")


def message(call):
    """The message without its `where` line, which must name this file."""
    with pytest.raises(ClearpropError) as caught:
        call()
    found = caught.value.message.split("\n")
    where = [line for line in found if line.startswith("  where")]
    assert len(where) == 1 and "test_messages.py:" in where[0], found
    return [line for line in found if line not in where]


def test_unknown_activation():
    assert message(lambda: nn.Activation("rellu")) == lines("""
no activation named 'rellu'
  expected  one of: elu, gelu, gelu_tanh, hard_sigmoid, hard_silu, hard_tanh, leaky_relu, linear, log_softmax, mish, relu, relu6, selu, sigmoid, silu, softmax, softplus, softsign, tanh
  got       'rellu'
  try       'relu', the nearest name
""")  # noqa: E501 - the message is one line


def test_unknown_activation_in_an_mlp():
    assert message(lambda: nn.mlp([2, 3, 1], "sigmoyd"))[-1] == "  try       'sigmoid', the nearest name"


def test_unknown_initialiser():
    assert message(lambda: nn.Dense(2, 3, init="hee")) == lines("""
no initialiser named 'hee'
  expected  one of: glorot, he, lecun, orthogonal, small_random
  got       'hee'
  try       'he', the nearest name
""")


def test_unknown_normalisation():
    assert message(lambda: nn.mlp([2, 3, 1], norm="bacth")) == lines("""
no normalisation named 'bacth'
  expected  one of: batch, layer
  got       'bacth'
  try       'batch', the nearest name
""")


def test_impossible_sizes():
    assert message(lambda: nn.Dense(0, 3)) == lines("""
Dense has an impossible size
  expected  inputs: an integer of at least 1
  got       inputs = 0
""")
    assert message(lambda: nn.mlp([4, 2.5, 1])) == lines("""
mlp has an impossible size
  expected  sizes[1]: an integer of at least 1
  got       sizes[1] = 2.5
""")
    assert message(lambda: nn.mlp([4])) == lines("""
mlp needs the sizes of at least two layers
  expected  [inputs, hidden …, outputs]
  got       [4]
  try       cl.nn.mlp([4, 16, 3])
""")


def test_input_of_another_size():
    for layer in (nn.Dense(4, 3), nn.LayerNorm(4), nn.BatchNorm(4)):
        found = message(lambda layer=layer: layer(np.ones((2, 5))))
        assert found == [
            f"{layer.label()} cannot take an input of shape (2, 5)",
            "  expected  4 numbers in the last axis",
            "  got       5",
            "  try       check the columns of the data and the sizes of the layers before",
        ]
    assert message(lambda: nn.LayerNorm(4)(np.ones((2, 1))))[2] == "  got       1"


def test_batch_norm_without_a_batch():
    assert message(lambda: nn.apply(nn.BatchNorm(4), np.ones(4))) == lines("""
BatchNorm(4) has no batch to take statistics of
  expected  an input of shape (examples, features) in training
  got       shape (4,): one example
  try       LayerNorm, which works on single examples
""")


def test_batch_norm_of_one_row():
    assert message(lambda: nn.apply(nn.BatchNorm(3), cl.ones((1, 3)))) == lines("""
BatchNorm(3) cannot take statistics of fewer than two rows
  expected  a batch of two rows or more in training
  got       shape (1, 3)
  try       a larger batch; or LayerNorm, which works on single rows
""")


def test_dropout_rate():
    assert message(lambda: nn.Dropout(1.0)) == lines("""
Dropout cannot work with this rate
  expected  0 <= rate < 1 (default 0.5)
  got       rate = 1.0
  try       rate=0.5
""")


def test_dropout_without_a_key():
    assert message(lambda: nn.apply(nn.Dropout(0.5), np.ones(3))) == lines("""
Dropout needs random numbers, and the pass has no key
  expected  rng=, a key of cl.random
  got       rng=None
  try       y, model = cl.nn.apply(model, x, rng=cl.random.key(0))
""")


def test_unknown_path():
    assert message(lambda: nn.mlp([2, 1]).replace({"layers[0].wieght": np.ones((2, 1))})) == lines("""
no array in Sequential named 'layers[0].wieght'
  expected  one of: layers[0].bias, layers[0].weight
  got       'layers[0].wieght'
  try       'layers[0].weight', the nearest name
""")


def test_array_of_another_shape():
    assert message(lambda: nn.mlp([2, 1]).replace({"layers[0].weight": np.ones((1, 2))})) == lines("""
layers[0].weight has another shape
  expected  shape (2, 1)
  got       shape (1, 2)
""")


def test_assignment():
    def assign():
        nn.Dense(2, 1).weight = 0.0

    assert message(assign) == lines("""
a module never changes: Dense.weight cannot be assigned
  expected  a new model
  got       weight = ...
  try       model = model.replace({'weight': array}); in __init__, super().__init__(weight=...)
""")


def test_fields_must_be_declared():
    class Scaled(nn.Module):
        factor: float

    assert message(lambda: Scaled(factor=2.0)) == lines("""
the field 'factor' of Scaled is not declared
  expected  cl.nn.parameter(), cl.nn.state() or cl.nn.static(); only modules need no declaration
  got       factor = float
  try       factor: ... = cl.nn.static()
""")


def test_parameters_hold_arrays():
    class Named(nn.Module):
        weight: str = nn.parameter()

    assert message(lambda: Named(weight="w")) == lines("""
the field 'weight' of Named holds arrays
  expected  tensors, NumPy arrays, numbers, or containers of them
  got       str
  try       weight: ... = cl.nn.static() if it is no array
""")


def test_static_fields_are_hashable():
    class Sized(nn.Module):
        sizes: tuple = nn.static()

    assert message(lambda: Sized(sizes=[1, 2])) == lines("""
the static field 'sizes' of Sized must be hashable
  expected  numbers, text, functions, tuples of them
  got       list
  try       a tuple in place of a list; cl.nn.parameter() or cl.nn.state() for an array
""")


def test_a_constructor_that_forgets_a_field():
    class Forgetful(nn.Module):
        weight: cl.Tensor = nn.parameter()
        bias: cl.Tensor = nn.parameter()

        def __init__(self):
            super().__init__(weight=np.ones(2))

    assert message(Forgetful) == lines("""
Forgetful was made without its field 'bias'
  expected  a value for every field
  got       no bias
  try       super().__init__(bias=..., ...) in Forgetful.__init__
""")


def test_state_that_does_not_exist():
    class Counting(nn.Module):
        seen: cl.Tensor = nn.state()

        def forward(self, x):
            nn.remember(self, sen=x)
            return x

    assert message(lambda: nn.apply(Counting(seen=0.0), 1.0)) == lines("""
no state field of Counting named 'sen'
  expected  one of: seen
  got       'sen'
  try       'seen', the nearest name
""")


def test_a_layer_used_twice():
    layer = nn.Dense(2, 2)
    assert message(lambda: nn.Sequential(layer, "relu", layer)) == lines("""
a layer with arrays is used twice
  expected  every layer once: a model is a tree of values, and shared weights would part when trained
  got       layers[0] is layers[2]
  try       a module of your own whose forward calls the shared layer twice
""")


def test_a_layer_that_is_none():
    assert message(lambda: nn.Sequential(nn.Dense(2, 2), 3)) == lines("""
a layer is a module, the name of an activation, or a function
  expected  cl.nn.Dense(4, 16), "relu", cl.tanh
  got       3
""")


# -------------------------------------------------------------------------------------------------- losses
def test_predictions_and_targets_of_other_shapes():
    assert message(lambda: nn.mse(np.ones((4, 1)), np.ones(4))) == lines("""
mse cannot compare (4, 1) with (4,)
  expected  predictions and targets of one shape
  got       (4, 1) and (4,)
  try       prediction[..., 0]: drop the axis of size 1
""")
    assert message(lambda: nn.mae(np.ones((4, 2)), np.ones((4, 3))))[-1] == (
        "  try       check the number of outputs of the last layer"
    )


def test_label_out_of_range():
    assert message(lambda: nn.cross_entropy(np.ones((2, 3)), [0, 3])) == lines("""
cross_entropy got a label outside its range
  expected  labels from 0 to 2
  got       label 3 at index 1
  try       count classes from 0, and give the last layer one output per class
""")


def test_labels_that_are_floats():
    assert message(lambda: nn.cross_entropy(np.ones((2, 3)), np.array([0.0, 1.0]))) == lines("""
cross_entropy cannot compare logits (2, 3) with labels (2,) of float64
  expected  integers of shape (2,), or probabilities of shape (2, 3)
  got       float64 of shape (2,)
  try       labels.astype(int)
""")


def test_labels_with_an_axis_too_many():
    assert message(lambda: nn.cross_entropy(np.ones((2, 3)), np.array([[0], [1]]))) == lines("""
cross_entropy cannot compare logits (2, 3) with labels (2, 1) of int64
  expected  integers of shape (2,), or probabilities of shape (2, 3)
  got       int64 of shape (2, 1)
  try       labels[..., 0]: drop the axis of size 1
""")


def test_one_output_is_no_choice_among_classes():
    assert message(lambda: nn.cross_entropy(cl.zeros((4, 1)), np.zeros(4, int))) == lines("""
cross_entropy over one output is 0, whatever the network says
  expected  logits of shape (…, classes), two classes or more
  got       logits of shape (4, 1)
  try       one output per class; binary_cross_entropy for one output and two classes, mse for a number
""")


@pytest.mark.parametrize(
    ("row", "got"),
    [
        ([0.5, 0.6], "a row that sums to 1.1, with numbers from 0.5 to 0.6, at index 1"),
        ([1.5, -0.5], "a row that sums to 1, with numbers from -0.5 to 1.5, at index 1"),
        ([np.nan, 0.5], "a row that sums to nan, with numbers from nan to nan, at index 1"),
    ],
)
def test_probabilities_that_are_none(row, got):
    assert message(lambda: nn.cross_entropy(cl.zeros((2, 2)), np.array([[0.2, 0.8], row]))) == lines(f"""
cross_entropy got labels that are no probabilities
  expected  numbers from 0 to 1 whose sum in every row is 1, or integers
  got       {got}
  try       labels.astype(int) for classes; labels / labels.sum(axis=-1, keepdims=True) for counts
""")


def test_probabilities_may_be_rounded():
    soft = np.full((3, 1000), 1e-3, np.float16)
    assert float(nn.cross_entropy(np.zeros((3, 1000)), soft.astype(np.float32))) == pytest.approx(
        np.log(1000), rel=1e-3
    )


def test_binary_labels_out_of_range():
    assert message(lambda: nn.binary_cross_entropy(np.ones(2), [1, 2])) == lines("""
binary_cross_entropy got a label outside its range
  expected  labels from 0 to 1
  got       label 2 at index 1
  try       cl.nn.cross_entropy for several classes
""")


def test_unknown_reduction_and_loss():
    assert message(lambda: nn.mse([1.0], [1.0], reduction="avg")) == lines("""
no reduction named 'avg'
  expected  one of: mean, none, sum
  got       'avg'
  try       one of the names above
""")
    assert message(lambda: nn.loss_named("mes"))[-1] == "  try       'mse', the nearest name"


def test_weights_of_another_length():
    assert message(lambda: nn.mse(np.ones((4, 2)), np.ones((4, 2)), sample_weight=np.ones(3))) == lines("""
mse cannot weigh losses of shape (4, 2) by weights of shape (3,)
  expected  one weight per example: shape (4,)
  got       shape (3,)
""")


def test_huber_delta():
    assert message(lambda: nn.huber([1.0], [1.0], delta=0.0)) == lines("""
huber needs a positive delta
  expected  delta > 0 (default 1.0)
  got       delta = 0.0
""")


def test_a_class_in_place_of_a_layer():
    with pytest.raises(ArgumentError, match="a layer is a module, the name of an activation, or a function") as caught:
        nn.Sequential(nn.Dense(2, 2), nn.LayerNorm)
    assert "got       the class LayerNorm, which is called to make one" in str(caught.value)


def test_a_network_of_several_outputs_is_not_trained():
    both = nn.Function(lambda x: (x, x))
    with pytest.raises(ArgumentError, match="a network that is trained gives one array") as caught:
        cl.fit(nn.Sequential(nn.Dense(2, 2), both), (np.ones((4, 2)), np.ones((4, 2))))
    assert "got       tuple of 2" in str(caught.value)
