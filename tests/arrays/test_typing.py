"""Type checkers know what functions return: mypy reads typical code and finds nothing unknown."""

import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT


@pytest.mark.verify
def test_typical_code_has_types(tmp_path):
    api = pytest.importorskip("mypy.api", reason="mypy is installed by clearprop[check]")
    file = Path(__file__).with_name("typed_use.py")
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path)]
    options += ["--python-executable", sys.executable, "--disallow-any-unimported"]
    said, errors, code = api.run([*options, str(file)])
    assert code == 0, said + errors
