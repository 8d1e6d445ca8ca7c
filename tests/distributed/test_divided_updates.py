"""Updates that ranks of one machine divide among them: which they are, and that they have the bits of one process."""

import json
from pathlib import Path

import pytest

import clearprop as cl
from clearprop import optim
from tests.distributed.conftest import LONG
from tests.optim.test_compiled import OPTIMIZERS

SCRIPT = """
import json, os, sys
import numpy as np
import clearprop as cl
from clearprop.train.native_shards import NativeParts
from tests.optim.test_compiled import OPTIMIZERS

sizes, out, begin = json.loads(sys.argv[1]), sys.argv[2], NativeParts.begin
rng = np.random.default_rng(0)
x, y = rng.normal(size=(80, sizes[0])).astype(np.float32), rng.integers(0, sizes[-1], 80)
found = {}

def told(self, state):
    found.setdefault(name, self.division is not None)
    return begin(self, state)

NativeParts.begin = told
for name in sys.argv[3:]:
    rule = OPTIMIZERS[name[1:]] if name[0] == "+" else cl.optim.by_name(name)
    options = {"epochs": 2, "grad_shards": 4, "checkpoint_seconds": 0.0, "progress": False, "out": f"{out}/{name}"}
    rows = 80 if name.strip("+") in ("lbfgs", "rprop") else 32
    run = cl.fit(cl.nn.mlp(sizes, seed=0), (x, y), optimizer=rule, batch_size=rows, **options)
    # by itself each rank updates whole arrays, by a program that is known for its rows of them
    alone = options | {"world": "none", "out": None}
    again = cl.fit(cl.nn.mlp(sizes, seed=0), (x, y), optimizer=rule, batch_size=rows, **alone)
    found[f"{name} again"] = again.replay(again.steps).digest == run.replay(run.steps).digest
    assert run.replay(1).digest == again.replay(1).digest
if os.environ.get("PMI_RANK", "0") == "0":
    print(json.dumps(found))
"""
PATH = f"{Path(cl.__file__).parents[1]}:{Path(__file__).parents[2]}"
"""Where ranks find the package and these tests."""
EVEN, ODD = [64, 96, 10], [136, 131, 3]
"""Sizes of networks: rows of any number are aligned, or only so many together."""
ELEMENTWISE = {"adam", "adamw", "sgd", "+nadam", "+lion", "+rprop"}
WHOLE = {"muon", "adafactor", "+adamw", "+rmsprop"}
"""Updates that look at numbers alone, and some that look at a whole array, or at all."""


@pytest.mark.parametrize(
    ("counts", "sizes", "names"),
    [
        ((2,), EVEN, ["adam", "+adamw"]),
        pytest.param((2, 4), EVEN, None, marks=pytest.mark.verify),
        pytest.param((2, 4), ODD, None, marks=pytest.mark.verify),
    ],
)
def test_divided_updates_have_the_bits_of_one_process(ranks, tmp_path, counts, sizes, names):
    """Of all optimizers that can learn from shards, where no names are given."""
    told, names = {}, names or [*filter(has_shards, optim.optimizers()), *(f"+{name}" for name in OPTIMIZERS)]
    for count in (0, *counts):
        done = ranks(count, "-c", SCRIPT, json.dumps(sizes), f"on-{count}", *names, PYTHONPATH=PATH, limit=LONG)
        assert done.returncode == 0, done.stderr
        told[count] = json.loads(done.stdout)
    for count in counts:
        assert all(told[count][f"{name} again"] for name in names)
        assert {name: divided for name, divided in told[count].items() if name in ELEMENTWISE | WHOLE} == {
            name: name in ELEMENTWISE for name in names if name in ELEMENTWISE | WHOLE
        }
        for folder in sorted((tmp_path / "on-0").iterdir()):
            one, many = (arrays_of(tmp_path / f"on-{n}" / folder.name) for n in (0, count))
            assert one == many and one, folder.name


def has_shards(name):
    return not {"f", "hvp"} & set(optim.by_name(name).needs)


def arrays_of(run):
    """The last network and the optimizer's state of a run, as their files hold them."""
    last = max(run.glob("checkpoints/*"), key=lambda path: int(path.name))
    return {path.name: path.read_bytes() for path in last.glob("*.safetensors")}
