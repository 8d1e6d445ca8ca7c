"""What holds in every test: the engine's state is clean afterwards, and property tests repeat exactly.

Kernels that tests compile are kept from run to run, beside pytest's own cache and not in the user's.
"""

import gc
import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import just

from clearprop.compiler import threads
from clearprop.compiler.native import blas
from clearprop.program.ir import builder
from clearprop.program.values import RECORDING
from clearprop.rules import on_demand
from tests.dear import leave_to_verify
from tests.fast import MODULES

gc.disable()  # until the tests are collected: what that makes stays to the end, and is not looked through again
_REPEATABLE = {"derandomize": True, "deadline": None, "database": None, "print_blob": False}
settings.register_profile("test", max_examples=25, suppress_health_check=[HealthCheck.too_slow], **_REPEATABLE)
settings.register_profile("verify", max_examples=400, suppress_health_check=[HealthCheck.too_slow], **_REPEATABLE)
settings.load_profile("test")
on_demand.load_all()  # tables of every declaration are whole, whichever test is the first to use a name


def pytest_configure(config):
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell gives it to what it starts in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(config, "cache"):
        os.environ.setdefault("CLEARPROP_CACHE_DIR", str(config.cache.mkdir("kernels")))
    if config.getoption("markexpr", "") == "verify":
        settings.load_profile("verify")


def pytest_collection_modifyitems(items):
    fast = {Path(__file__).parent / name for name in MODULES}
    for item in items:
        if item.path in fast:
            item.add_marker(pytest.mark.fast)
    leave_to_verify(items)


@given(just(0))
def let_hypothesis_begin(_):
    """What it keeps a weak reference to must not be frozen yet: it asks the collector who else refers to it."""


def pytest_collection_finish():
    let_hypothesis_begin()
    gc.freeze()
    gc.enable()
    share_cores()


def pytest_runtest_setup():
    if blas.get_threads() > 1:  # a test has given back what it set
        share_cores()


def share_cores():
    """Workers share the cores: threads of their BLAS would wait for one another, over matrices of three rows."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        threads.set_pools(1)


SECONDS = []
"""What the workers that have ended took of the processors."""


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["seconds"] = sum(os.times()[:4])  # of the processes that it started, too


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    SECONDS.append(getattr(node, "workeroutput", {}).get("seconds", 0.0))  # what was killed tells nothing


def pytest_terminal_summary(terminalreporter):
    """What the tests took of the processors, whoever else computes; how much those have tried that count it.

    What tables of cases have tried is added up.
    """
    own = os.times()[: 2 if SECONDS else 4]  # what it waited for are workers, which tell of themselves
    terminalreporter.write_line(f"processor time: {sum(SECONDS, sum(own)):.0f} s")
    sums = Counter()
    for report in terminalreporter.getreports("passed"):
        for tried in (value for name, value in report.user_properties if name == "tried"):
            if isinstance(tried, int):
                sums[report.nodeid.partition("[")[0]] += tried
            else:
                terminalreporter.write_line(f"{report.nodeid}: {tried}")
    for test, tried in sums.items():
        terminalreporter.write_line(f"{test}: {tried:,} cases")


@pytest.fixture(autouse=True)
def clean_engine():
    """No trace is left open and recording is on, whatever the test did."""
    yield
    assert builder() is None, "a trace was left open"
    assert RECORDING.on, "recording was left off"
