"""Typical code of a user; a type checker reads it, nobody runs it."""

from typing import assert_type

import numpy as np

import clearprop as cl
from clearprop import Tensor

x = cl.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
assert_type(cl.einsum("ij,jk->ik", x, x), Tensor)
assert_type(cl.sum(cl.relu(x @ x), axis=0), Tensor)
assert_type(cl.histogram(x, 3).counts, Tensor)
assert_type(cl.unique_all(x).inverse_indices, Tensor)
assert_type(cl.topk(x, 1), tuple[Tensor, ...])
assert_type(cl.linalg.solve(x, x), Tensor)
assert_type(cl.linalg.svd(x).S, Tensor)
assert_type(cl.linalg.qr(x).R, Tensor)
assert_type(x.detach(), Tensor)
values: np.ndarray = np.asarray(cl.linalg.eigh(x).eigenvalues)
