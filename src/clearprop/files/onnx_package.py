"""The package `onnx`, imported when a model is loaded or written, and said to be missing when it is."""

from __future__ import annotations

from typing import Any

from clearprop.errors import ArgumentError, user_line


def onnx_package() -> Any:
    """The package; raises ArgumentError, with what to install, if it is not there."""
    try:
        import onnx
        import onnx.numpy_helper
    except ImportError:
        raise ArgumentError(
            "ONNX models need the package onnx",
            expected="onnx 1.19 or later",
            got="it is not installed",
            where=user_line(),
            try_='pip install "clearprop[onnx]"',
        ) from None
    return onnx
