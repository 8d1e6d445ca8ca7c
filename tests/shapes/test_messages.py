"""Shape errors: the axis, both sizes, the user's line, and what to try, literally."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import DTypeError, ShapeError

A, B = np.ones((3, 4)), np.ones((5, 6))

MESSAGES = {
    "matmul": (
        lambda: cl.matmul(A, B),
        "matmul cannot multiply (3, 4) by (5, 6)\n"
        "  expected  axis k equal in a and b   [(n,k),(k,m)->(n,m)]\n"
        "  got       k = 4 in a, k = 5 in b\n"
        "  where     {line}\n"
        "  try       check that b has 4 rows, or a 5 columns",
    ),
    "matmul to transpose": (
        lambda: cl.tensor(A) @ cl.tensor(A),
        "matmul cannot multiply (3, 4) by (3, 4)\n"
        "  expected  axis k equal in a and b   [(n,k),(k,m)->(n,m)]\n"
        "  got       k = 4 in a, k = 3 in b\n"
        "  where     {line}\n"
        "  try       transpose one operand (b.mT is (4, 3)), or check that b has 4 rows",
    ),
    "matmul with the other one transposed": (
        lambda: cl.matmul(A, np.ones((3, 2))),
        "matmul cannot multiply (3, 4) by (3, 2)\n"
        "  expected  axis k equal in a and b   [(n,k),(k,m)->(n,m)]\n"
        "  got       k = 4 in a, k = 3 in b\n"
        "  where     {line}\n"
        "  try       transpose one operand (a.mT is (4, 3)), or check that b has 4 rows",
    ),
    "matmul of a number": (
        lambda: cl.matmul(2.0, A),
        "matmul needs at least one axis in each operand\n"
        "  expected  vectors or matrices\n"
        "  got       a number\n"
        "  where     {line}\n"
        "  try       a * b",
    ),
    "matmul of vectors": (
        lambda: cl.matmul(np.ones(3), np.ones(4)),
        "matmul cannot multiply vectors of different length\n"
        "  expected  equal lengths\n"
        "  got       3 and 4\n"
        "  where     {line}",
    ),
    "matmul of batches": (
        lambda: cl.matmul(np.ones((2, 3, 4)), np.ones((5, 4, 3))),
        "matmul cannot broadcast (2, 3, 4) with (5, 4, 3)\n"
        "  expected  leading axes that are equal or 1   [(n,k),(k,m)->(n,m)]\n"
        "  got       axis -1 is 2 in one operand and 5 in another\n"
        "  where     {line}",
    ),
    "broadcasting": (
        lambda: cl.add(np.ones(3), np.ones((2, 4))),
        "add cannot broadcast (3,) and (2, 4)\n"
        "  expected  axes that are equal or 1, counted from the last\n"
        "  got       axis -1 is 3 in one operand and 4 in another\n"
        "  where     {line}\n"
        "  try       insert an axis of size 1 (expand_dims, x[:, None]) where the operands should repeat",
    ),
    "broadcasting in a composite": (
        lambda: cl.squared_error(np.ones(3), np.ones(2)),
        "squared_error cannot broadcast (3,) and (2,)\n"
        "  expected  axes that are equal or 1, counted from the last\n"
        "  got       axis -1 is 3 in one operand and 2 in another\n"
        "  where     {line}\n"
        "  try       insert an axis of size 1 (expand_dims, x[:, None]) where the operands should repeat",
    ),
    "reshape": (
        lambda: cl.reshape(A, (5, 2)),
        "cannot reshape (3, 4) to (5, 2)\n"
        "  expected  12 elements, and at most one size −1\n"
        "  got       shape (5, 2)\n"
        "  where     {line}",
    ),
    "reshape with two unknown sizes": (
        lambda: cl.tensor(A).reshape(-1, -1),
        "cannot reshape (3, 4) to (-1, -1)\n"
        "  expected  12 elements, and at most one size −1\n"
        "  got       shape (-1, -1)\n"
        "  where     {line}",
    ),
    "broadcast_to": (
        lambda: cl.broadcast_to(np.ones((3, 2)), (3,)),
        "cannot broadcast (3, 2) to (3,)\n"
        "  expected  axes that are equal or 1 in x, counted from the last\n"
        "  got       x has shape (3, 2)\n"
        "  where     {line}",
    ),
    "an index": (
        lambda: cl.tensor(A)[3],
        "index 3 is out of range on axis 0\n"
        "  expected  from -3 to 2\n"
        "  got       3, for shape (3, 4)\n"
        "  where     {line}",
    ),
    "a negative index": (
        lambda: cl.tensor(A)[0, -5],
        "index -5 is out of range on axis 1\n"
        "  expected  from -4 to 3\n"
        "  got       -5, for shape (3, 4)\n"
        "  where     {line}",
    ),
    "indices too many": (
        lambda: cl.tensor(A)[0, 0, 0],
        "too many indices\n"
        "  expected  at most 2\n"
        "  got       3 indices\n"
        "  where     {line}",
    ),
    "a mask as index": (
        lambda: cl.tensor(A)[A[0] > 0],
        "a mask has the sizes of the axes that it stands for\n"
        "  expected  shape (3,)\n"
        "  got       shape (4,)\n"
        "  where     {line}",
    ),
    "a float as index": (
        lambda: cl.tensor(A)[1.0],
        "this index is not supported\n"
        "  expected  integers, slices, None, Ellipsis, integer arrays or a mask\n"
        "  got       float of no dtype\n"
        "  where     {line}\n"
        "  try       x.astype(np.int64) makes integers",
    ),
    "an axis": (
        lambda: cl.sum(A, axis=2),
        "axis 2 does not exist\n"
        "  expected  an axis of an array with 2 axes: from -2 to 1\n"
        "  got       axis = 2\n"
        "  where     {line}",
    ),
    "an axis of a number": (
        lambda: cl.tensor(1.0).sum(axis=0),
        "axis 0 does not exist\n"
        "  expected  no axis: the array has none\n"
        "  got       axis = 0\n"
        "  where     {line}",
    ),
    "an axis twice": (
        lambda: cl.mean(A, axis=(0, -2)),
        "an axis is named twice\n"
        "  expected  distinct axes\n"
        "  got       axis = (0, -2)\n"
        "  where     {line}",
    ),
    "permute_dims": (
        lambda: cl.permute_dims(A, (0, 0)),
        "permute_dims needs every axis once\n"
        "  expected  a permutation of 0 … 1\n"
        "  got       axes = (0, 0)\n"
        "  where     {line}",
    ),
    "squeeze": (
        lambda: cl.squeeze(A, axis=0),
        "cannot squeeze axis 0\n"
        "  expected  an axis of size 1\n"
        "  got       size 3 in shape (3, 4)\n"
        "  where     {line}",
    ),
    "concat": (
        lambda: cl.concat([A, B], axis=0),
        "concat needs arrays that agree on every other axis\n"
        "  expected  shapes equal except on axis 0\n"
        "  got       (3, 4) and (5, 6)\n"
        "  where     {line}",
    ),
    "concat of nothing": (
        lambda: cl.concat([]),
        "concat needs at least one array\n"
        "  expected  a sequence of arrays\n"
        "  got       an empty sequence\n"
        "  where     {line}",
    ),
    "the largest of none": (
        lambda: cl.max(np.ones((0, 2)), axis=0),
        "no elements have no largest and no smallest\n"
        "  expected  at least one element along the axis\n"
        "  got       shape (0, 2), axis 0\n"
        "  where     {line}",
    ),
    "labels": (
        lambda: cl.softmax_cross_entropy(A, np.zeros((3, 1), int)),
        "softmax_cross_entropy cannot compare logits (3, 4) with labels (3, 1)\n"
        "  expected  one integer label per row of logits, or probabilities of the logits' shape\n"
        "  got       int64 labels of shape (3, 1)\n"
        "  where     {line}\n"
        "  try       nothing is broadcast here: reshape the labels to the rows of the logits",
    ),
    "take_along_axis": (
        lambda: cl.take_along_axis(A, np.zeros(3, int)),
        "take_along_axis cannot pair (3, 4) with indices (3,)\n"
        "  expected  as many axes in both, equal or 1 except on axis 1\n"
        "  got       2 axes in x, 1 in the indices\n"
        "  where     {line}",
    ),
    "take without axis": (
        lambda: cl.take(A, np.zeros(3, int)),
        "take needs an axis\n"
        "  expected  axis=…, or an array with one axis\n"
        "  got       shape (3, 4)\n"
        "  where     {line}\n"
        "  try       axis=-1 for the last axis",
    ),
    "tensordot": (
        lambda: cl.tensordot(A, B, axes=1),
        "tensordot cannot pair these axes\n"
        "  expected  as many axes in a as in b, of equal sizes\n"
        "  got       axes [1] of (3, 4) with [0] of (5, 6)\n"
        "  where     {line}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MESSAGES)
def test_the_message_is(case):
    call, want = MESSAGES[case]
    with pytest.raises(ShapeError) as caught:
        call()
    error = caught.value
    assert error.where.startswith("test_messages.py:"), error.where
    assert str(error) == want.replace("{line}", error.where)


def test_an_index_out_of_range_in_take():
    with pytest.raises(ShapeError) as caught:
        cl.take(np.ones(3), np.array([0, 3]))
    assert caught.value.headline == "take: index 3 is out of bounds for axis 0 with size 3"
    assert caught.value.where.startswith("test_messages.py:")


def test_the_same_message_comes_while_tracing():
    with pytest.raises(ShapeError) as caught:
        cl.vmap(lambda a, b: a @ b)(np.ones((2, 3, 4)), np.ones((2, 5, 6)))
    assert str(caught.value).startswith("matmul cannot multiply (3, 4) by (5, 6)")
    assert caught.value.where.endswith("cl.vmap(lambda a, b: a @ b)(np.ones((2, 3, 4)), np.ones((2, 5, 6)))")


def test_integers_without_a_common_type():
    with pytest.raises(DTypeError) as caught:
        cl.add(np.ones(2, np.uint64), np.ones(2, np.int64))
    error = caught.value
    assert str(error) == (
        "uint64 and int64 have no common integer type\n"
        "  expected  operands that promote within the integers\n"
        "  got       uint64 with int64\n"
        f"  where     {error.where}\n"
        "  try       x.astype(...) on one operand"
    )
    assert error.where.startswith("test_messages.py:")
