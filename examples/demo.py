"""`make demo`: two networks learn from real data, and one gradient of the second is opened and confirmed."""

import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import clearprop as cl

COMMAND = str(Path(sys.executable).with_name("clearprop"))


def say(text=""):
    """Print at once, so that it stands before what the next command prints."""
    print(text, flush=True)


def run(command, folder):
    """Show a command and run it; if it fails, the demo ends with its exit code."""
    say(f"\n$ {command}\n")
    done = subprocess.run([COMMAND, *shlex.split(command)[1:]], cwd=folder, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def main():
    """Train twice, open one gradient, say what came out."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="clearprop-demo-") as place:
        say("1. Handwritten digits: 1,797 images of 8 × 8 pixels.  Every setting is the default.")
        run("clearprop train digits --out runs/digits", place)
        digits = cl.load(Path(place) / "runs" / "digits")

        say("\n2. Penguins: a CSV file with measurements, categories and missing values.")
        run("clearprop train penguins --out runs/penguins", place)
        penguins = cl.load(Path(place) / "runs" / "penguins")

        say("\n3. One gradient, opened: of the loss of the penguin that the network is least sure of,")
        say("   for the weight of the first layer that it pulls at most.")
        row = int(np.argmin(penguins.probabilities("penguins").max(axis=1)))
        opened = cl.explain(penguins, "layers[0].weight", row=row)
        i, j = map(int, np.unravel_index(np.argmax(np.abs(opened.gradient)), opened.shape))
        run(f"clearprop explain runs/penguins --row {row} --param 'layers[0].weight[{i},{j}]' --paths 1", place)

    check = opened[i, j].check()
    say("\nWhat came out")
    say(f"  digits     test accuracy {digits.summary.test['accuracy']:.1%}")
    say(f"  penguins   test accuracy {penguins.summary.test['accuracy']:.1%}")
    verdict = "confirmed by a finite difference" if check.agrees else "NOT CONFIRMED by a finite difference"
    say(f"  gradient   {check.gradient:.6g}, {verdict}: {check.finite_difference:.6g}")
    say(f"\nDone in {time.perf_counter() - start:.0f} s.  The runs were in a temporary folder; yours stay in runs/.")
    say("Next: README.md, docs/quickstart.md, and .venv/bin/python examples/neuron.py.")
    return 0 if check.agrees else 1


if __name__ == "__main__":
    sys.exit(main())
