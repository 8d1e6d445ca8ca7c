"""The long checks, and every table that the docs show, part by part: `python -m benchmarks.verify [PART …]`.

Each part takes an hour at most on two cores; the total is printed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.machine import FORCED, vector_extensions
from benchmarks.peers import ROOT

NUMERIC = ("arrays", "autodiff", "compiler", "data", "nn", "optim", "primitives", "train")
"""Folders of tests whose results come out of matrix products."""
DERIVATIVES = tuple(f"tests/{folder}" for folder in ("autodiff", "control", "explanation", "primitives"))
"""Folders of tests of rules and of what is made of them: a part of their own, being half of the long checks."""
PROCESSES = (
    "tests/compiler/test_interrupts.py", "tests/train/test_pairs.py", "tests/train/test_killed.py",
    "tests/train/test_refused_writes.py", "tests/cli/test_full_disk.py", "tests/distributed",
)  # fmt: skip
"""Tests of what ends, refuses or disturbs a process; they print how often they tried."""
DRAWS = "--hypothesis-profile=verify"
"""As many examples as `tests/conftest.py` says."""
KERNEL_NAME = "from clearprop.compiler.native.blas import kernel_name; print(kernel_name())"
HASWELL = "Haswell"
"""OpenBLAS's kernels for processors with AVX2, which most people have; newer processors can run them too."""


@dataclass(frozen=True)
class Check:
    """One command of a part: what follows `python -m`, and what its environment sets or (None) leaves out."""

    arguments: tuple[str, ...]
    environment: dict[str, str | None] = field(default_factory=dict)
    note: str = ""

    def run(self) -> bool:
        """Whether the command succeeds."""
        print(f"— {self.note or ' '.join(self.arguments)}", flush=True)
        return subprocess.run([sys.executable, "-m", *self.arguments], cwd=ROOT, env=self._variables()).returncode == 0

    def _variables(self) -> dict[str, str]:
        merged = {**os.environ, **self.environment}
        return {name: value for name, value in merged.items() if value is not None}


def checks(part: str, workers: int) -> Iterator[Check]:
    """The commands of a part."""
    pytest = ("pytest", "-n", str(workers), "--dist", "worksteal", "-m")
    if part == "tests":
        yield Check((*pytest, "verify", *(f"--ignore={path}" for path in (*PROCESSES, *DERIVATIVES))))
    elif part == "derivatives":
        yield Check((*pytest, "verify", *DERIVATIVES))
    elif part == "properties":
        yield Check((*pytest, "hypothesis and not verify", DRAWS), note="400 draws of every property, in place of 25")
    elif part == "processes":
        yield Check((*pytest, "verify", *PROCESSES))
    elif part == "kernels":
        for name, setting in kernels().items():
            folders = tuple(f"tests/{folder}" for folder in NUMERIC)
            yield Check(
                (*pytest, "not verify or dear", *folders), setting, f"the numeric tests with the BLAS kernel {name}"
            )
    elif part == "files":
        yield Check(("tests.files", "--workers", str(workers)))
    elif part == "peers":
        yield Check((*pytest, "verify", *PEER_TESTS))
        yield Check(("tests.docs.coming_from",), note="how many functions of other libraries are one call here")
    else:
        yield Check((f"benchmarks.{MODULES[part]}",))


MODULES = {
    "accuracy": "tables",
    "optimizers": "optimizers",
    "comparison": "comparison",
    "memory": "memory",
    "intervals": "intervals",
}
PARTS = ("tests", "derivatives", "properties", "kernels", "files", "processes", "peers", *MODULES)
PEER_TESTS = (
    "tests/docs/test_coming_from.py",
    "tests/docs/test_distributions_page.py",
    "tests/docs/test_singular_points.py",
    "tests/primitives/test_peers.py",
    "tests/primitives/test_jax_programs.py",
)
"""What needs PyTorch or JAX, which are installed into `.bench/`: their values and derivatives, to second order."""


def kernels() -> dict[str, dict[str, str | None]]:
    """The BLAS kernels that this processor can run, with the variables that choose each: its own, and Haswell's."""
    own: dict[str, str | None] = dict.fromkeys(FORCED)
    settings = [own]
    if "avx2" in vector_extensions():
        settings.append({**own, "OPENBLAS_CORETYPE": HASWELL})
    return {_chosen_kernel(setting): setting for setting in settings}


def _chosen_kernel(setting: dict[str, str | None]) -> str:
    """The kernel that OpenBLAS says it runs."""
    command = [sys.executable, "-c", KERNEL_NAME]
    variables = Check((), setting)._variables()
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True).stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.verify", description=__doc__)
    parser.add_argument("part", nargs="*", help=f"of {', '.join(PARTS)}; all of them if none")
    parser.add_argument("--workers", type=int, default=2, help="processes that run tests (default 2)")
    args = parser.parse_args()
    if unknown := set(args.part) - set(PARTS):
        parser.error(f"no part is named {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    minutes, failed = {}, []
    for part in args.part or PARTS:
        start = time.monotonic()
        print(f"== {part}", flush=True)
        results = [check.run() for check in checks(part, args.workers)]  # all of them, whatever fails
        if not all(results):
            failed.append(part)
        minutes[part] = (time.monotonic() - start) / 60
    for part, spent in minutes.items():
        print(f"{part:12s} {spent:6.1f} minutes" + ("   FAILED" if part in failed else ""))
    print(f"{'total':12s} {sum(minutes.values()):6.1f} minutes")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
