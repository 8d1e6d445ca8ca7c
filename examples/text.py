"""A network that learns which character comes next, and then writes.

    python examples/text.py                       # descriptions of scikit-learn's data sets, a few seconds
    python examples/text.py FILE.txt              # any text by a transformer, minutes on two cores
    python examples/text.py FILE.txt --lstm       # the same by an LSTM

The last tenth of a text is held out: what is told of it is the mean of −log p of its characters, in nats.
"""

import sys
import time
from pathlib import Path

import numpy as np
from sklearn import datasets

import clearprop as cl

paths = [word for word in sys.argv[1:] if not word.startswith("--")]
SMALL = ("iris", "wine", "diabetes", "breast_cancer", "digits", "linnerud")
text = Path(paths[0]).read_text() if paths else "".join(getattr(datasets, f"load_{name}")().DESCR for name in SMALL)
letters = sorted(set(text))
LENGTH, SIZE, LAYERS, EPOCHS, EVERY = (128, 128, 3, 3, 32) if paths else (32, 32, 1, 2, 8)


def windows(text, every):
    """Stretches of LENGTH characters as numbers, one begun at every so many, and for each character the next one."""
    numbers = np.searchsorted(letters, list(text)).astype(np.int32)
    rows = np.arange(0, len(numbers) - LENGTH, every)[:, None] + np.arange(LENGTH)
    return numbers[rows], numbers[rows + 1]


def network(kind):
    """A transformer, or recurrent cells between the same embedding and outputs."""
    if kind == "transformer":
        return cl.nn.transformer(len(letters), size=SIZE, layers=LAYERS, longest=LENGTH)
    cells = cl.nn.LSTM(SIZE, 2 * SIZE, rng=1)
    return cl.nn.Sequential(cl.nn.Embedding(len(letters), SIZE), cells, cl.nn.Dense(2 * SIZE, len(letters), rng=2))


def written(model, begun, count, seed=0):
    """A text of LENGTH, and so many characters more, each drawn with the probability that the network gives it."""
    draw, chances = np.random.default_rng(seed), cl.compile(lambda model, seen: cl.softmax(model(seen)[-1]))
    for _ in range(count):
        p = np.asarray(chances(model, np.searchsorted(letters, list(begun[-LENGTH:]))), float)
        begun += letters[draw.choice(len(letters), p=p / p.sum())]
    return begun


model = network("lstm" if "--lstm" in sys.argv or not paths else "transformer")
train, held = windows(text[: len(text) * 9 // 10], EVERY), windows(text[len(text) * 9 // 10 :], LENGTH)
rate = cl.optim.one_cycle(2e-3 if paths else 1e-2, steps=EPOCHS * -(-len(train[0]) // 32))
start = time.perf_counter()
run = cl.fit(model, train, loss="cross_entropy", optimizer=cl.optim.adamw(rate), epochs=EPOCHS)
print(f"{time.perf_counter() - start:.0f} s; {run.evaluate(*held)['loss']:.3f} nats per character held out")
print(written(run.model, text[:LENGTH], 500 if paths else 40)[LENGTH:])
