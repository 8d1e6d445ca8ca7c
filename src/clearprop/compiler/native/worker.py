"""A second process that compiles kernels: `python -m clearprop.compiler.native.worker FOLDER KEY …`."""

from __future__ import annotations

import sys
from pathlib import Path

from clearprop.compiler.native.cache import compile_kernel, kernel_key


def main(folder: str, keys: list[str]) -> None:
    """Compile the kernels that nobody has compiled yet, in the order given."""
    for key in keys:
        source = Path(folder) / f"kernel_{key}.py"
        text = source.read_text(encoding="utf-8")
        if kernel_key(text) == key and not source.with_suffix(".o").exists():
            compile_kernel(key, text, Path(folder))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
