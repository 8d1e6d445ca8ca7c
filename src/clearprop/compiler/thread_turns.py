"""Side by side or in turns: how the shares of two threads run on a machine that may have other things to do.

The second thread pays while it has a processor of its own.  Where other programs want that, it may lose it in the
middle of a share, and the first waits.  So the same shares can also be run one after the other by one thread, with the
same bits.  At the first steps, and now and then after, both ways are timed; and after a share that came late the first
thread goes on alone, each time for twice as long, so that trials on a busy machine cost a few hundredths of the time.
Steps for which the second thread did not come are no trial of it: the first did both shares, in the time of both.  So
it is after a product of NumPy's, whose threads look for more work on that processor for up to a tenth of a second.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

WINDOW = 20e-3
"""Seconds over which steps are timed: beginning side by side alone takes up to one, on a machine that sleeps deeply."""
AGAIN = 1.0
"""Seconds between trials."""
GAIN = 0.95
"""Of the time in turns: a second thread that saves less than a twentieth is left to others."""
ALONE, LONGEST = 0.0125, 3.2
"""Seconds alone after the first share that came late, and at most: what others leave behind is soon over."""
PATIENCE = 0.2
"""Seconds of steps for which the second thread does not come, after which they are left to the first for a while."""
SLOWER, TIMES = 1.5, 3
"""Windows that ran side by side so much slower than ever, so often in a row, call for a trial."""


class Turns:
    """Decides, for the next steps, whether two threads run side by side."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.together = True
        self.best = math.inf  # seconds per step, side by side
        self.slow = 0
        self.tried = -math.inf
        self.rest, self.pause, self.late_at = -math.inf, ALONE, -math.inf  # alone until then; how long the next time
        self.steps, self.seconds = 0, 0.0  # of the window that is open
        self.waited = 0.0  # seconds of steps in a row for which the second thread did not come
        self._begin()

    def _begin(self) -> None:
        """Try both ways twice, in turns, so that one disturbance does not decide."""
        self.trials = [True, False, True, False]
        self.found = {True: math.inf, False: math.inf}

    def next(self, left: int) -> tuple[bool, int]:
        """Whether the next steps run side by side, and how many of those that are left."""
        if self.rest > -math.inf:
            if self.clock() < self.rest:
                return False, self._slice(left)
            self.rest = -math.inf
            if self.trials:
                self._begin()
        if not self.trials:
            return self.together, left
        return self.trials[0], self._slice(left)

    def _slice(self, left: int) -> int:
        """As many steps as the open window still takes."""
        missing = (WINDOW - self.seconds) * self.steps / self.seconds if self.steps else 1
        return max(1, min(left, math.ceil(missing)))

    def note_late(self) -> None:
        """Take in that the second thread lost its processor: alone for a while, longer if that was so before."""
        time = self.clock()
        self.pause = min(2 * self.pause, LONGEST) if time - self.late_at < 4 * self.pause else ALONE
        self.rest, self.late_at = time + self.pause, time + self.pause
        self.steps, self.seconds = 0, 0.0

    def note(self, way: bool, steps: int, seconds: float, there: bool = True) -> None:
        """Take in how long steps took, and whether the second thread was there for them, if they ran side by side."""
        if way and not there:
            self._waited_for(seconds)
            return
        self.waited = 0.0 if way else self.waited
        self.steps, self.seconds = self.steps + steps, self.seconds + seconds
        if self.seconds < WINDOW:
            return
        pace = self.seconds / self.steps
        self.steps, self.seconds = 0, 0.0
        if self.rest > -math.inf:
            return
        if way:
            self.slow = self.slow + 1 if pace > SLOWER * self.best else 0
            self.best = min(self.best, pace)
        if self.trials:
            self._tried(self.trials.pop(0), pace)
        elif self.clock() - self.tried > AGAIN and (self.slow >= TIMES or not self.together):
            self._begin()

    def _waited_for(self, seconds: float) -> None:
        self.steps, self.seconds, self.waited = 0, 0.0, self.waited + seconds
        if self.waited >= PATIENCE:
            self.together, self.trials, self.tried, self.waited = False, [], self.clock(), 0.0

    def _tried(self, way: bool, pace: float) -> None:
        self.found[way] = min(self.found[way], pace)
        if not self.trials:
            self.together = self.found[True] <= GAIN * self.found[False]
            self.tried, self.slow = self.clock(), 0
