"""Where the package is otherwise than the array API standard 2024.12 says, why, and what shows it.

`python -m tests.arrays.deviations` writes `docs/array-api.md`; a test runs every row.
"""

from pathlib import Path

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import ClearpropError

PAGE = Path(__file__).parents[2] / "docs" / "array-api.md"


def refuses(call):
    with pytest.raises((ClearpropError, TypeError)):
        call()


def _assign():
    cl.zeros(3)[0] = 1.0


def _add_to_a_leaf():
    w = cl.tensor([1.0], requires_grad=True)
    w += 1.0


def _keeps_memory():
    x = cl.tensor([1.0, 2.0])
    assert np.shares_memory(cl.reshape(x, (2, 1), copy=True).numpy(), x.numpy())


def _copies_for_old_consumers():
    x = cl.tensor([1.0])
    assert not np.shares_memory(np.from_dlpack(_OfOldProtocol(x)), x.numpy())


class _OfOldProtocol:
    """An array whose consumer knows DLPack before 1.0."""

    def __init__(self, x):
        self.x = x

    def __dlpack__(self, **kwargs):
        return self.x.__dlpack__()

    def __dlpack_device__(self):
        return self.x.__dlpack_device__()


# (what the standard says, what happens here, why, what shows it)
DEVIATIONS = [
    (
        "`x[key] = y` writes into x",
        "refused; `x.at[key].set(y)` gives a new tensor",
        "a tensor never changes, so what was recorded is what is differentiated",
        lambda: refuses(_assign),
    ),
    (
        "`x += y` writes into x",
        "`x = x + y`; refused where x or y is tracked or traced",
        "as above; a name that is bound again would lose the leaf whose gradient is wanted",
        lambda: refuses(_add_to_a_leaf),
    ),
    (
        "masks index, shapes may depend on data",
        "refused while a program is traced (`cl.compile`, `cl.vmap`)",
        "a program has a shape for every value before it runs; the standard makes it optional",
        lambda: refuses(lambda: cl.vmap(lambda x: x[x > 0])(cl.ones((2, 2)))),
    ),
    (
        "`copy=True` of `reshape` and `astype` copies",
        "memory may be shared",
        "nobody can write into it, so it makes no difference",
        _keeps_memory,
    ),
    (
        "`empty` leaves its numbers open",
        "zeros",
        "nothing could be written into it afterwards",
        lambda: np.testing.assert_array_equal(cl.empty(3), np.zeros(3)),
    ),
    (
        "a device has a type of its own",
        'there is one, the text "cpu"; another is refused',
        "arrays are dense and on the processor",
        lambda: refuses(lambda: cl.zeros(1, device="gpu")),
    ),
    (
        "`__dlpack__` shares memory",
        "it does with consumers of DLPack 1.0; others get a copy",
        "before 1.0 a consumer cannot be told that memory is read-only",
        _copies_for_old_consumers,
    ),
    (
        "operands of integers and floats do not mix; functions such as `exp` take floats",
        "they promote to floats, Python numbers adopt what they meet",
        "what users expect of NumPy; programs of the standard do not notice",
        lambda: (cl.exp(cl.arange(2)), cl.arange(2) + cl.zeros(2)),
    ),
    (
        "operands are positional only",
        "some may be given by name, and axes by position",
        "NumPy's calls go on working",
        lambda: cl.matmul(a=cl.ones((1, 1)), b=cl.ones((1, 1))),
    ),
    (
        "`linalg` factors complex matrices",
        "values; derivatives of `eigh`'s and `svd`'s vectors, `qr`, `cholesky`, `pinv` are refused",
        "their phase is a choice of LAPACK's; derivatives are no part of the standard",
        lambda: refuses(lambda: cl.vjp(lambda a: cl.linalg.qr(a).Q, np.eye(2) * (1 + 1j))[1](np.eye(2) * 1j)),
    ),
]


def page():
    lines = [
        "# The array API standard",
        "",
        "clearprop follows version 2024.12 of the standard of the Consortium for Python Data API Standards: every",
        "function, constant, data type and operator, and the extensions `linalg` and `fft`;",
        "`x.__array_namespace__()` is `clearprop`.",
        "",
        "`python -m tests.arrays.conformance` prints how many of its cases are as it says, by part. The suite of the",
        "standard's authors is no package; `array-api-strict` stands in for data types, shapes and values, and the",
        "standard's own sentences about special cases are tests.",
        "",
        "What is otherwise, made from the tests that show it by `python -m tests.arrays.deviations`:",
        "",
        "| the standard | here | why |",
        "|---|---|---|",
        *(f"| {said} | {here} | {why} |" for said, here, why, _ in DEVIATIONS),
    ]
    return "\n".join([*lines, ""])


def parts():
    """The page as it is: what the table makes, and what is written by hand, from its first subheading on."""
    made, heading, written = PAGE.read_text(encoding="utf-8").partition("\n## ")
    return made, heading + written


if __name__ == "__main__":
    PAGE.write_text(page() + parts()[1], encoding="utf-8")
