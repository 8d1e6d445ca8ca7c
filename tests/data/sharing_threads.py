"""Threads in place of the processes that share a table."""

import threading
from concurrent.futures import ThreadPoolExecutor

from clearprop.errors import ClearpropError

LIMIT = 60.0
"""Seconds after which a thread that waits for another gives up."""


class Threads:
    """Threads in place of processes: what each does of those who share a table."""

    def __init__(self, rank, size, common):
        self.rank, self.size, self.common = rank, size, common

    def each(self, work):
        turn, told = self.common
        try:
            told[self.rank] = work(), None
        except ClearpropError as problem:
            told[self.rank] = None, problem
        turn.wait(LIMIT)
        found = list(told)
        turn.wait(LIMIT)
        for _, problem in found:
            if problem is not None:
                raise problem
        return [value for value, _ in found]

    def lead(self, decide):
        return self.each(decide if self.rank == 0 else lambda: None)[0]

    def beat(self):
        pass


def together(size, work):
    """What `work(ranks)` gives in each of so many threads."""
    common = threading.Barrier(size), [None] * size
    with ThreadPoolExecutor(size) as pool:
        waiting = [pool.submit(work, Threads(rank, size, common)) for rank in range(size)]
        return [each.result(LIMIT) for each in waiting]
