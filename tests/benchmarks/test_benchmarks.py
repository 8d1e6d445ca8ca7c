"""The measuring itself, on the smallest rows: figures come from processes, failures stay in their row."""

import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import clearprop as cl
from benchmarks import chains, contenders, cost, layers, machine, peers, report, workloads
from benchmarks.busy import busy_processors
from benchmarks.calls import clearprop, count
from benchmarks.contenders import CONTENDERS, FAMILIES, clearprop_layers, taking_part
from benchmarks.measure import Effort, Result, side_by_side
from benchmarks.peers import ORACLES, PEERS, ROOT, Installed
from benchmarks.targets import TARGETS, Target, against, against_all, against_in_median, over_floor
from tests.tiers import later

SHORT = Effort(rounds=2, seconds=0.001, starts=1, pause=0.0)


def result(name, *samples, **fields):
    return Result(name, name, samples=list(samples), modes=list(samples), **fields)


def test_a_contender_is_measured_in_its_own_process_and_a_failure_stays_in_its_row():
    row = workloads.named("W9c")
    taking = taking_part(row, {"clearprop", "autograd"})
    installed = {n: Installed(n, sys.executable) for n in ("clearprop", "autograd")}  # autograd is not there
    ours, peer = side_by_side(row, taking, installed, SHORT)
    assert len(ours.samples) == 2
    assert 0 < ours.median < 1
    assert ours.memory > 2**20
    assert ours.check == pytest.approx(6.1657, abs=1e-3)
    assert not ours.error
    assert peer.median is None
    assert peer.error == "ModuleNotFoundError: No module named 'autograd'"


def test_targets_are_judged_by_the_best_form_of_a_peer_against_our_best():
    rows = {
        "W0": {
            "clearprop.loop": result("clearprop.loop", 1.0, 2.0, 3.0),
            "clearprop.step": result("clearprop.step", 9.0),
            "jax.scan": result("jax.scan", 8.0),
            "torch.eager": result("torch.eager", 40.0, error="it failed"),
            "floor.numpy": result("floor.numpy", 1.6),
        }
    }
    assert against("W0", "jax.scan")(rows) == 4.0
    assert against("W0", "torch.")(rows) is None
    assert against_all("W0")(rows) == 4.0
    assert over_floor("W0")(rows) == 1.25
    verdicts = [t["verdict"] for t in report.judged(rows)]
    assert verdicts == ["reached", "not measured"]
    at_most = Target("W0", "", over_floor("W0"), 1.3, 1.25, at_most=True)
    assert at_most.judged(rows)["verdict"] == "goal"
    assert Target("W0", "", over_floor("W0"), 1.2, at_most=True).judged(rows)["verdict"] == "missed"


def test_the_page_shows_figures_and_errors():
    row = {
        "clearprop.loop": result("clearprop.loop", 1e-6, 2e-6, 3e-6, memory=2**20, check=0.5),
        "jax.scan": result("jax.scan", error="no JAX here"),
    }
    text = report._row("W0: small", row)
    assert "| clearprop.loop | 2 µs | 1.5 µs – 2.5 µs | 1.00× |" in text
    assert "| jax.scan | failed |" in text
    assert "- jax.scan: no JAX here" in text


def test_a_table_goes_on_where_another_run_ended(tmp_path):
    """The same page from what was written; a row that is measured again takes the place of the old one."""
    given = {"options": ["--peers jax"], "quick": False, "rounds": 5, "machine": machine.description()}
    table = report.Table(**given)
    row = {"jax.scan": result("jax.scan", 2e-6, first=[0.5], notes={"epochs": [3, 4]}, memory=2**20, check=0.5)}
    table.add("W2: second", "W2", row | {"torch.eager": result("torch.eager", error="it failed")}, 0.1)
    table.add("W0: first", "W0", {"jax.scan": result("jax.scan", 1e-6)}, 0.0)
    page = table.write(tmp_path)
    assert "Made by `python -m benchmarks --rows W0,W2 --peers jax`." in page
    assert page.index("## W0: first") < page.index("## W2: second")
    again = report.Table(**given).continued(tmp_path)
    assert again.write(tmp_path) == page and again.rows["W2"] == table.rows["W2"]
    again.add("W0: first", "W0", {"jax.scan": result("jax.scan", 9e-6)}, 0.0)
    assert "9 µs" in again.write(tmp_path) and "2 µs" in again.write(tmp_path)
    with pytest.raises(SystemExit, match="was made with rounds 5"):
        report.Table(**{**given, "rounds": 3}).continued(tmp_path)
    with pytest.raises(SystemExit, match="on another machine: its cores differ"):
        report.Table(**{**given, "machine": {**machine.description(), "cores": 99}}).continued(tmp_path)


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, ""), (0.0, "0"), (2.5e-8, "25 ns"), (1.234e-5, "12.3 µs"), (0.5, "500 ms"), (3, "3 s")]
)
def test_durations_are_three_digits_in_a_unit_that_fits(seconds, text):
    assert report.duration(seconds) == text


