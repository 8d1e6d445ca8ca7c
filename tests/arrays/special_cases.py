"""The special cases of the array API standard 2024.12, as its pages state them for real floating numbers.

One line is one sentence: the operands, then the result.  A word stands for some numbers, `x` and `y` in the result for
the operands; `~` allows rounding, and the sign of a zero counts.
"""

import math

import numpy as np

NUMBERS = {
    "nan": [math.nan],
    "inf": [math.inf],
    "-inf": [-math.inf],
    "+0": [0.0],
    "-0": [-0.0],
    "0": [0.0, -0.0],
    "+-inf": [math.inf, -math.inf],
    "1": [1.0],
    "-1": [-1.0],
    ">0": [0.5, 1.0, 3.0, 1e10],
    "<0": [-0.5, -1.0, -3.0, -1e10],
    "pos": [0.5, 3.0],
    "neg": [-0.5, -3.0],
    ">1": [1.5, 7.0, math.inf],
    "<-1": [-1.5, -7.0, -math.inf],
    "<1": [0.5, -3.0, -math.inf],
    "small": [0.5, -0.25],
    "odd": [1.0, 3.0, 7.0],
    "-odd": [-1.0, -3.0, -7.0],
    "even": [2.0, 4.0, 0.5, 2.5],
    "-even": [-2.0, -4.0, -0.5, -2.5],
    "fraction": [0.5, -1.5, 2.25],
    "whole": [1.0, -2.0, 1e6],
    "finite": [0.0, -0.0, 1.5, -2.0],
    "nonzero": [1.5, -2.0],
    "any": [math.nan, math.inf, -math.inf, 0.0, -0.0, 1.5, -2.0],
    "any but nan": [math.inf, -math.inf, 0.0, -0.0, 1.5, -2.0],
    "not 0": [math.nan, math.inf, -math.inf, 1.5, -2.0],
}

ONE = """
abs: nan nan | -0 +0 | -inf inf
acos: nan nan | >1 nan | <-1 nan | 1 +0
acosh: nan nan | <1 nan | 1 +0 | inf inf
asin: nan nan | >1 nan | <-1 nan | +0 +0 | -0 -0
asinh: nan nan | +0 +0 | -0 -0 | inf inf | -inf -inf
atan: nan nan | +0 +0 | -0 -0 | inf ~pi/2 | -inf ~-pi/2
atanh: nan nan | <-1 nan | >1 nan | -1 -inf | 1 inf | +0 +0 | -0 -0
ceil: nan nan | inf inf | -inf -inf | +0 +0 | -0 -0 | whole x
cos: nan nan | +0 1 | -0 1 | inf nan | -inf nan
cosh: nan nan | +0 1 | -0 1 | inf inf | -inf inf
exp: nan nan | +0 1 | -0 1 | inf inf | -inf +0
expm1: nan nan | +0 +0 | -0 -0 | inf inf | -inf -1
floor: nan nan | inf inf | -inf -inf | +0 +0 | -0 -0 | whole x
isfinite: +-inf False | nan False | finite True
isinf: +-inf True | nan False | finite False
isnan: nan True | +-inf False | finite False
log: nan nan | neg nan | -inf nan | 0 -inf | 1 +0 | inf inf
log1p: nan nan | <-1 nan | -1 -inf | -0 -0 | +0 +0 | inf inf
log2: nan nan | neg nan | -inf nan | 0 -inf | 1 +0 | inf inf
log10: nan nan | neg nan | -inf nan | 0 -inf | 1 +0 | inf inf
negative: +0 -0 | -0 +0 | nan nan | inf -inf | -inf inf
reciprocal: +0 inf | -0 -inf | inf +0 | -inf -0 | nan nan
round: nan nan | inf inf | -inf -inf | +0 +0 | -0 -0 | whole x
sign: <0 -1 | -inf -1 | 0 +0 | >0 1 | inf 1 | nan nan
signbit: +0 False | -0 True | inf False | -inf True | >0 False | <0 True
sin: nan nan | +0 +0 | -0 -0 | inf nan | -inf nan
sinh: nan nan | +0 +0 | -0 -0 | inf inf | -inf -inf
sqrt: nan nan | neg nan | -inf nan | +0 +0 | -0 -0 | inf inf
square: nan nan | +-inf inf | 0 +0
tan: nan nan | +0 +0 | -0 -0 | inf nan | -inf nan
tanh: nan nan | +0 +0 | -0 -0 | inf 1 | -inf -1
trunc: nan nan | inf inf | -inf -inf | +0 +0 | -0 -0 | whole x
"""

