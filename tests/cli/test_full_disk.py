"""Commands whose files, or whose output, a full disk refuses: one error, exit 2, and no half of a file."""

import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from clearprop.charts import chart, svg
from tests.files.faults import FULL, READ_ONLY, Disk, faults, numbers_to_refuse

TRAIN = ("train", "iris", "--epochs", "2", "--hidden", "4")
DOORS = {
    "train": (*TRAIN, "--out", "new/run"),
    "resume": ("train", "--resume", "new/kept", "--epochs", "3"),
    "fork": ("train", "--fork", "kept@2", "--epochs", "3", "--out", "new/fork"),
    "predict": ("predict", "kept", "flowers.csv", "--out", "new/predicted.csv"),
    "export": ("export", "kept", "--out", "new/network.py"),
    "weights": ("export", "kept", "--format", "safetensors", "--out", "new/network.safetensors"),
    "report": ("report", "kept", "--out", "new/report.html"),
    "plots": ("report", "kept", "--out", "new/report.html", "--plots", "new/plots"),
    "explain": ("explain", "kept", "--out", "new/gradient.txt"),
    "compare": ("compare", "kept", "kept", "--out", "new/side"),
}


@pytest.fixture
def kept(eager, command):
    """A finished run in `kept`, and a table for it."""
    assert command(*TRAIN, "--out", "kept").code == 0
    Path("flowers.csv").write_text(
        "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)\n5.1,3.5,1.4,0.2\n"
    )


TRAINING = ("train", "resume", "fork")
"""Doors whose runs go on after a refusal."""
PICTURES = {}


@pytest.fixture
def drawn_once(monkeypatch):
    """A chart that is drawn again is the picture of before: it is the writes that are tried, many times."""
    draw_figure = chart.draw_figure

    class Picture:
        def __init__(self, charts, titled):
            self.charts, self.titled = charts, titled

        def savefig(self, file, **options):
            key = (repr(self.charts), self.titled, options["format"])
            if key not in PICTURES:
                picture = type(file)()
                with draw_figure(*self.charts, titled=self.titled) as figure:
                    figure.savefig(picture, **options)
                PICTURES[key] = picture.getvalue()
            file.write(PICTURES[key])

    @contextmanager
    def drawing(*charts, titled):
        yield Picture(charts, titled)

    for module in (chart, svg):
        monkeypatch.setattr(module, "draw_figure", drawing)


WRITES = [
    (FULL, None),
    pytest.param((FULL, 1), marks=pytest.mark.verify),
    pytest.param((READ_ONLY, 1), marks=pytest.mark.verify),
]
"""The error, and that every so many-th write is tried beside some of each kind."""


@pytest.mark.usefixtures("drawn_once")
@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize("writes", WRITES, ids=["some", "every", "every, read-only"])
def test_writes_of_a_command_may_be_refused(name, writes, kept, command, monkeypatch):
    new = Path("new").resolve()
    number, step = writes

    def run(at=None):
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        shutil.copytree("kept", new / "kept")
        with faults(monkeypatch, Disk(new, at, number)) as disk:
            return command(*DOORS[name]), disk.kinds

    done, kinds = run()
    assert done.code == 0 and len(kinds) >= 3
    for at in numbers_to_refuse(kinds, step):
        (code, out, err), _ = run(at)
        assert code == 2, f"write {at}: {code} {out} {err}"
        assert err.count("  expected  ") == err.count("  try       ") == 1, f"write {at}: {err}"
        assert "Traceback" not in err, f"write {at}: {err}"
        assert not [p for p in new.rglob(".*") if "partial" in p.name], f"write {at}"
        for folder in (new / "run", new / "fork", new / "kept"):
            if name in TRAINING and folder.exists():
                assert command("train", "--resume", folder, "--epochs", "3").code == 0, f"write {at}"


PRINTING = {
    "version": ("--version",),
    "predict": ("predict", "kept", "flowers.csv"),
    "train --json": (*TRAIN, "--out", "new", "--json"),
}
LONGER = {
    "help": ("--help",),
    "config": ("config",),
    "train": (*TRAIN, "--out", "new"),
    "evaluate": ("evaluate", "kept", "iris", "--json"),
    "explain": ("explain", "kept"),
    "export": ("export", "kept", "--out", "network.py"),
    "report": ("report", "kept", "--out", "page.html"),
    "lesson": ("lesson",),
    "check": ("check", "kept"),
    "compare": ("compare", "kept", "kept"),
}
ALL = [*PRINTING.values(), *(pytest.param(v, marks=pytest.mark.verify) for v in LONGER.values())]


def shell(line):
    """A line of the shell, in which `clearprop` is ours."""
    command = line.replace("clearprop", f"{sys.executable} -m clearprop", 1)
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.parametrize("words", ALL, ids=[*PRINTING, *LONGER])
def test_output_may_be_refused(words, kept):
    done = shell(f"clearprop {' '.join(words)} >/dev/full")
    assert done.returncode == 2
    *before, headline, _, got, _, _ = done.stderr.splitlines()
    assert headline == "cannot write the output"
    assert got == "  got       No space left on device"
    assert not [line for line in before if not line.startswith("epoch ")]
    if words[0] == "train" and "--json" in words:
        assert shell("clearprop train --resume new").returncode == 0


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("clearprop --version >&-", 0),
        ("clearprop predict nothing flowers.csv 2>/dev/full", 2),
        ("clearprop predict kept flowers.csv --out new.csv >&- 2>&- <&-", 0),
    ],
)
def test_streams_may_be_closed_or_full(line, code, kept):
    done = shell(line)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")
    if "new.csv" in line:
        assert Path("new.csv").read_text().startswith("row,target,")


def test_a_training_whose_reader_goes_is_done_in_silence(kept):
    """`| head` closes what is printed to; rich would end the process, and the run with it."""
    done = shell("{ clearprop train iris --epochs 3 --hidden 4 --out piped 2>&1; echo $? > code; } | head -1")
    assert len(done.stdout.splitlines()) == 1 and Path("code").read_text() == "0\n"
    assert Path("piped/model.safetensors").exists()


@pytest.mark.parametrize(
    ("variables", "arrow"), [("LC_ALL=C PYTHONUTF8=0", "→"), ("PYTHONIOENCODING=latin-1", "\\u2192")]
)
def test_a_locale_without_our_characters_is_written_to(variables, arrow, kept):
    done = shell(f"{variables} clearprop train iris --epochs 1 --hidden 4 --out new 2>&1")
    assert done.returncode == 0 and f"4 {arrow} 4 {arrow} 3" in done.stdout
