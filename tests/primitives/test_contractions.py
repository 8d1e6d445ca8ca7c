"""`einsum` and `inner`: against NumPy's loops over letters, in both modes, batched, compiled; what cannot be read."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clearprop as cl
from clearprop.errors import ClearpropError

CONTRACTIONS = [
    ("ij,jk", (2, 3), (3, 4)),
    ("ij,jk->ki", (2, 3), (3, 4)),
    ("ii", (3, 3)),
    ("iji->j", (3, 2, 3)),
    ("iiii->i", (2, 2, 2, 2)),
    ("iijj->ij", (2, 2, 3, 3)),
    ("ij->", (2, 3)),
    ("ji", (2, 3)),
    ("bi,bj->bij", (2, 3), (2, 4)),
    ("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 5, 4)),
    ("...ij,...jk->...ik", (5, 2, 3), (5, 3, 4)),
    ("...ij,...jk", (1, 2, 3), (5, 3, 4)),
    ("...ij,jk", (5, 2, 3), (3, 4)),
    ("...i->...", (2, 3, 4)),
    ("...i,Zi->...", (3, 2), (3, 2)),
    ("...i,Zi->Z...", (3, 2), (3, 2)),
    ("ij,jk", (2, 1), (3, 2)),
    ("i,i,i", (3,), (3,), (3,)),
    ("i,j,k,l->lkji", (2,), (3,), (4,), (2,)),
    (",ij->ij", (), (2, 3)),
    ("ij,jk,kl,lm->im", (2, 3), (3, 4), (4, 5), (5, 2)),
    ("aij,bjk,cki->abc", (2, 3, 4), (3, 4, 5), (4, 5, 3)),
]


def draw(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return tuple(rng.uniform(-1, 1, shape) for shape in shapes)


@pytest.mark.parametrize(("subscripts", "shapes"), [(s, shapes) for s, *shapes in CONTRACTIONS])
def test_contractions_are_numpys(subscripts, shapes):
    def f(*operands):
        return cl.einsum(subscripts, *operands)

    operands = draw(shapes)
    want = np.einsum(subscripts, *operands)
    np.testing.assert_allclose(f(*operands), want, rtol=1e-13, atol=1e-13)
    cl.check_grads(f, operands, order=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a contraction has a native form
        np.testing.assert_allclose(cl.compile(f)(*operands), want, rtol=1e-13, atol=1e-13)
    others = draw(shapes, seed=1)
    both = cl.vmap(f)(*(np.stack(pair) for pair in zip(operands, others, strict=True)))
    np.testing.assert_allclose(both, np.stack([want, np.einsum(subscripts, *others)]), rtol=1e-13, atol=1e-13)


@st.composite
def contractions(draw):
    """Subscripts of up to four operands over five letters, and a size for each letter."""
    terms = draw(st.lists(st.text("abcde", max_size=3), min_size=1, max_size=4))
    letters = sorted(set("".join(terms)))
    result = "".join(draw(st.permutations(letters)))[: draw(st.integers(0, len(letters)))]
    return ",".join(terms) + draw(st.sampled_from(["", "->" + result])), {c: draw(st.integers(0, 3)) for c in letters}


@settings(max_examples=150, deadline=None)
@given(contractions())
def test_any_contraction_is_numpys(drawn):
    subscripts, sizes = drawn
    terms = subscripts.partition("->")[0].split(",")
    operands = draw([tuple(sizes[c] for c in term) for term in terms])
    found = cl.einsum(subscripts, *operands)
    np.testing.assert_allclose(found, np.einsum(subscripts, *operands), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.int64, bool])
def test_the_dtype_is_that_of_the_operands(dtype):
    x = np.array([[1, 0, 1], [0, 1, 1]]).astype(dtype)
    found = cl.einsum("ij,kj->ik", x, x)
    assert found.dtype == dtype
    assert np.array_equal(found, np.einsum("ij,kj->ik", x, x))


def test_tensors_keep_their_history_in_numpys_function():
    x = cl.tensor([1.0, 2.0], requires_grad=True)
    np.einsum("i,i", x, x).backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_inner_products_are_numpys():
    a, b = draw([(2, 3), (4, 3)])
    np.testing.assert_allclose(cl.inner(a, b), np.inner(a, b), rtol=1e-13)
    assert cl.inner(2.0, cl.tensor([1.0, 2.0])).tolist() == [2.0, 4.0]
    assert cl.inner(np.int64(2), np.ones(2, np.float32)).dtype == np.float32


A, B = np.ones((2, 3)), np.ones((4, 3))
UNREADABLE = [
    (("ij,jk", A), "einsum cannot read the subscripts"),
    ((3, A), "einsum cannot read the subscripts"),
    (("i1->i", A), "einsum cannot read the subscripts"),
    (("....j->j", A), "einsum cannot read the subscripts"),
    (("ij->k", A), "einsum cannot read the subscripts"),
    (("ij->ii", A), "einsum cannot read the subscripts"),
    (("i", A), "einsum cannot read 'i' off an array of 2 axes"),
    (("ijk", A), "einsum cannot read 'ijk' off an array of 2 axes"),
    (("ij,jk", A, B), "einsum meets two sizes along axis j"),
    (("ii", A), "einsum meets two sizes along axis i"),
    (("...,...", A, B), "einsum meets two sizes along an axis without a letter"),
]


@pytest.mark.parametrize(("call", "headline"), UNREADABLE, ids=lambda v: str(v)[:30])
def test_what_cannot_be_read_is_refused(call, headline):
    with pytest.raises(ClearpropError) as caught:
        cl.einsum(*call)
    assert caught.value.headline == headline
    assert caught.value.expected and caught.value.got
