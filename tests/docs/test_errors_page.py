"""The page of errors has a section, with an example that fails, for every exception and warning of the library."""

import pytest

import clearprop as cl
from clearprop import errors
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
CLASSES = [c.__name__ for c in vars(errors).values() if isinstance(c, type) and issubclass(c, cl.ClearpropError)]
CLASSES.remove("ClearpropError")


@pytest.mark.parametrize("name", [*CLASSES, "TrainingInterrupted", "ExecutorWarning", "DataWarning"])
def test_has_a_section(name):
    assert f"\n## {name}\n" in PAGE
    section = PAGE.split(f"\n## {name}\n")[1].split("\n## ")[0]
    assert "```" in section


@pytest.mark.parametrize("name", CLASSES)
def test_section_shows_a_failure_and_its_fix(name):
    section = PAGE.split(f"\n## {name}\n")[1].split("\n## ")[0]
    assert f"```text\n{name}: " in section
    assert section.rstrip().endswith("```") and section.split("```")[-2].startswith("python")
    base = next(b.__name__ for b in getattr(errors, name).__mro__[1:] if b.__module__ == "builtins")
    assert f"| [{name}](#{name.lower()}) | {base} |" in PAGE
