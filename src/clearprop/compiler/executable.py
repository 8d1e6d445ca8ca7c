"""Executables: a binding's calls as tables of numbers, ready for the native driver."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any, NoReturn, TypeAlias

import numpy as np

from clearprop.compiler.binding import Binding, KernelCall
from clearprop.compiler.native.cache import kernel_address, module_text, prepare
from clearprop.compiler.native.control_kernels import MOVE, HeldRow
from clearprop.compiler.native.instruction_driver import (
    DATA,
    DRIVER,
    ITEMS,
    OBJECTS,
    READS_OBJECTS,
    SERVE,
    TEAM,
    driver,
    run_shares,
)
from clearprop.compiler.native.loader import register_private_blas
from clearprop.compiler.refusals import REFUSALS
from clearprop.compiler.thread_turns import Turns
from clearprop.compiler.threads import get_threads
from clearprop.program.ir import Var

Numbers: TypeAlias = np.ndarray[Any, Any]


class InstructionTable:
    """The instructions of one share: addresses of kernels, their rows, and where a row holds an array's address."""

    def __init__(self, calls: Sequence[KernelCall | None], fences: Sequence[bool]) -> None:
        self.fences, self.count = np.array(fences, np.uint8), len(calls)
        ordered, ranges = _with_held(calls)
        self.functions = np.array([0 if c is None else address_of(c) for c in ordered], np.uint64)
        offsets, begins = _layout(ordered)
        words: list[int] = []
        places: dict[Any, list[tuple[int, int]]] = {}
        for c, begin in begins.items():
            for at, var, offset in c.addresses:
                places.setdefault(var, []).append((begin + at, offset))
            words += _row_of(c, begins, ranges.get(c, []))
        self.pauses = np.array([begins[c] + HeldRow.TURN for c in ranges], np.int64)
        self.offsets = np.array(offsets, np.uint64) * np.uint64(8)
        self.words = np.array([w % 2**64 for w in words] or [0], np.uint64)
        self.places = {
            var: (np.array([p for p, _ in where]), np.array([o % 2**64 for _, o in where], np.uint64))
            for var, where in places.items()
        }
        self._begin()

    def copy(self) -> InstructionTable:
        """The same instructions, for other arrays."""
        new = copy(self)
        new.words = self.words.copy()
        new._begin()
        return new

    def _begin(self) -> None:
        self.cursor, self.pause = np.zeros(1, np.int64), np.zeros(6, np.int64)
        own = (self.words, self.functions, self.offsets, self.cursor)
        words = [0, 0, self.count, *(a.ctypes.data for a in own), 0, DATA, 0, 0, 0, 0, self.pause.ctypes.data]
        self.call = np.array(words, np.uint64)  # what the driver is told: steps, instructions, where all this is
        for name in ("words", "functions", "offsets", "cursor", "pause"):
            self.place(name, getattr(self, name).ctypes.data)

    @property
    def drive(self) -> Callable[[int], None]:
        """What runs the instructions, given the address of `call`."""
        return self._drive_in_parts if self.pauses.size else driver()

    def _drive_in_parts(self, row: int) -> None:
        """With loops among them there may be several native calls, between which Python handles signals.

        If a handler raises there, the next call begins anew.
        """
        self.pause[:] = 0
        self.words[self.pauses] = self.words[self.pauses + 1] = 0
        run = driver()
        run(row)
        while self.pause[0]:
            run(row)

    def place(self, var: Any, address: int) -> None:
        """Tell the rows where an array is."""
        where = self.places.get(var)
        if where is not None:
            positions, offsets = where
            self.words[positions] = offsets + np.uint64(address)

    def places_of(self, variables: Sequence[Any]) -> tuple[Numbers, Numbers, Numbers]:
        """Of every word that holds the address of one of these arrays: where it is, which array, and its offset."""
        where = [self.places.get(v) for v in variables]
        positions = np.concatenate([w[0] for w in where if w is not None] or [np.zeros(0, np.int64)])
        offsets = np.concatenate([w[1] for w in where if w is not None] or [np.zeros(0, np.uint64)])
        return positions, np.repeat(np.arange(len(where)), [0 if w is None else len(w[0]) for w in where]), offsets

    def place_in_calls(self, variables: Sequence[Any]) -> None:
        """Let the driver place these arrays itself, which it finds in a tuple at `self.call[OBJECTS]`."""
        positions, sources, offsets = self.places_of(variables)
        places = np.uint64(self.words.ctypes.data) + 8 * positions.astype(np.uint64)
        self._placed = (sources, offsets, places)
        self.call[:2] = 0, 1
        self.call[7] = len(places)
        self.call[OBJECTS + 1 : OBJECTS + 4] = [a.ctypes.data for a in self._placed]

    def patcher(self, variables: Sequence[Any]) -> Patch:
        """A function that places all these arrays at once, given their addresses, in this table or in a copy of it."""
        positions, sources, offsets = self.places_of(variables)

        def patch(table: InstructionTable, addresses: np.ndarray[Any, Any]) -> None:
            table.words[positions] = addresses[sources] + offsets

        return patch


