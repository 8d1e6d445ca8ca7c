"""Hundreds of hostile files: each is refused with an error of ours or harmless, runs nothing, and costs no memory.

`python -m tests.files` reads ten thousand of them (`make verify PART=files`).
"""

from tests.files.limits import MEMORY, SECONDS, fuzz

RISE = 128 * 2**20
"""By at most so many bytes any case may raise the peak of memory of the process that reads it."""


def test_five_hundred_cases():
    found = fuzz(0, 0, 500)
    assert found.failures == []
    assert found.count == 500
    assert found.rose < RISE and found.peak < MEMORY and found.slowest < SECONDS
    for kind, number in {"run": 150, "data": 200, "config": 50, "model": 50, "sweep": 50}.items():
        assert found.of(kind, "refused") > number / 5
        assert found.of(kind, "harmless") or kind == "model"