def test_rows_are_chosen_by_the_beginning_of_their_names():
    assert [w.name for w in workloads.chosen("W0,W6")] == ["W0", "W6v", "W6h"]
    assert workloads.chosen(None) == workloads.WORKLOADS
    with pytest.raises(SystemExit, match="no row is named W77; there are W0, W0f, W1"):
        workloads.chosen("W77")


def test_every_contender_and_target_names_what_exists():
    rows = {w.name for w in workloads.WORKLOADS}
    assert {c.family for c in CONTENDERS} == set(FAMILIES)
    assert {r for c in CONTENDERS for r in c.rows or ()} <= rows
    assert {t.row for t in TARGETS} <= rows


def test_rows_of_doors_take_full_batches_and_have_contenders():
    for w in workloads.WORKLOADS:
        if w.kind in workloads.DOORS:
            assert w.rows % w.batch == 0
            assert "clearprop.fit" in {c.name for c in taking_part(w, set(FAMILIES))}


def test_an_epoch_through_a_door_is_the_difference_of_two_lengths():
    clock, trained = [0.0], []

    def train(epochs):
        trained.append(epochs)
        clock[0] += 7.0 + 0.01 * epochs  # to set up, and per epoch
        return 0.5

    door = contenders.Door(workloads.named("W0f"), train)
    door.clock = lambda: clock[0]
    door.first()
    assert door.check == 0.5 and trained == [1], "the first call is one training"
    door.settle()
    assert door.call() == pytest.approx(0.01)
    assert trained[-2:] == [1, 1 + 25], "long enough to be measured"
    short = contenders.Door(workloads.named("W0e10"), train)
    short.first()
    short.settle()
    assert short.call() is None and trained[-2:] == [10, 10]


@pytest.mark.parametrize("name", ["C2", *later(["W0e1"])])
def test_a_door_and_a_call_are_measured(name):
    row = workloads.named(name)
    (ours,) = side_by_side(row, taking_part(row, {"clearprop"}), {"clearprop": Installed("", sys.executable)}, SHORT)
    assert not ours.error and 0 < ours.median < 60


@pytest.mark.parametrize("chain", chains.CHAINS, ids=lambda chain: chain.title)
def test_a_chain_is_the_same_for_every_contender(chain):
    """numexpr's texts by NumPy, which knows their functions by the same names."""
    given = chains.arrays("float64")
    known = {**{n: getattr(np, n) for n in NUMEXPR_FUNCTIONS}, **chains.CONSTANTS}
    known["sum"] = lambda x, axis=None: np.sum(x, axis=axis)
    texts = chain.numexpr(lambda text, **operands: eval(text, {**known, **operands}), *given)
    want = chain.f(np, *given)
    np.testing.assert_allclose(chain.f(cl, *map(cl.asarray, given)), want, rtol=1e-12)
    np.testing.assert_allclose(texts, want, rtol=1e-6)  # its constants are float32


NUMEXPR_FUNCTIONS = ("abs", "cos", "exp", "log", "log1p", "sin", "sqrt", "tanh", "where")


def test_the_target_of_chains_is_the_median_of_all_of_them():
    figure = against_in_median(workloads.CHAIN, "jax")
    names = [w.name for w in workloads.WORKLOADS if w.kind == workloads.CHAIN]
    rows = {
        name: {"clearprop.chain": result("clearprop.chain", 1.0), "jax.chain": result("jax.chain", float(k))}
        for k, name in enumerate(names, 1)
    }
    assert len(names) == 20 and figure(rows) == 10.5
    assert figure(dict(list(rows.items())[1:])) is None