TWO = """
add: nan,any nan | any,nan nan | inf,-inf nan | -inf,inf nan | inf,inf inf | -inf,-inf -inf | inf,finite inf
add: -inf,finite -inf | finite,inf inf | finite,-inf -inf | -0,-0 -0 | -0,+0 +0 | +0,-0 +0 | +0,+0 +0 | 0,nonzero y
add: nonzero,0 x
subtract: nan,any nan | any,nan nan | inf,inf nan | -inf,-inf nan | inf,finite inf | -0,+0 -0 | +0,+0 +0
subtract: finite,inf -inf
multiply: nan,any nan | any,nan nan | +-inf,0 nan | 0,+-inf nan | inf,inf inf | inf,-inf -inf | -inf,-inf inf
multiply: inf,>0 inf | inf,<0 -inf | -inf,>0 -inf | <0,inf -inf | <0,-inf inf | +0,>0 +0 | +0,<0 -0 | -0,<0 +0
divide: nan,any nan | any,nan nan | +-inf,+-inf nan | 0,0 nan | +0,>0 +0 | -0,>0 -0 | +0,<0 -0 | -0,<0 +0 | >0,+0 inf
divide: >0,-0 -inf | <0,+0 -inf | <0,-0 inf | inf,>0 inf | inf,<0 -inf | -inf,>0 -inf | -inf,<0 inf | >0,inf +0
divide: >0,-inf -0 | <0,inf -0 | <0,-inf +0
atan2: nan,any nan | any,nan nan | >0,+0 ~pi/2 | >0,-0 ~pi/2 | +0,>0 +0 | +0,+0 +0 | +0,-0 ~pi | +0,<0 ~pi | -0,>0 -0
atan2: -0,+0 -0 | -0,-0 ~-pi | -0,<0 ~-pi | <0,+0 ~-pi/2 | <0,-0 ~-pi/2 | >0,inf +0 | >0,-inf ~pi | <0,inf -0
atan2: <0,-inf ~-pi | inf,finite ~pi/2 | -inf,finite ~-pi/2 | inf,inf ~pi/4 | inf,-inf ~3*pi/4 | -inf,inf ~-pi/4
atan2: -inf,-inf ~-3*pi/4
copysign: >0,>0 x | >0,<0 -x | <0,>0 -x | <0,<0 x | +0,<0 -0 | -0,>0 +0 | inf,-0 -inf | -inf,+0 inf | +0,-0 -0
equal: nan,any False | any,nan False | inf,inf True | -inf,-inf True | -0,+0 True | +0,-0 True | nonzero,inf False
not_equal: nan,any True | any,nan True | inf,inf False | -0,+0 False
greater: nan,any False | any,nan False | inf,finite True | finite,inf False
greater_equal: nan,any False | any,nan False | inf,inf True | finite,-inf True | -0,+0 True
less: nan,any False | any,nan False | -inf,finite True | -0,+0 False
less_equal: nan,any False | any,nan False | inf,inf True | +0,-0 True
floor_divide: nan,any nan | any,nan nan | +-inf,+-inf nan | 0,0 nan | +0,>0 +0 | -0,>0 -0 | +0,<0 -0 | -0,<0 +0
floor_divide: >0,+0 inf | >0,-0 -inf | <0,+0 -inf | <0,-0 inf
floor_divide: >0,inf +0 | >0,-inf -1 | <0,inf -1 | <0,-inf +0
remainder: nan,any nan | any,nan nan | +-inf,any nan | 0,0 nan | +0,>0 +0 | -0,>0 +0 | +0,<0 -0 | -0,<0 -0 | >0,0 nan
remainder: <0,0 nan | >0,inf x | >0,-inf -inf | <0,inf inf | <0,-inf x
hypot: inf,any inf | -inf,any inf | any,inf inf | any,-inf inf | nan,finite nan | finite,nan nan
logaddexp: nan,any nan | any,nan nan | inf,any but nan inf | any but nan,inf inf
maximum: nan,any nan | any,nan nan | inf,any but nan inf | -inf,finite y
minimum: nan,any nan | any,nan nan | -inf,any but nan -inf | inf,finite y
nextafter: nan,any nan | any,nan nan | inf,inf inf | -0,+0 +0 | +0,-0 -0
pow: not 0,0 1 | nan,0 1 | nan,nonzero nan | >1,inf inf | >1,-inf +0 | <-1,inf inf | <-1,-inf +0
pow: 1,+-inf 1 | -1,+-inf 1
pow: small,inf +0 | small,-inf inf | inf,>0 inf | inf,<0 +0 | -inf,odd -inf | -inf,even inf
pow: -inf,-odd -0 | -inf,-even +0
pow: +0,>0 +0 | +0,<0 inf | -0,odd -0 | -0,even +0 | -0,-odd -inf | -0,-even inf | neg,fraction nan
pow: 1,any 1 | nonzero,nan nan
"""


def sentences(table):
    """`(function, words of the operands, result)` of every sentence."""
    for line in table.strip().splitlines():
        name, said = line.split(": ")
        for sentence in said.split(" | "):
            operands, result = sentence.rsplit(" ", 1)
            yield name, tuple(operands.split(",")), result


def operands_of(words):
    """Every combination of the numbers that the words stand for, as one array for each operand."""
    grids = np.meshgrid(*[np.array(NUMBERS[w]) for w in words], indexing="ij")
    return [g.ravel() for g in grids]


def expected(result, operands, dtype):
    """The result that a sentence states for operands, and whether it may be rounded."""
    rounded = result.startswith("~")
    result = result.removeprefix("~")
    if result in ("True", "False"):
        return np.full(operands[0].shape, result == "True"), False
    known = {
        "x": operands[0],
        "y": operands[-1],
        "-x": -operands[0],
        "nan": math.nan,
        "inf": math.inf,
        "-inf": -math.inf,
    }
    value = known[result] if result in known else eval(result.replace("pi", repr(math.pi)))
    if result == "-0":
        value = -0.0
    return np.broadcast_to(np.asarray(value, dtype), operands[0].shape), rounded


def agrees(got, want, rounded):
    """Whether values are what a sentence states: numbers, NaN, and the sign of zeros."""
    got = np.asarray(got)
    if got.dtype != want.dtype:
        return False
    if want.dtype == bool:
        return bool((got == want).all())
    near = np.abs(got - want) <= 2 * np.finfo(want.dtype).eps * np.abs(want) if rounded else got == want
    same = np.where(np.isnan(want), np.isnan(got), near & (np.signbit(got) == np.signbit(want)))
    return bool(same.all())
