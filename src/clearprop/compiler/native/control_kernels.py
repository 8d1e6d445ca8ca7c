"""Kernels that run other kernels: loops over the instructions of a step.

Such a kernel is given the whole table beside its own row, `words[at]` and what follows; `HeldRow` says what stands
there.  What its instructions read and write lies at addresses in their rows.  Those that differ from turn to turn are
written before each turn, from what the loop's own row holds: no kernel knows that it is in a loop.

Python handles signals between native calls only, so a call that takes long is paused: a loop that finds that `REST`
has passed keeps its place in its row, and says so in `pause`; every loop around it does the same, and so does the
driver.  The next call goes on from there.
"""

from __future__ import annotations

import ctypes
import enum
import functools
from collections.abc import Iterable

from clearprop.compiler.kernel_text import indent_lines
from clearprop.compiler.kernels import Kernel


class HeldRow(enum.IntEnum):
    """Where in the row of a kernel that runs others its numbers stand."""

    TABLE = 2  # addresses: of all words, of the kernels, of where their rows begin; the words once more; the pause
    FUNCTIONS = 3
    OFFSETS = 4
    WORDS = 5
    PAUSE = 6
    CLOCK = 7
    AT = 8  # where this row begins
    CHOICE = 9  # the address of what decides: the number of a branch, whether a loop goes on
    MANY = 10  # how many addresses differ from turn to turn, and where they are described
    MOVES = 11
    TURN = 12  # where a pause was: the turn, and the instruction in it; 0 between turns
    INSTRUCTION = 13
    COUNTDOWN = 14  # turns until the clock is looked at, from how many this began, and when it was looked at last
    INTERVAL = 15
    LOOKED = 16
    COUNT = 17  # of turns
    RANGES = 18  # the first instruction of each program that is held, and the one after its last


OWN = {
    HeldRow.TABLE: "words",
    HeldRow.FUNCTIONS: "functions",
    HeldRow.OFFSETS: "offsets",
    HeldRow.WORDS: "words",
    HeldRow.PAUSE: "pause",
}
"""What of the table itself stands in a row, by the names of its arrays."""

MOVE = 4
"""Words that describe an address that differs: which word holds the first, which is written, bytes per turn, a mask."""

REST = 100_000_000
"""Nanoseconds after which a call pauses."""

_WORDS = "table:size functions:u64 offsets:u64 words:i64 pause:i64 clock:size at:size"


def _word(which: int) -> str:
    """A word of the kernel's own row."""
    return f"words[at + u64({which})]"


_PLACE = (
    f"turn, k = {_word(HeldRow.TURN)}, {_word(HeldRow.INSTRUCTION)}",
    f"{_word(HeldRow.TURN)} = 0",
    f"{_word(HeldRow.INSTRUCTION)} = 0",
    f"count = {_word(HeldRow.COUNT)}",
)
"""Where a pause was; it is over."""

_MOVED = (
    f"for m in range({_word(HeldRow.MANY)}):",
    f"    p = u64({_word(HeldRow.MOVES)}) + u64({MOVE} * m)",
    "    words[u64(words[p + u64(1)])] = words[u64(words[p])] + words[p + u64(2)] * (turn & words[p + u64(3)])",
)
"""The addresses that differ from turn to turn."""

_RESTED = (
    f"{_word(HeldRow.COUNTDOWN)} -= 1",
    f"if {_word(HeldRow.COUNTDOWN)} < 0:",
    "    time = now(clock, address(pause) + u64(32))",
    f"    interval, since = {_word(HeldRow.INTERVAL)}, time - {_word(HeldRow.LOOKED)}",
    "    if since < 10000000:",
    "        interval = min(2 * interval + 1, 1 << 20)",
    "    if since > 40000000:",
    "        interval = interval >> 2",
    f"    {_word(HeldRow.INTERVAL)} = interval",
    f"    {_word(HeldRow.COUNTDOWN)} = interval",
    f"    {_word(HeldRow.LOOKED)} = time",
    "    if pause[1] == 0:",
    "        pause[1] = time",
    f"    if time - pause[1] > {REST}:",
    "        pause[0] = 1",
    f"        {_word(HeldRow.TURN)} = turn",
    "        return",
)
"""Look at the clock now and then: so seldom that it costs nothing, so often that a pause comes in time."""


def _call_lines(end: str) -> list[str]:
    """The instructions up to one; a loop in one of them may have paused."""
    return [
        f"while k < {end}:",
        "    call(functions[u64(k)], table + offsets[u64(k)])",
        "    if pause[0] != 0:",
        f"        {_word(HeldRow.TURN)} = turn",
        f"        {_word(HeldRow.INSTRUCTION)} = k",
        "        return",
        "    k += 1",
    ]


def _kernel(lines: Iterable[str], choice: str = "") -> Kernel:
    """A kernel that runs others, and decides by an array of this dtype."""
    head = f"def kernel(lo, hi, {', '.join(word.split(':')[0] for word in _WORDS.split())}"
    text = f"{head}{', choice' if choice else ''}):\n" + "".join(f"    {line}\n" for line in [*_PLACE, *lines])
    return Kernel.of(text, f"{_WORDS} choice:{choice}" if choice else _WORDS, shared=True)


def loop() -> Kernel:
    """The instructions of a step, so many times."""
    return _kernel(
        [
            f"first, last = {_word(HeldRow.RANGES)}, {_word(HeldRow.RANGES + 1)}",
            "while turn < count:",
            "    if k == 0:",
            *indent_lines(indent_lines(_MOVED)),
            "        k = first",
            *indent_lines(_call_lines("last")),
            "    k = i64(0)",
            "    turn += 1",
            *indent_lines(_RESTED),
        ]
    )


def loop_while() -> Kernel:
    """The instructions of a condition, and while it holds those of a step; at the end those that come after."""
    first, middle, last, end = (_word(HeldRow.RANGES + k) for k in (0, 1, 3, 5))
    return _kernel(
        [
            f"first, middle, last, end = {first}, {middle}, {last}, {end}",
            "while True:",
            "    if k == 0:",
            *indent_lines(indent_lines(_MOVED)),
            "        k = first",
            *indent_lines(_call_lines("middle")),
            "    if k == middle and not choice[0]:",
            "        break",
            *indent_lines(_call_lines("last")),
            "    k = i64(0)",
            "    turn += 1",
            *indent_lines(_RESTED),
            "for j in range(last, end):",
            "    call(functions[u64(j)], table + offsets[u64(j)])",
        ],
        "b1",
    )


def branch(dtype: str) -> Kernel:
    """The instructions of the branch of a number; of the nearest one, where there is none of that number."""
    return _kernel(
        [
            "if k == 0:",
            "    turn = min(max(i64(choice[0]), i64(0)), count - 1)",
            f"    k = words[at + u64({HeldRow.RANGES} + 2 * turn)]",
            f"last = words[at + u64({HeldRow.RANGES + 1} + 2 * turn)]",
            *_call_lines("last"),
        ],
        dtype,
    )


@functools.cache
def clock() -> int:
    """The address of `clock_gettime`; 0 where the C library has none, and no loop pauses."""
    libc = ctypes.CDLL(None)
    return (ctypes.cast(libc.clock_gettime, ctypes.c_void_p).value or 0) if hasattr(libc, "clock_gettime") else 0
