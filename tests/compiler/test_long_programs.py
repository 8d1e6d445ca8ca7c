"""What it takes to compile grows with the program and not faster: lines of Python are counted, not seconds."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import numpy as np

import clearprop as cl


def chain(links: int) -> Any:
    """A function of so many operations, all of them on lines that give the same name."""

    def f(x: Any, w: Any) -> Any:
        for k in range(links // 4):
            x = cl.tanh(x * w[k % 8] + 0.1)
            x = cl.sin(x)
        return cl.sum(x * x)

    return f


def lines_to_compile(links: int) -> int:
    """How many lines run in the package until the gradient of such a chain has been computed for the first time."""
    package, lines = cl.__path__[0], 0

    def count(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal lines
        if not frame.f_code.co_filename.startswith(package):
            return None
        lines += event == "line"
        return count

    gradient = cl.compile(cl.grad(chain(links)), executor="numpy")
    arrays = cl.tensor(np.ones(8)), cl.tensor(np.ones(8))
    before = sys.gettrace()
    sys.settrace(count)
    try:
        gradient(*arrays)
    finally:
        sys.settrace(before)
    return lines


def test_compiling_is_linear_in_the_length_of_a_program() -> None:
    lines_to_compile(8)  # what is made once is made
    short, middle, long = map(lines_to_compile, (40, 80, 160))
    assert long - middle < 2.1 * (middle - short)
