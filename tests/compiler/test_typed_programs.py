"""Random programs of every dtype: three executors, native code between guard pages."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

import clearprop as cl
from clearprop.compiler.native import kernel_imports
from clearprop.compiler.native.vocabulary import VOCABULARY
from tests.compiler.plain import NAMES, plain
from tests.compiler.typed_programs import compare, draw, guarded, has_native_form
from tests.tiers import later


def check(seeds):
    for seed in seeds:
        p = draw(seed)
        compare(p, cl.compile(p, executor="numpy")(*p.inputs), "NumPy")
        if has_native_form(p):
            with plain(form=("", "rows", "lanes", "unrolled")[seed // 2 % 4], threads=1 + seed // 8 % 2):
                compare(p, cl.compile(p)(*p.inputs), "interpreted")


def natively(first, count):
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.compiler.typed_programs", str(first), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("block", [0, *later(range(1, 10))])
def test_typed_programs(block):
    check(range(30 * block, 30 * (block + 1)))


@pytest.mark.parametrize("first", [0, *later(range(3, 30, 3))])
def test_typed_programs_between_guard_pages(first):
    natively(first, 3)


@pytest.mark.verify
@pytest.mark.parametrize("block", range(50))
def test_many_typed_programs(block):
    check(range(1000 + 100 * block, 1000 + 100 * (block + 1)))


@pytest.mark.verify
@pytest.mark.parametrize("block", range(10))
def test_many_typed_programs_between_guard_pages(block):
    natively(1000 + 500 * block, 50)


def test_kernels_are_interpreted_whatever_words_they_have():
    vectors = {n for n, word in vars(kernel_imports).items() if getattr(word, "__module__", "").endswith(".vectors")}
    assert len(vectors) > 10 and (vectors | VOCABULARY) - set(NAMES) == {"abs"}  # Python's


def test_a_guard_page_ends_a_process_that_touches_it():
    """What the tests above rely on."""
    code = "import ctypes; from tests.compiler.typed_programs import guarded; "
    code += "a = guarded(64, True); ctypes.c_char.from_address(a.ctypes.data + {}).value"
    root = Path(__file__).parents[2]
    ends = [subprocess.run([sys.executable, "-c", code.format(n)], cwd=root, check=False).returncode for n in (63, 64)]
    assert ends[0] == 0 != ends[1]
    assert ctypes.c_char.from_address(guarded(64, False).ctypes.data).value == b"\0"
