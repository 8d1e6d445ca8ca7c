"""Executables: a binding's calls as tables of numbers, ready for the native driver."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clearprop.compiler.binding import Binding, KernelCall
from clearprop.compiler.native.cache import kernel_address, module_text, prepare
from clearprop.compiler.native.instruction_driver import DRIVER, SERVE, TEAM, drive, run_side_by_side
from clearprop.compiler.native.loader import register_private_blas
from clearprop.compiler.refusals import REFUSALS
from clearprop.compiler.thread_turns import Turns
from clearprop.program.ir import Var


class InstructionTable:
    """The instructions of one thread: addresses of kernels, their rows, and where a row holds an array's address."""

    def __init__(self, calls: Sequence[KernelCall | None], fences: Sequence[bool]) -> None:
        self.functions = np.array([0 if c is None else address_of(c) for c in calls], np.uint64)
        self.fences = np.array(fences, np.uint8)
        offsets: list[int] = []
        words: list[int] = []
        places: dict[Any, list[tuple[int, int]]] = {}
        for c in calls:
            offsets.append(8 * len(words))
            if c is not None:
                for at, var, offset in c.addresses:
                    places.setdefault(var, []).append((len(words) + at, offset))
                words += c.row
        self.offsets = np.array(offsets, np.uint64)
        self.words = np.array([w % 2**64 for w in words] or [0], np.uint64)
        self.places = {
            var: (np.array([p for p, _ in where]), np.array([o % 2**64 for _, o in where], np.uint64))
            for var, where in places.items()
        }
        self.cursor = np.zeros(1, np.int64)
        self.call = np.zeros(10, np.uint64)  # what the driver is told; filled in when the table is complete

    def place(self, var: Any, address: int) -> None:
        """Tell the rows where an array is."""
        where = self.places.get(var)
        if where is not None:
            positions, offsets = where
            self.words[positions] = offsets + np.uint64(address)

    def patcher(self, variables: Sequence[Var]) -> Callable[[Sequence[int]], None]:
        """A function that places all these arrays at once, given their addresses."""
        where = [self.places.get(v) for v in variables]
        positions = np.concatenate([w[0] for w in where if w is not None] or [np.zeros(0, np.int64)])
        offsets = np.concatenate([w[1] for w in where if w is not None] or [np.zeros(0, np.uint64)])
        sources = np.repeat(np.arange(len(where)), [0 if w is None else len(w[0]) for w in where])
        words = self.words

        def patch(addresses: Sequence[int]) -> None:
            words[positions] = np.array(addresses, np.uint64)[sources] + offsets

        return patch


def address_of(c: KernelCall) -> int:
    """The compiled kernel of a call."""
    return kernel_address(module_text(c.kernel.text, c.kernel.parameters))


class Executable:
    """Calls of all threads, and one native loop over them."""

    def __init__(self, binding: Binding) -> None:
        # A barrier stands between two instructions when either is divided: one that is not may read what the other
        # thread wrote, or write what it still reads.  After the last the first comes again, in the next step.
        self.binding = binding
        parallel = binding.parallel
        self.threads = binding.threads if any(parallel) else 1
        after = [p or q for p, q in zip(parallel, [*parallel[1:], *parallel[:1]], strict=True)]
        fences = [self.threads > 1 and f for f in after]
        calls = [c for t in range(self.threads) for c in binding.thread_calls(t) if c is not None]
        if self.threads > 1:
            register_private_blas()
        drivers = [DRIVER, TEAM, SERVE] if self.threads > 1 else [DRIVER]
        prepare([module_text(c.kernel.text, c.kernel.parameters) for c in calls] + drivers)
        self.tables = [InstructionTable(list(binding.thread_calls(t)), fences) for t in range(self.threads)]
        self.turns = Turns()
        if self.threads > 1:  # the last table holds the shares of both, one after the other
            in_turn = [c for calls in binding.calls for c in calls if c is not None]
            self.tables.append(InstructionTable(in_turn, [False] * len(in_turn)))
        self.barrier = np.zeros(8, np.int64)
        start = binding.arena.ctypes.data
        for var, offset in binding.temporaries.items():
            self.place(var, start + offset)
        self.place("status", binding.status.ctypes.data)
        for table in self.tables:
            table.place("cursor", table.cursor.ctypes.data)
            table.call = self._describe(table)

    def place(self, var: Any, address: int) -> None:
        """Tell all threads where an array is."""
        for table in self.tables:
            table.place(var, address)

    def patcher(self, variables: Sequence[Var]) -> Callable[[Sequence[int]], None]:
        """A function that places all these arrays at once, given their addresses."""
        patches = [table.patcher(variables) for table in self.tables]
        if len(patches) == 1:
            return patches[0]

        def patch(addresses: Sequence[int]) -> None:
            for one in patches:
                one(addresses)

        return patch

    def run(self, start: int, stop: int) -> None:
        """Steps start … stop − 1 in one native call."""
        self.binding.status[0] = 0  # an interrupted call may have left a refusal that nobody heard
        self._run(start, stop)
        if self.binding.status[0]:
            refusal = REFUSALS[int(self.binding.status[0])]
            raise refusal()

    def _run(self, start: int, stop: int) -> None:
        if self.threads == 1:
            self._drive(0, start, stop)
            return
        while start < stop:
            side_by_side, steps = self.turns.next(stop - start)
            began = time.perf_counter()
            if self._ran(side_by_side, start, start + steps):
                self.turns.note(side_by_side, steps, time.perf_counter() - began)
            start += steps

    def _ran(self, side_by_side: bool, start: int, stop: int) -> bool:
        """Run the shares of both threads, and say whether in the way that was wished."""
        if not side_by_side:
            self._drive(-1, start, stop)
            return True
        for table in self.tables:
            table.call[:2] = start, stop
        mine, theirs, both = (table.call for table in self.tables)
        return run_side_by_side(mine, theirs, both, self.barrier)

    def _drive(self, thread: int, start: int, stop: int) -> None:
        t = self.tables[thread]
        t.call[:2] = start, stop
        drive(t.call)

    def _describe(self, table: InstructionTable) -> np.ndarray[Any, Any]:
        """The row of words that the driver reads."""
        arrays = (table.functions, table.offsets, table.fences, table.cursor)
        words = [0, 0, table.functions.size, table.words.ctypes.data, self.threads, self.barrier.ctypes.data]
        return np.array(words + [a.ctypes.data for a in arrays], np.uint64)
