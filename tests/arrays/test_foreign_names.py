"""A name of another library is refused with what is written here instead; other names with the nearest of ours."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import clearprop as cl
from clearprop.arrays import foreign_names

LINES = json.loads(Path(foreign_names.__file__).with_suffix(".json").read_text(encoding="utf-8"))
HOMES = {"cl": cl, "cl.linalg": cl.linalg, "cl.fft": cl.fft, "cl.random": cl.random}


def refusal(home, name):
    with pytest.raises(cl.errors.ArgumentError) as caught:
        getattr(HOMES[home], name)
    assert isinstance(caught.value, AttributeError)
    assert not hasattr(HOMES[home], name)
    return caught.value


def test_every_foreign_name_says_what_is_written_here():
    assert len(LINES) > 300
    for name, line in LINES.items():
        if not hasattr(cl, name) and name[0] != "_":
            assert refusal("cl", name).try_ == line


@pytest.mark.parametrize(
    ("home", "name", "said"),
    [
        ("cl", "concatenate", "cl.concat([x, y], axis=1)"),
        ("cl", "view", "cl.reshape(x, (3, 2))"),
        ("cl", "bmm", "cl.matmul(q, q)"),
        ("cl", "randn", "cl.random.normal(key, (2, 3))"),
        ("cl", "swish", "cl.silu(x)"),
        ("cl", "cholesky", "cl.linalg.cholesky(s)"),
        ("cl", "softmx", "cl.softmax, the nearest name"),
        ("cl", "gradd", "cl.grad, the nearest name"),
        ("cl", "quux", "the pages docs/coming-from, which map names"),
        ("cl.linalg", "einsum", "cl.einsum"),
        ("cl.linalg", "softmax", "cl.softmax"),
        ("cl.random", "randint", "cl.random.integers(key, 0, 9, (2, 3))"),
        ("cl.random", "standard_t", "cl.random.student_t(key, 3.0, (5,))"),
        ("cl.fft", "fft2", "cl.fft.fftn(x, axes=(-2, -1))"),
    ],
)
def test_what_was_meant_is_told(home, name, said):
    found = refusal(home, name)
    assert (found.headline, found.got, found.try_) == (f"{home} has no name {name!r}", f"{home}.{name}", said)


def test_a_method_of_others_says_what_is_written_here():
    with pytest.raises(AttributeError, match=r"cl\.expand_dims\(x, axis=0\)"):
        cl.tensor([1.0]).unsqueeze(0)


def test_imports_of_folders_and_of_unknown_names_end_as_python_ends_them():
    code = """
from clearprop import notation
try:
    from clearprop import concatenate
except ImportError as error:
    print(error.name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "clearprop\n"
