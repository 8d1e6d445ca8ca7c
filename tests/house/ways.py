"""How many files of the package a reader passes: those whose functions run, counted in a fresh process."""

import subprocess
import sys

COUNT = """
import sys
from pathlib import Path

import clearprop as cl

PACKAGE = str(Path(cl.__file__).parent)
{before}
entered = set()


def watch(frame, event, _):
    code = frame.f_code
    if event == "call" and code.co_name != "<module>" and code.co_filename.startswith(PACKAGE):
        entered.add(code.co_filename[len(PACKAGE) + 1 :])


sys.setprofile(watch)
{walk}
sys.setprofile(None)
print(*sorted(entered))
"""
NEURON = """
cl.explain  # loads what it needs
x = cl.tensor([1.0, -2.0, 3.0], name="x", requires_grad=True)
w = cl.tensor([-3.0, -1.0, 2.0], name="w", requires_grad=True)
b = cl.tensor(1.0, name="b", requires_grad=True)
y = cl.relu(x @ w + b)
"""
COMMAND = """
import clearprop.cli.app, clearprop.cli.train, clearprop.cli.train_session
cl.optim.adam  # loads what it needs
import contextlib, io, os, tempfile
from clearprop.cli import main
from clearprop.compiler.epoch_loop import NativeLoop
os.chdir(tempfile.mkdtemp())


def stopping(function):
    def stop(*arguments):
        sys.setprofile(None)
        return function(*arguments)

    return stop


# native code begins where kernels are compiled, or where an order of rows is drawn: whichever comes first
NativeLoop.prepare = stopping(NativeLoop.prepare)
NativeLoop.order = staticmethod(stopping(NativeLoop.order))
"""
TRAIN = """
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    main(["train", PACKAGE + "/data/datasets/penguins.csv", "--epochs", "1", "--out", "run"])
"""


def files_entered(before, walk):
    """Files whose functions `walk` calls, after `before`; bodies of modules, which imports run, do not count."""
    code = COUNT.format(before=before, walk=walk)
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(out.stdout.split())


def by_an_explanation():
    """The files that an explanation of the neuron passes."""
    return files_entered(NEURON, "str(cl.explain(y, wrt=w))")


def by_a_training():
    """The files that a training of the penguins passes, from the command line to its first native call."""
    return files_entered(COMMAND, TRAIN)
