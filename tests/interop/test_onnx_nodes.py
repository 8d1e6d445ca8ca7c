"""Every node test of the package onnx whose types are held passes, or is listed with a reason."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

import clearprop as cl
from clearprop.interop.onnx.operator_table import known_operators
from tests.interop.node_tests import LEFT_MODELS, failure, is_held, left_tests, model_tests, node_tests

TRIED_ELSEWHERE = set(
    """
    Bernoulli ConcatFromSequence GlobalLpPool Optional RandomNormal RandomNormalLike RandomUniform RandomUniformLike
    SequenceAt SequenceConstruct SequenceErase ai.onnx.ml.ArrayFeatureExtractor ai.onnx.ml.Binarizer
    ai.onnx.ml.LinearClassifier ai.onnx.ml.LinearRegressor ai.onnx.ml.Normalizer ai.onnx.ml.Scaler
    ai.onnx.preview.training.Gradient
    """.split()
)
"""Operators without a node test of one node: `test_onnx_operators.py` and models of several nodes try them."""


def held(few=False):
    left = left_tests()
    return [case for case in node_tests(few) if is_held(case) and case.name not in left]


def operators_of(cases):
    return {f"{n.domain}.{n.op_type}" if n.domain else n.op_type for c in cases for n in c.model.graph.node}


def test_the_first_node_tests_of_every_operator_pass():
    cases = held(few=True)
    assert [text for text in map(failure, cases) if text] == []
    assert set(known_operators()) - operators_of(cases) == TRIED_ELSEWHERE


@pytest.mark.verify
def test_all_node_tests_pass(capsys):
    cases = held()
    assert [text for text in map(failure, cases) if text] == []
    assert len(cases) >= 1500
    with capsys.disabled():
        print(f"{len(cases)} node tests of onnx pass, {len(left_tests())} are left with a reason")


@pytest.mark.verify
def test_the_list_of_what_is_left_is_exact():
    cases = {case.name: case for case in node_tests()}
    assert set(left_tests()) <= set(cases)
    assert [name for name in left_tests() if not failure(cases[name])] == []


@pytest.mark.verify
def test_other_types_are_refused_when_a_model_is_loaded():
    for case in node_tests():
        if not is_held(case) and failure(case):
            with pytest.raises(cl.ClearpropError):
                net = cl.onnx.load(case.model)
                net.by_name(*case.data_sets[0][0])


def test_models_of_several_nodes_pass_but_those_listed():
    """Written by hand (gradients among them) and exported by PyTorch, from operator sets as old as the sixth."""
    failed = {case.name for case in model_tests() if failure(case)}
    assert failed == {name for names in LEFT_MODELS.values() for name in names.split()}


LIGHT = sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("*.onnx"))


@pytest.mark.verify
@pytest.mark.parametrize("path", LIGHT, ids=lambda path: path.stem)
def test_networks_of_images_give_the_outputs_that_are_stored_with_them(path):
    """Nine networks that won competitions, with weights that stand for theirs; the input is the package's."""
    wanted = TensorProto.FromString(path.with_name(f"{path.stem}_output_0.pb").read_bytes())
    count = 3 * 224 * 224
    image = (np.arange(count).reshape(1, 3, 224, 224) / count).astype(np.float32)
    found = np.asarray(cl.onnx.load(path)(image))
    np.testing.assert_allclose(found, numpy_helper.to_array(wanted), rtol=1e-3, atol=1e-7)


def test_the_networks_of_images_are_there():
    assert len(LIGHT) == 9