def test_others_on_the_machine_are_seen():
    others = machine.Others()
    with busy_processors() as count:
        assert count >= 1
        time.sleep(0.5)
        assert others.share() > 0.2  # they are ours, but have not ended: as others would look
    assert 0 <= machine.Others().share() <= 1


def test_a_limit_holds_for_every_contender(monkeypatch):
    """What a user has set limits none of them, for it would limit that one alone."""
    monkeypatch.setenv(machine._LIMIT, "")
    for name in machine.LIMITS["avx2"]:
        monkeypatch.setenv(name, "haswell")
    assert not set(machine.LIMITS["avx2"]) & set(machine.environment())
    assert set(machine.LIMITS["avx2"]) <= set(machine.description()["unset"])
    machine.limit("avx2")
    assert machine.environment()["OPENBLAS_CORETYPE"] == "Haswell"
    assert machine.environment()["NUMBA_CPU_NAME"] == "haswell"
    assert machine.description()["kernel"] == "avx2"


def test_a_peer_is_installed_once_whoever_asks(tmp_path, monkeypatch):
    """Two that ask at the same time: one installs, the other waits and finds it there."""
    monkeypatch.setattr(peers, "FOLDER", tmp_path / ".bench")
    done = []

    def install(_):
        assert not done, "while another installs"
        time.sleep(0.05)
        done.append(True)
        return ""

    monkeypatch.setattr(peers, "_install", install)
    monkeypatch.setattr(peers, "_present", lambda _: bool(done))
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(peers._installed_by_one, [PEERS["jax"]] * 4)) == [""] * 4
    assert done == [True]


def test_peers_have_versions():
    for peer in (*PEERS.values(), *ORACLES.values()):
        assert all(re.fullmatch(r"[a-z-]+==[0-9.]+", package) for package in peer.packages)


def test_a_confidence_interval_of_a_median_is_that_of_the_binomial():
    """With 31 values, ranks 10 and 22 hold the median with 97 %, and 11 and 21 with 93 % only (Thompson's table)."""
    assert cost.interval(range(1, 32)) == (10, 22)
    assert cost.interval([3.0, 1.0, 2.0]) == (1.0, 3.0)
    drawn = np.random.default_rng(0).exponential(size=(2000, 31))
    held = [low <= np.log(2) <= high for low, high in map(cost.interval, drawn)]
    assert 0.95 <= np.mean(held) <= 0.99


def test_a_change_is_measured_on_two_sources():
    row = workloads.named("W9c")
    with cost.source(None) as here:
        found = cost.measure(row, (here, here), pairs=2, starts=1)
    assert len(found.before) == len(found.after) == 2 and min(found.before) > 0
    assert f"| {row.name}: {row.title} |" in cost.page("command", {"no change": [found]}, 2, 1)
    with pytest.raises(SystemExit, match="git knows no source of"), cost.source("no-such-commit"):
        pass


def test_batches_are_full_and_epochs_are_permutations():
    for w in workloads.WORKLOADS:
        if w.kind == workloads.TRAIN:
            order = workloads.order(w)
            assert order.shape == (w.steps, w.batch)
            assert w.rows % w.batch == 0
            assert len(set(order[: w.rows // w.batch].ravel())) == min(w.rows, order.size)


def test_from_operation_to_gradient_at_most_80_python_calls():
    assert count(clearprop()) <= 80


def test_the_peak_of_memory_is_the_programs_own():
    """A child of a process that holds a quarter of a gibibyte takes what it takes."""
    asked = "import benchmarks.machine as m; print(m.peak_memory())"
    held = f"import subprocess, sys; x = bytearray(2**28); subprocess.run([sys.executable, '-c', {asked!r}])"
    done = subprocess.run([sys.executable, "-c", held], capture_output=True, text=True, cwd=ROOT, check=True)
    assert 2**20 < int(done.stdout) < 2**27


@pytest.mark.parametrize("row", [w for w in workloads.WORKLOADS if w.kind == workloads.NET], ids=lambda row: row.name)
def test_a_network_of_layers_takes_the_weights_and_the_rows_of_all_contenders(row):
    x, y = layers.net_data(row)
    assert len(x) == len(y) == row.rows
    net, two = clearprop_layers.network(row), (x[:2], y[:2])
    with cl.no_grad():
        assert 0 < float(cl.nn.loss_named(row.loss)(net(two[0]), two[1])) < 10
