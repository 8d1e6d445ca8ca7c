"""`make demo` does what it says, and leaves nothing behind."""

import re
import subprocess
import sys

from tests.examples.running import EXAMPLES


def test_demo(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "demo.py")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    accuracies = [float(percent) for percent in re.findall(r"test accuracy ([\d.]+)%", done.stdout)]
    assert len(accuracies) == 2
    assert min(accuracies) >= 95
    assert "missing has a feature of its" in done.stdout
    assert re.search(r"gradient   -?[\d.e-]+, confirmed by a finite difference", done.stdout)
    assert "epoch 1/" in done.stderr
    assert list(tmp_path.iterdir()) == []