Patch: TypeAlias = Callable[[InstructionTable, np.ndarray[Any, Any]], None]


def address_of(c: KernelCall) -> int:
    """The compiled kernel of a call."""
    return kernel_address(module_text(c.kernel))


def _with_held(
    calls: Sequence[KernelCall | None],
) -> tuple[list[KernelCall | None], dict[KernelCall, list[tuple[int, int]]]]:
    """The calls, and behind them those that they hold; and where each group of these stands."""
    ordered, ranges = list(calls), dict[KernelCall, list[tuple[int, int]]]()
    for c in ordered:  # which grows on the way
        if c is not None and c.held:
            ranges[c] = []
            for group in c.held:
                ranges[c].append((len(ordered), len(ordered) + len(group)))
                ordered += group
    return ordered, ranges


def _layout(calls: Sequence[KernelCall | None]) -> tuple[list[int], dict[KernelCall, int]]:
    """Where the rows begin, one after the other."""
    lengths = [0 if c is None else len(c.row) + MOVE * len(c.moves) for c in calls]
    offsets = list(itertools.accumulate(lengths, initial=0))[:-1]
    return offsets, {c: at for c, at in zip(calls, offsets, strict=True) if c is not None}


def _row_of(c: KernelCall, begins: Mapping[KernelCall, int], ranges: Sequence[tuple[int, int]]) -> list[int]:
    """The words of a call; of one that holds others with where they stand, and which of their addresses differ."""
    row, begin = list(c.row), begins[c]
    if ranges:
        row[HeldRow.AT], row[HeldRow.MANY], row[HeldRow.MOVES] = begin, len(c.moves), begin + len(c.row)
        row[HeldRow.RANGES : HeldRow.RANGES + 2 * len(ranges)] = itertools.chain(*ranges)
    for m in c.moves:
        row += [begin + m.begin, begins[m.call] + m.word, m.stride, 1 if m.alternates else -1]
    return row


class Instructions:
    """The calls of a binding as a table for each share.  They have no memory: any number of executables share them.

    `further` are modules of kernels that are needed soon, and compiled together with these.
    """

    def __init__(self, binding: Binding, further: Sequence[str] = ()) -> None:
        # A fence stands between two instructions when either is divided: one that is not may read what the other
        # share wrote, or write what it still reads.  After the last the first comes again, in the next step.
        self.binding = binding
        parallel = binding.parallel
        self.threads = binding.threads if any(parallel) else 1
        after = [p or q for p, q in zip(parallel, [*parallel[1:], *parallel[:1]], strict=True)]
        goes_on = [all(c.goes_on for c in calls if c is not None) for calls in binding.calls]
        fences = [self.threads > 1 and f and not g for f, g in zip(after, goes_on, strict=True)]
        shares = [c for t in range(self.threads) for c in binding.thread_calls(t) if c is not None]
        calls = [held for c in shares for held in c.all_calls()]
        if binding.private:
            register_private_blas()
        # the driver of two threads knows of no pauses: results would be wrong without a word
        assert self.threads == 1 or not any(c.held and c.row[HeldRow.CLOCK] for c in calls), "a loop that pauses"
        drivers = [TEAM, SERVE] if self.threads > 1 else [DRIVER]
        prepare([module_text(c.kernel) for c in calls] + drivers + list(further))
        self.tables = [InstructionTable(list(binding.thread_calls(t)), fences) for t in range(self.threads)]
        self.phases = _phases(fences, parallel)
        self._patches: dict[tuple[Any, ...], list[Patch]] = {}

    def patches(self, variables: tuple[Any, ...]) -> list[Patch]:
        """For each table what places all these arrays at once; it is made once for the same variables."""
        if variables not in self._patches:
            self._patches[variables] = [table.patcher(variables) for table in self.tables]
        return self._patches[variables]


