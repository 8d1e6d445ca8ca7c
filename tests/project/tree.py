"""The files of the project."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MADE = {
    ".venv",
    ".venv-3.11",
    ".venv-3.12",
    ".venv-3.13",
    ".bench",
    ".git",
    "build",
    "dist",
    "__pycache__",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
}


def files():
    """Every file that belongs to the project: what git tracks, or without git whatever no command has made."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        found = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        found = [p for p in ROOT.rglob("*") if not MADE & set(p.relative_to(ROOT).parts)]
    return sorted(p for p in found if p.is_file())


def texts():
    """`(path, text)` of every file that is text."""
    for path in files():
        try:
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
