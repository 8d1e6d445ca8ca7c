"""A hundred ranks that are killed, frozen or end otherwise: every job ends, every run goes on, no step is lost."""

import random
from pathlib import Path

import pytest

import clearprop as cl
from tests.distributed.broken import FIRST, train
from tests.train.conftest import bits

BROKEN = Path(__file__).parent / "broken.py"
ENDINGS = ("SIGKILL", "SIGSEGV", "exception", "exit")
WAYS = (*ENDINGS, "SIGSTOP", "SIGSTOP")
RUNS, EACH = 20, 5
"""So many runs break so often each."""


def told(run):
    """What is kept of every epoch, but for clocks and how many events came before."""
    return [
        {name: value for name, value in event.items() if name not in ("seconds", "time", "seq")}
        for event in run.history
    ]


@pytest.mark.verify
def test_a_hundred_breaks_lose_nothing(ranks, tmp_path):
    draw, known, broken = random.Random(0), train(), 0
    for number in range(RUNS):
        folder = f"run-{number}"
        # not the first step after an epoch's end, at which a run goes on
        steps = sorted(draw.sample([step for step in range(1, known.steps) if step % 5], EACH))
        for step in steps:
            ways = WAYS if step % 5 >= FIRST else ENDINGS  # while kernels may be compiled ranks wait for long
            how, rank, size = draw.choice(ways), draw.choice("01"), draw.choice((2, 2, 4))
            ended = ranks(size, BROKEN, how, folder, BREAK_RANK=rank, BREAK_STEP=str(step))
            assert ended.returncode != 0, (folder, step, how, ended.stdout, ended.stderr)
            broken += 1
        last = ranks(draw.choice((1, 2, 4)), BROKEN, "resume", folder)
        assert last.returncode == 0, (folder, last.stderr)
        found = cl.load(tmp_path / folder)
        assert found.status == "done" and bits(found.last) == bits(known.last) and told(found) == told(known)
    print(
        f"{broken} ranks were killed, frozen or ended otherwise; {RUNS} runs went on and have the bits of one unbroken"
    )
    assert broken == RUNS * EACH
