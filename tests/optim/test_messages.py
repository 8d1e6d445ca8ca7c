"""What a wrong setting or tree gets: whole messages."""

import math

import numpy as np
import pytest

from clearprop import optim
from clearprop.errors import ClearpropError


def message(call):
    with pytest.raises(ClearpropError) as caught:
        call()
    return caught.value.message.split("\n")


def lines(text):
    return text.strip("\n").split("\n")


def without_where(found):
    """The message without its `where` line, which must name this file."""
    where = [line for line in found if line.startswith("  where")]
    assert len(where) == 1 and "test_messages.py:" in where[0]
    return [line for line in found if not line.startswith("  where")]


def test_negative_learning_rate():
    assert without_where(message(lambda: optim.adam(learning_rate=-0.1))) == lines("""
adam cannot work with this learning_rate
  expected  0 <= learning_rate (default 0.001)
  got       learning_rate = -0.1
  try       adam(learning_rate=0.001)
""")


def test_learning_rate_that_is_no_number():
    for bad in (math.nan, math.inf, "0.1", None, True):
        found = without_where(message(lambda bad=bad: optim.sgd(bad)))
        assert found[2] == f"  got       learning_rate = {bad!r}"


def test_averaging_constant_of_one():
    assert without_where(message(lambda: optim.adam(b2=1.0))) == lines("""
adam cannot work with this b2
  expected  0 <= b2 < 1 (default 0.999)
  got       b2 = 1.0
  try       adam(b2=0.999)
""")


def test_schedule_length():
    assert without_where(message(lambda: optim.cosine(0.1, steps=0.5))) == lines("""
cosine cannot work with this steps
  expected  1 <= steps, a whole number (default 1000)
  got       steps = 0.5
  try       cosine(steps=1000)
""")


def test_unknown_optimizer():
    assert without_where(message(lambda: optim.by_name("adamm"))) == lines(f"""
no optimizer named 'adamm'
  expected  one of: {", ".join(optim.optimizers())}
  got       'adamm'
  try       'adam', the nearest name
""")


def test_unknown_hyper_parameter():
    assert without_where(message(lambda: optim.by_name("sgd", momentun=0.9))) == lines("""
no hyper-parameter of sgd named 'momentun'
  expected  one of: dampening, learning_rate, momentum, nesterov, weight_decay
  got       'momentun'
  try       'momentum', the nearest name
""")


def test_unknown_mask():
    assert without_where(message(lambda: optim.adamw(mask="matrixes"))) == lines("""
no mask of adamw named 'matrixes'
  expected  one of: all, matrices, vectors
  got       'matrixes'
  try       'matrices', the nearest name
""")


def test_unknown_base():
    assert without_where(message(lambda: optim.schedule_free(base="adam"))) == lines("""
no base of schedule_free named 'adam'
  expected  one of: adamw, sgd
  got       'adam'
  try       'adamw', the nearest name
""")


def test_pattern_that_fits_nothing():
    params = {"weight": np.ones(2), "bias": np.ones(2)}
    opt = optim.groups(optim.sgd(0.1), ("*.wieght", optim.sgd(0.2)))
    assert without_where(message(lambda: opt.init(params))) == lines("""
no parameter fits the pattern '*.wieght'
  expected  a pattern that fits a path: bias, weight
  got       '*.wieght'
  try       '*.bias', 'layers[0].*'
""")


def test_gradients_of_another_structure():
    opt, params = optim.adam(), {"w": np.ones(2)}
    assert without_where(message(lambda: opt.update({"v": np.ones(2)}, opt.init(params), params))) == lines("""
the gradients have another structure than the parameters
  expected  the leaves w
  got       the leaves v
  try       pass the parameters that the gradients were computed for
""")


def test_a_function_cannot_be_written_to_a_file():
    def own(path, p):
        return True

    found = message(lambda: optim.adamw(mask=own).to_config())
    assert found[0] == "adamw cannot be written to a configuration"
    assert found[-1] == "  try       a name or a pattern in place of a function"


def test_optimizers_print_as_their_call():
    assert repr(optim.adam(1e-2)) == (
        "adam(learning_rate=0.01, b1=0.9, b2=0.999, eps=1e-08, amsgrad=False, nesterov=False, rectify=False)"
    )
    chained = optim.chain(optim.clip_by_norm(1.0), optim.sgd(optim.warmup(5, optim.cosine(0.1, 50))))
    assert repr(chained) == (
        "chain(clip_by_norm(limit=1.0), sgd(learning_rate=warmup(steps=5, then=cosine(value=0.1, steps=50, "
        "floor=0.0)), momentum=0.0, nesterov=False, weight_decay=0.0, dampening=0.0))"
    )
    assert eval(repr(chained), {name: getattr(optim, name) for name in dir(optim)}) == chained
