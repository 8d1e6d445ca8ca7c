"""A contender's process.  Requests come as JSON lines on standard input, answers go to standard output.

    {"do": "prepare"}           -> {"import": s, "first": s, "cpu": s, "check": x, "blas": [...], "version": "..."}
    {"do": "time", "calls": n}  -> {"seconds": s, "calls": n}; of "clock": "process_time" where that is asked for
    {"do": "memory"}            -> {"bytes": peak resident set}
    {"do": "stop"}

A failure is answered with {"error": "..."}; the process then waits for "stop".
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from typing import Any

from benchmarks.contenders import CONTENDERS, Runner
from benchmarks.machine import peak_memory
from benchmarks.workloads import named


class Worker:
    def __init__(self, contender: str, row: str) -> None:
        self.contender = next(c for c in CONTENDERS if c.name == contender)
        self.workload = named(row)
        self.runner: Runner | None = None

    def prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        start = time.perf_counter()
        family = importlib.import_module(f"benchmarks.contenders.{self.contender.family}_")
        imported = time.perf_counter()
        prepared = family.prepare(self.workload)
        began, cpu = time.perf_counter(), time.process_time()
        self.runner = family.build(self.contender.form, self.workload, prepared)
        self.runner.first()
        first, cpu = time.perf_counter() - began, time.process_time() - cpu
        self.runner.settle()
        return {
            "import": imported - start,
            "first": first,
            "cpu": cpu,
            "check": self.runner.check,
            "blas": getattr(family, "ENGINE", None) or blas(),
            "version": family.VERSION,
        }

    def time(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.runner is not None
        call, calls = self.runner.call, request["calls"]
        clock = self.runner.clock = getattr(time, request.get("clock", "perf_counter"))
        call()  # caches and thread pools as in the middle of a run
        parts = 0.0
        start = clock()
        for _ in range(calls):
            parts += call() or 0.0
        whole = clock() - start
        return {"seconds": parts or whole, "wall": whole, "calls": calls}

    def memory(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"bytes": peak_memory()}


def blas() -> list[str]:
    """The BLAS libraries that this process has loaded, with the kernels they chose and their threads."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return []
    return sorted(
        f"{i['internal_api']} {i.get('version') or ''} {i.get('architecture') or ''} x{i['num_threads']}".replace(
            "  ", " "
        )
        for i in threadpool_info()
        if i["user_api"] == "blas"
    )


def main() -> None:
    """Answer until told to stop.  Whatever else prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker(sys.argv[1], sys.argv[2])
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "stop":
            return
        try:
            answer = getattr(worker, request["do"])(request)
        except BaseException as error:  # a contender may fail in any way; the row reports it and the rest runs
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
