"""One training on several processes: the bits of one process, one voice, and an end for all where one ends."""

import json
import re
import sys
from pathlib import Path

import pytest

import clearprop as cl
from clearprop.cli import main
from clearprop.errors import RunError
from tests.data.mixed_table import saved, table
from tests.distributed.broken import train
from tests.train.conftest import bits

BROKEN = Path(__file__).parent / "broken.py"
TRAIN = ("train", "penguins", "--epochs", "2", "--hidden", "8", "--grad-shards", "4", "--batch-size", "36")


def files_of(folder):
    """What a run folder holds, but for clocks and what they made it save or count, threads and the order of files."""
    found, saved = {}, sorted(folder.glob("run/checkpoints/*"), key=lambda path: int(path.name))
    for path in sorted(folder.rglob("*")):
        if path.parent in saved[1:-1]:
            continue
        if path.suffix == ".safetensors":
            found[str(path.relative_to(folder))] = path.read_bytes()
        elif path.suffix in (".json", ".jsonl"):
            text = path.read_text(encoding="utf-8")
            text = re.sub(r'"(seconds|time|threads|bytes|seq)": ?("[^"]*"|[0-9.e-]+)', "", text)
            found[str(path.relative_to(folder))] = text.replace(str(folder.parent), "")
    return found


def test_two_processes_have_the_bits_of_one_and_one_voice(ranks, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert main([*TRAIN, "--out", "one/run"]) == 0
    alone = capsys.readouterr().out
    done = ranks(2, "-m", "clearprop", *TRAIN, "--out", "two/run")
    assert done.returncode == 0, done.stderr
    clock = r"[0-9.]+ s$"
    told = re.sub(clock, "", done.stdout.replace("two/run", "one/run"), flags=re.MULTILINE)
    assert told == re.sub(clock, "", alone, flags=re.MULTILINE)
    one, two = files_of(tmp_path / "one"), files_of(tmp_path / "two")
    assert [name for name in one if one[name] != two.get(name)] == [] and one.keys() == two.keys()
    assert any(name.endswith("optimizer.safetensors") for name in one)
    # on one process the run of two is opened as any other
    runs = [cl.load(tmp_path / name / "run") for name in ("one", "two")]
    assert bits(runs[1].replay(9).model) == bits(runs[0].replay(9).model)
    opened = [str(cl.explain(run, step=9, wrt="layers[0].bias")) for run in runs]
    assert opened[0] == opened[1] and "objective of step 9, 36 rows" in opened[1]


ANSWER = """
from clearprop.cli import main
assert main("predict run t.csv -o two.csv".split()) == 0
assert main("evaluate run t.csv --json".split()) == 0
"""


def test_two_processes_predict_and_evaluate_with_one_voice(ranks, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path, table(300), "csv")
    assert main(["train", "t.csv", "--target", "price", "--epochs", "1", "--hidden", "4", "--out", "run"]) == 0
    assert main(["predict", "run", "t.csv", "-o", "one.csv"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "run", "t.csv", "--json"]) == 0
    done = ranks(2, "-c", ANSWER)
    assert done.returncode == 0, done.stderr
    assert Path("two.csv").read_bytes() == Path("one.csv").read_bytes()
    assert done.stdout == capsys.readouterr().out


def test_what_breaks_one_ends_all_and_the_run_goes_on_with_the_same_bits(ranks, tmp_path):
    broken = ranks(2, BROKEN, "exception", "broken")
    assert broken.returncode == 1
    assert "rank 1 of 2 on " in broken.stderr and "ValueError: something broke" in broken.stderr
    assert json.loads((tmp_path / "broken/summary.json").read_text())["status"] == "running"
    assert bits(train(resume=tmp_path / "broken").last) == bits(train().last)


def test_processes_that_cannot_share_the_shards_are_told_once_and_nothing_is_written(ranks, tmp_path):
    done = ranks(2, "-m", "clearprop", "train", "penguins", "--grad-shards", "1", "--out", "run")
    assert done.returncode == 2
    assert done.stderr == (
        "2 processes cannot share 1 shard equally\n"
        "  expected  1, 2, 4, … processes, as many as shards or fewer\n"
        "  got       2 processes, --grad-shards 1\n"
        "  where     --grad-shards\n"
        "  try       --grad-shards 2\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.verify
def test_more_threads_than_processors_are_told_once_and_nothing_is_written(ranks, tmp_path):
    done = ranks(2, "-m", "clearprop", "train", "penguins", "--grad-shards", "2", "--threads", "64", "--out", "run")
    assert done.returncode == 2 and done.stderr.count("more threads than processors would make every rank slower") == 1
    assert "2 ranks of 64 threads" in done.stderr and list(tmp_path.iterdir()) == []


@pytest.fixture
def without_mpi4py(monkeypatch, tmp_path):
    """A process that a launcher started together with another one, and that has no mpi4py."""
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.chdir(tmp_path)


def test_a_launcher_without_mpi4py_is_said(without_mpi4py, tmp_path, capsys):
    assert main(["train", "iris", "--out", "run"]) == 2
    assert capsys.readouterr().err.startswith("several processes need mpi4py and an MPI library\n")
    assert list(tmp_path.iterdir()) == []


def test_a_training_alone_does_not_ask_for_mpi4py(without_mpi4py):
    assert train(world="none").steps == 30
    with pytest.raises(RunError, match="several processes need mpi4py"):
        train()


JOIN = "import clearprop as cl, clearprop.distributed as d; d.join_world()"


def test_a_launcher_of_another_mpi_is_said(ranks):
    other = ranks(0, "-c", JOIN, OMPI_COMM_WORLD_SIZE="3")
    assert "the launcher and mpi4py belong to different MPIs\n  expected  3 processes" in other.stderr


@pytest.mark.verify
@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize(
    ("how", "code", "told"),
    [
        ("exit", 3, "sys.exit(3)"),
        ("SIGKILL", 9, "Killed"),
        ("SIGSEGV", 11, "Segmentation"),
        ("SIGSTOP", 1, "Timeout (0:00:03)!"),
    ],
)
def test_however_a_rank_ends_all_end_and_the_run_goes_on(ranks, tmp_path, how, code, told, size):
    broken = ranks(size, BROKEN, how, "broken")
    codes = (code, code | 9)  # MPICH's launcher adds, bit by bit, those of ranks that it kills itself
    assert broken.returncode in codes and told in broken.stderr + broken.stdout
    assert ranks(4, BROKEN, "resume", "broken").stdout.count("steps 30") == 4
    assert bits(cl.load(tmp_path / "broken").last) == bits(train().last)


@pytest.mark.verify
@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("data", "rank 1 does not train what rank 0 does: another data"),
        ("weights", "rank 1 does not train what rank 0 does: another weights after an epoch"),
        ("batches", "rank 1 does not train what rank 0 does: another number of rows in a batch"),
    ],
)
def test_ranks_that_differ_are_found_and_named(ranks, how, told):
    done = ranks(2, BROKEN, how, "run")
    assert done.returncode == 2 and told in done.stderr
