"""The adding problem (Hochreiter & Schmidhuber 1997), learned by an LSTM.

    python examples/adding.py        # sequences of 20, seconds
    python examples/adding.py 200    # of 200, a minute

Each step has a number from 0 to 1 and a mark; two marks are 1, one in each half, and the answer is the sum of the two
marked numbers.  Who always answers 1 has a mean squared error of 1/6.
"""

import sys
import time

import numpy as np

import clearprop as cl

LENGTH = int(sys.argv[1]) if len(sys.argv) > 1 else 20
ROWS, EPOCHS, PEAK = (20_000, 8, 5e-3) if LENGTH > 20 else (1_000, 15, 2e-2)


def sequences(rows, seed):
    """Sequences (rows, LENGTH, 2) and their sums (rows, 1)."""
    rng, every = np.random.default_rng(seed), np.arange(rows)
    numbers, marks = rng.uniform(size=(rows, LENGTH)), np.zeros((rows, LENGTH))
    for first in (0, LENGTH // 2):
        marks[every, rng.integers(first, first + LENGTH // 2, rows)] = 1
    sums = (numbers * marks).sum(axis=1, keepdims=True)
    return np.stack([numbers, marks], axis=-1).astype(np.float32), sums.astype(np.float32)


train, new = sequences(ROWS, 0), sequences(1_000, 1)
net = cl.nn.Sequential(cl.nn.LSTM(2, 64, output="last", rng=0), cl.nn.Dense(64, 1, rng=1))
rate = cl.optim.one_cycle(PEAK, steps=EPOCHS * -(-ROWS // 50))
rule = cl.optim.chain(cl.optim.clip_by_norm(1.0), cl.optim.adam(rate))
start = time.perf_counter()
run = cl.fit(net, train, loss="mse", optimizer=rule, epochs=EPOCHS, batch_size=50)
error = run.evaluate(*new)["loss"]
print(f"{time.perf_counter() - start:.0f} s; mean squared error of new sequences: {error:.2g}")
