"""For every primitive of the registry: what is opened is what forward mode gives, entry by entry."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.program.values import raw
from tests.primitives.factory import samples
from tests.primitives.table import TABLE
from tests.tiers import later

CASES = [pytest.param(s, k, id=f"{s.row.id}-{s.case}-{k}") for r in TABLE for s in samples(r) for k in s.smooth]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Threads of BLAS in several test processes wait for one another over matrices of three rows."""
    before = cl.get_threads()
    cl.set_threads(1)
    yield
    cl.set_threads(before)


@pytest.mark.parametrize(("sample", "k"), CASES)
@pytest.mark.parametrize("most", [1, *later([4])])
def test_opened_entries_are_those_of_forward_mode(sample, k, most):
    f, primal = sample.at(sample.operands, [k]), sample.operands[k]
    rng = np.random.default_rng(0)
    for at in rng.permutation(np.size(primal))[:most]:
        unit = np.zeros(np.shape(primal))
        unit.reshape(-1)[at] = 1.0
        out, dot = cl.jvp(f, (primal,), (unit[()],))
        column, shape = np.ravel(raw(dot)), np.shape(raw(out))
        hits = np.nonzero(column)[0]
        for o in {*hits[:2], *rng.permutation(column.size)[:1]}:
            output = None if shape == () else tuple(map(int, np.unravel_index(o, shape)))
            index = tuple(map(int, np.unravel_index(at, np.shape(primal))))
            entry = cl.explain(f, 0, args=(primal,), output=output)[index]
            assert entry.total == pytest.approx(column[o], rel=1e-12, abs=1e-15)
            assert entry.rounding.holds
            if (
                0 < abs(column[o]) <= 1e-15 and entry.status == "zero"
            ):  # forward mode left rounding, where reverse has zero
                assert "cancel" in entry.reason
            else:
                assert (entry.status == "zero") == (column[o] == 0), entry.reason
            assert (entry.reason != "") == (entry.status == "zero")
