"""The same training with and without a run folder (events, history, checkpoints), in turns."""

import json
import sys
import tempfile
import time
from pathlib import Path

import clearprop as cl
from benchmarks.digits.common import BATCH, RATE, SIZES, arguments

data, pairs = arguments()
epochs = int(sys.argv[3])


def train(out):
    start = time.perf_counter()
    cl.fit(
        cl.nn.mlp(list(SIZES)), (data["x_train"], data["y_train"]), optimizer=cl.optim.adam(RATE), batch_size=BATCH,
        epochs=epochs, validation=(data["x_val"], data["y_val"]), metrics=["accuracy"], out=out,
    )  # fmt: skip
    return time.perf_counter() - start


train(None)  # compiles
plain, recorded = [], []
with tempfile.TemporaryDirectory() as folder:
    for number in range(pairs):
        if number % 2:  # each comes first as often as the other
            plain.append(train(None))
        recorded.append(train(Path(folder) / str(number)))
        if not number % 2:
            plain.append(train(None))
print(json.dumps({"plain": plain, "recorded": recorded}))
