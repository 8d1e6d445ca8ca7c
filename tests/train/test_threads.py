"""Eight threads use one run at once: the bits that one thread gets, and no lock that stays shut."""

import numpy as np
import polars
import pytest

import clearprop as cl
from tests.explanation.test_threads import THREADS, at_once

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
KINDS = np.array(["a", "b", "c"])[RNG.integers(0, 3, 60)]

TABLE = polars.DataFrame({**{f"x{k}": X[:, k] for k in range(4)}, "kind": KINDS})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a table, whose columns are encoded, in a folder."""
    out = tmp_path_factory.mktemp("run") / "run"
    return cl.fit(cl.nn.mlp([4, 5, 3]), TABLE, epochs=2, batch_size=16, validation=0.25, out=out)


USES = {
    "predict": lambda run: run.predict(TABLE).tolist(),
    "outputs": lambda run: run.outputs(X).tobytes(),
    "evaluate": lambda run: run.evaluate(TABLE),
    "replay": lambda run: run.replay(3).digest,
    "explain": lambda run: str(cl.explain(run, "layers[0].weight", step=2, index=(0, 0))),
    "a prediction": lambda run: str(run.explain_prediction(TABLE[:1])),
    "a gradient checked": lambda run: repr(cl.check_grads(lambda x: cl.sum(run.model(x) ** 2), (X[:2].astype(float),))),
    "loaded": lambda run: cl.load(run.folder).outputs(X).tobytes(),
}


@pytest.mark.parametrize("use", USES)
def test_eight_threads_get_what_one_gets(use, run):
    alone = USES[use](run)
    assert at_once(lambda: USES[use](run)) == [alone] * THREADS


def test_eight_threads_do_all_of_it_at_once(run):
    alone = [USES[use](run) for use in USES]
    assert at_once(lambda: [USES[use](run) for use in USES]) == [alone] * THREADS