class Executable:
    """Instructions with memory of their own, and one native loop over them; `threads` says how many shares there are.

    Two shares run side by side where `most` threads (None: `get_threads()`) allow it, else in turns on the caller's
    thread: with the same bits.
    """

    def __init__(self, instructions: Instructions, most: int | None = None) -> None:
        self.instructions, self.binding, self.threads = instructions, instructions.binding, instructions.threads
        self.most, self.turns = most, Turns()
        self.tables = [table.copy() for table in instructions.tables]
        self.status = np.zeros(1, np.int64)  # kernels that meet an impossible index say so here
        self.memory, where = self.binding.allocate()
        self.place_all({**where, "status": self.status.ctypes.data})

    def place(self, var: Any, address: int) -> None:
        """Tell all shares where an array is."""
        for table in self.tables:
            table.place(var, address)

    def place_all(self, where: Mapping[Any, int]) -> None:
        """Tell all shares where these arrays are."""
        addresses = np.array(list(where.values()), np.uint64)
        for table, patch in zip(self.tables, self.instructions.patches(tuple(where)), strict=True):
            patch(table, addresses)

    def prepare_calls(self, variables: Sequence[Var]) -> None:
        """Make ready for `call` with arrays for these variables."""
        self._variables = tuple(variables)
        self._direct: tuple[Numbers, Callable[[int], None], int] | None = None
        if self.threads == 1 and READS_OBJECTS:
            table = self.tables[0]
            table.place_in_calls(variables)
            self._direct = table.call, table.drive, table.call.ctypes.data

    def call_with(self, objects: Numbers) -> tuple[Callable[[int], None], Numbers] | None:
        """What makes one step of arrays that are named in `objects`, and its row; None where Python places them.

        `objects` holds their identities.  What a kernel refused is in `status`, which `refuse` tells.
        """
        if self._direct is None:
            return None
        row = self.tables[0].call.copy()
        row[OBJECTS] = objects.ctypes.data
        return self.tables[0].drive, row

    def call(self, arrays: Sequence[Numbers]) -> None:
        """One step on these arrays."""
        if self._direct is None:
            self.place_all({v: a.ctypes.data for v, a in zip(self._variables, arrays, strict=True)})
            self.run(0, 1)
            return
        words, drive, row = self._direct
        held = tuple(arrays)
        words[OBJECTS] = id(held) + ITEMS
        self.status[0] = 0
        drive(row)
        if self.status[0]:
            self.refuse()

    def run(self, start: int, stop: int) -> None:
        """Steps start … stop − 1 in one native call."""
        self.status[0] = 0  # an interrupted call may have left a refusal that nobody heard
        self._run(start, stop)
        if self.status[0]:
            self.refuse()

    def refuse(self) -> NoReturn:
        """Raise the error for what a kernel refused."""
        raise REFUSALS[int(self.status[0])]()

    def _run(self, start: int, stop: int) -> None:
        if self.threads == 1:
            call = self.tables[0].call
            call[:2] = start, stop
            self.tables[0].drive(call.ctypes.data)
            return
        several = (get_threads() if self.most is None else self.most) > 1
        while start < stop:
            together, steps = self.turns.next(stop - start) if several else (False, stop - start)
            began = time.perf_counter()
            reached, joined, there, late = self._run_shares(start, start + steps, together)
            if late:
                self.turns.note_late()
            elif joined == together:
                self.turns.note(together, reached - start, time.perf_counter() - began, there)
            start = reached

    def _run_shares(self, start: int, stop: int, together: bool) -> tuple[int, bool, bool, bool]:
        for table in self.tables:
            table.call[:2] = start, stop
        mine, theirs = (table.call for table in self.tables)
        return run_shares(mine, theirs, self.instructions.phases, together)


def _phases(fences: Sequence[bool], parallel: Sequence[bool]) -> np.ndarray[Any, Any]:
    """The instructions between fences: the first, the one after the last, and whether the second share has any."""
    ends = [k + 1 for k, fence in enumerate(fences) if fence or k + 1 == len(fences)]
    return np.array([(a, b, any(parallel[a:b])) for a, b in zip([0, *ends], ends, strict=False)], np.int64)
