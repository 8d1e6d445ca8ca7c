"""The node tests of the package onnx: which are taken, how one is run, and which are left with what reason."""

import functools
import importlib
import pkgutil
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

import clearprop as cl
from clearprop.interop.onnx.reading import DTYPES

RANDOM = "random numbers are drawn: every implementation draws its own"
LEFT = {
    RANDOM: """
        bernoulli bernoulli_double bernoulli_double_expanded bernoulli_expanded bernoulli_seed bernoulli_seed_expanded
        training_dropout training_dropout_default training_dropout_default_mask training_dropout_mask
    """,
    "TfIdfVectorizer counts words, which is no layer": """
        tfidfvectorizer_tf_batch_onlybigrams_skip0 tfidfvectorizer_tf_batch_onlybigrams_skip5
        tfidfvectorizer_tf_batch_uniandbigrams_skip5 tfidfvectorizer_tf_only_bigrams_skip0
        tfidfvectorizer_tf_onlybigrams_levelempty tfidfvectorizer_tf_onlybigrams_skip5
        tfidfvectorizer_tf_uniandbigrams_skip5
    """,
    "ImageDecoder reads image files, which is no layer": """
        image_decoder_decode_bmp_rgb image_decoder_decode_jpeg2k_rgb image_decoder_decode_jpeg_bgr
        image_decoder_decode_jpeg_grayscale image_decoder_decode_jpeg_rgb image_decoder_decode_png_rgb
        image_decoder_decode_pnm_rgb image_decoder_decode_tiff_rgb image_decoder_decode_webp_rgb
    """,
    "trees have no derivative": "ai_onnx_ml_tree_ensemble_set_membership ai_onnx_ml_tree_ensemble_single_tree",
    "FlexAttention holds graphs that change scores": """
        flexattention flexattention_causal_mask flexattention_diff_head_sizes flexattention_double flexattention_gqa
        flexattention_prob_mod flexattention_relative_positional flexattention_scaled flexattention_score_mod
        flexattention_soft_cap
    """,
    "SequenceMap maps a graph over a sequence": """
        sequence_map_add_1_sequence_1_tensor sequence_map_add_2_sequences sequence_map_extract_shapes
        sequence_map_identity_1_sequence sequence_map_identity_1_sequence_1_tensor sequence_map_identity_2_sequences
    """,
    "regions of images are not cut by the table": """
        basic_deform_conv_with_padding basic_deform_conv_without_padding deform_conv_with_mask_bias
        deform_conv_with_multiple_offset_groups roialign_aligned_false roialign_aligned_true roialign_mode_max
    """,
}
"""Node tests whose types are held and which do not pass, by reason: a test that passes may not stand here."""


LEFT_MODELS = {
    "text is not held": """
        test_strnorm_model_monday_casesensintive_lower test_strnorm_model_monday_casesensintive_nochangecase
        test_strnorm_model_monday_casesensintive_upper test_strnorm_model_monday_empty_output
        test_strnorm_model_monday_insensintive_upper_twodim test_strnorm_model_nostopwords_nochangecase
    """,
    "slopes of PRelu per channel before version 7": """
        test_PReLU_1d_multiparam test_PReLU_2d_multiparam test_PReLU_3d_multiparam
    """,
}
"""Models of several nodes that are refused, by reason."""
MODEL_KINDS = ("simple", "pytorch-converted", "pytorch-operator")


def model_tests():
    """The models of several nodes: written by hand, and exported by PyTorch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests

        return [case for kind in MODEL_KINDS for case in load_model_tests(kind=kind)]


def left_tests():
    return {f"test_{name}": reason for reason, names in LEFT.items() for name in names.split()}


class FewExports(type):
    """Makes the cases of an operator as the package does, from its first exports alone: three pools take seconds."""

    most = 3

    def __init__(cls, name, bases, body):
        super().__init__(name, bases, body)
        for key in [k for k in body if k.startswith("export")][: FewExports.most]:
            np.random.seed(seed=0)
            getattr(cls, key)()


def node_tests(few=False):
    """All cases of the package, or the first few of every operator, made in fresh modules of it."""
    return _sample() if few else _all()


@functools.cache
def _all():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests

        return load_model_tests(kind="node")


@functools.cache
def _sample():
    base = importlib.import_module("onnx.backend.test.case.base")
    node = importlib.import_module("onnx.backend.test.case.node")
    before, kept = base.Base, dict(sys.modules)
    names = [f"{node.__name__}.{m.name}" for m in pkgutil.iter_modules(node.__path__)]
    held = list(node._NodeTestCases), dict(node._existing_names)
    base.Base = types.new_class("Base", (), {"metaclass": FewExports})
    node._NodeTestCases.clear(), node._existing_names.clear()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in names:
                sys.modules.pop(name, None)
                importlib.import_module(name)
        return list(node._NodeTestCases)
    finally:
        base.Base = before
        node._NodeTestCases[:] = held[0]
        node._existing_names.clear(), node._existing_names.update(held[1])
        for name in names:
            sys.modules.pop(name, None)
            if name in kept:
                sys.modules[name] = kept[name]


def tensor_types(type_proto):
    """All dtypes in a type: of a tensor, of what a sequence or an optional value holds."""
    kind = type_proto.WhichOneof("value")
    if kind in ("tensor_type", "sparse_tensor_type"):
        return {getattr(type_proto, kind).elem_type}
    return tensor_types(getattr(type_proto, kind).elem_type) if kind in ("sequence_type", "optional_type") else {-1}


def is_held(case):
    """Whether all inputs, outputs and conversions of a case have dtypes that clearprop has."""
    graph = case.model.graph
    types = set().union(*(tensor_types(v.type) for v in [*graph.input, *graph.output]))
    casts = {a.i for n in graph.node for a in n.attribute if n.op_type == "Cast" and a.name == "to"}
    return (types | casts) <= set(DTYPES)


def values(given):
    if isinstance(given, TensorProto):
        return numpy_helper.to_array(given)
    return numpy_helper.to_list(given) if isinstance(given, onnx.SequenceProto) else given


def require_equal(found, wanted, case):
    if isinstance(wanted, (list, tuple)):
        assert len(found) == len(wanted)
        for f, w in zip(found, wanted, strict=True):
            require_equal(f, w, case)
        return
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    np.testing.assert_allclose(found, wanted, rtol=case.rtol, atol=case.atol)


def stored_arrays(folder, kind):
    """The inputs or outputs of a case that the package keeps in files."""
    files = [folder / f"{kind}_{i}.pb" for i in range(len(list(folder.glob(f"{kind}_*.pb"))))]
    return [numpy_helper.to_array(TensorProto.FromString(file.read_bytes())) for file in files]


def contents(case):
    """The model of a case and its data: inputs and outputs."""
    if case.model is not None:
        return case.model, case.data_sets
    folders = sorted(Path(case.model_dir).glob("test_data_set_*"))
    sets = [(stored_arrays(folder, "input"), stored_arrays(folder, "output")) for folder in folders]
    return Path(case.model_dir) / "model.onnx", sets


def run(case):
    """Raises if what the case's model gives is not what the package says."""
    source, data = contents(case)
    model = cl.onnx.load(source)
    for inputs, outputs in data:
        found = model.by_name(*map(values, inputs))
        for name, wanted in zip(found, outputs, strict=True):
            require_equal(found[name], values(wanted), case)


def failure(case):
    """What is wrong with a case, or an empty text."""
    try:
        run(case)
    except Exception as error:
        return f"{case.name}: {type(error).__name__}: {error}"[:400]
    return ""
