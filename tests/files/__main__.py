"""Ten thousand hostile files, read by processes whose time and memory are limited; prints what came of them.

python -m tests.files [--count 10000] [--workers 2] [--seed 1]
"""

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.files.limits import MEMORY, SECONDS, fuzz


def main():
    parser = argparse.ArgumentParser("python -m tests.files", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    began = time.monotonic()
    with ThreadPoolExecutor(asked.workers) as pool:
        parts = list(pool.map(lambda k: fuzz(asked.seed, k, asked.count - k, asked.workers), range(asked.workers)))
    told = sum((part.told for part in parts), Counter())
    failures = sorted(failure for part in parts for failure in part.failures)
    for kind, what in sorted({(k, w) for k, w, _ in told}):
        ends = [f"{told[kind, what, end]:5} {end}" for end in ("refused", "harmless", "failed")]
        print(f"{kind:7} {what:16} " + "  ".join(ends))
    for number, kind, what, *wrong in failures:
        print(f"case {number} of seed {asked.seed} ({kind}, {what}):", *wrong, sep="\n  ")
    minutes, mebi = (time.monotonic() - began) / 60, 2**20
    peak, slowest = max(part.peak for part in parts), max(part.slowest for part in parts)
    print(f"{sum(told.values()):,} files in {minutes:.1f} minutes, {len(failures)} failures")
    print(f"peak of resident memory {peak / mebi:,.0f} MiB (at most {MEMORY / mebi:,.0f})")
    print(f"slowest {slowest:.1f} s (at most {SECONDS})")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
