"""The special cases of the array API standard, sentence by sentence, in both floating dtypes and both executors."""

import numpy as np
import pytest

import clearprop as cl
from tests.arrays.special_cases import ONE, TWO, agrees, expected, operands_of, sentences
from tests.tiers import together

CASES = [*sentences(ONE), *sentences(TWO)]


@together("name, words, result", CASES)
def test_a_special_case(name, words, result):
    for dtype in (np.float32, np.float64):
        operands = [x.astype(dtype) for x in operands_of(words)]
        got = getattr(cl, name)(*map(cl.asarray, operands))
        want, rounded = expected(result, operands, dtype)
        assert agrees(got, want, rounded), f"{dtype.__name__}: {np.asarray(got)}, not {want}"


@pytest.mark.verify
@pytest.mark.parametrize("name", sorted({name for name, *_ in CASES}))
def test_the_special_cases_of_compiled_functions(name):
    step = cl.compile(getattr(cl, name))
    for own, words, result in CASES:
        if own == name:
            operands = [x.astype(np.float32) for x in operands_of(words)]
            want, rounded = expected(result, operands, np.float32)
            assert agrees(step(*operands), want, rounded), (words, np.asarray(step(*operands)), want)
