"""The pictures of the docs: `python docs/screenshots.py` makes them with a headless Chromium."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import clearprop as cl

IMAGES = Path(__file__).parent / "images"
SCHEMES = {"dark": 0, "light": 1}


def page() -> str:
    """The worked neuron, one entry."""
    x = cl.tensor([1.0, -2.0, 3.0], name="x", requires_grad=True)
    w = cl.tensor([-3.0, -1.0, 2.0], name="w", requires_grad=True)
    b = cl.tensor(1.0, name="b", requires_grad=True)
    y = cl.relu(x @ w + b)
    return cl.explain(y, wrt=w, index=0).html()


def main() -> int:
    """Write the pictures; returns the exit code."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.stderr.write("no browser: install chromium\n")
        return 2
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.html"
        file.write_text(page(), encoding="utf-8")
        for scheme, code in SCHEMES.items():
            picture = IMAGES / f"explanation-{scheme}.png"
            subprocess.run(
                [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                 "--force-device-scale-factor=1.5", "--window-size=900,560", f"--user-data-dir={folder}/profile",
                 f"--blink-settings=preferredColorScheme={code}", f"--screenshot={picture}", file.as_uri()],
                check=True, capture_output=True,
            )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
