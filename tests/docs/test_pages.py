"""Every page of the documentation is run, and what it shows is what happens."""

import pytest

from tests.docs.pages import ROOT, compare, run_page

GENERATED = {"primitives.md", "layers.md", "command-line.md"}
DESIGN = {"design.md", "semantics.md"}
OF_PYTORCH = {"pytorch-models.md"}  # run where PyTorch is, by tests/interop/test_torch_modules.py
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")]
PAGES += sorted(page for page in ROOT.glob("docs/**/*.md") if page.name not in GENERATED | DESIGN | OF_PYTORCH)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_is_true(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_page(page)


def _page(tmp_path, text):
    path = tmp_path / "page.md"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "```python\nprint(1)\n```\n\n```text\n2\n```\n",
        "```python\n1 / 0\n```\n",
        "```python\n1 / 0\n```\n```text\nValueError: no\n```\n",
        "```python\nx = 1\n```\n```text\nsomething printed\n```\n",
        "```console\n$ echo a\nb\n```\n",
        "```console\n$ false\n```\n",
    ],
)
def test_a_page_that_is_not_true_fails(tmp_path, text):
    with pytest.raises(AssertionError, match=r"page\.md, line 2"):
        run_page(_page(tmp_path, text))


def test_a_true_page_passes(tmp_path):
    text = "```python\nprint(1, 2.5)\nprint('a')\nprint('b')\n```\nSo:\n```console\n$ echo a 17 c\na … c\n```\n"
    run_page(_page(tmp_path, text))
    compare("first\n17\n18\nlast 3 s\n", "first\n…\nlast … s\n", "here")


def test_blocks_share_a_session_and_errors_name_the_example(tmp_path):
    run_page(
        _page(
            tmp_path,
            "```python\nimport clearprop as cl\n```\n```python\ncl.ones(2) @ cl.ones(3)\n```\n```text\n"
            "ShapeError: matmul cannot multiply vectors of different length\n  expected  equal lengths\n"
            "  got       2 and 3\n  where     example.py:1  cl.ones(2) @ cl.ones(3)\n```\n",
        )
    )
