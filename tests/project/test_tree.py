"""What holds for every file: short enough to read, tied to no machine, no registry and no host without reason."""

import re

import pytest

from tests.project.tree import texts

GENERATED = ("docs/primitives.md", "docs/layers.md", "docs/command-line.md", "tests/golden/")
LIMIT = 500
# What links may point to: texts that the code follows, and standards.  Package registries are not among them.
HOSTS = {
    "creativecommons.org",
    "doi.org",
    "github.com",
    "json-schema.org",
    "keepachangelog.com",
    "matplotlib.org",  # in what it writes into SVG files, as is the next
    "purl.org",
    "schemas.openxmlformats.org",  # in what workbooks hold
    "semver.org",
    "www.w3.org",
}
SILENCED = re.compile(r"#\s*(?:(?:type|pyright):\s*ignore|(?:ruff: )?noqa)")
REASON = re.compile(r"(?:ignore(?:\[[^]]*\])?|noqa(?:: ?[A-Z0-9, ]+)?)\s+[-#] \S")
MACHINE_PATH = re.compile(r"""(?<![\w.~:/>{}*)\]-])/(?:home|root|Users|work|mnt|private|var/folders)/[\w.]""")


def test_no_source_is_too_long():
    lengths = {name: text.count("\n") for name, text in texts() if name.endswith((".py", ".pyi", ".md", ".toml"))}
    assert {name: n for name, n in lengths.items() if n > LIMIT and not name.startswith(GENERATED)} == {}


def without_a_reason(text):
    """Lines that silence a finding of a tool and do not say why, behind the code of the finding."""
    return [line.strip() for line in text.splitlines() if SILENCED.search(line) and not REASON.search(line)]


def test_whoever_silences_a_finding_says_why():
    found = {
        name: lines for name, text in texts() if name.endswith((".py", ".pyi")) and (lines := without_a_reason(text))
    }
    for name in ("tests/fixtures/version_0_1/names.py", "tests/house/test_layout.py"):  # not edited; words in a string
        found.pop(name, None)
    assert found == {}


@pytest.mark.parametrize("silence", ["type: " + "ignore", "type: " + "ignore[misc, override]", "no" + "qa: E731"])
def test_a_silence_without_a_reason_is_found(silence):
    assert without_a_reason(f"x = f()  # {silence}") == [f"x = f()  # {silence}"]
    assert (
        without_a_reason(f"x = f()  # {silence} - because")
        == without_a_reason(f"x = f()  # {silence}  # because")
        == []
    )


def test_no_path_of_a_machine():
    found = {name: hit[0] for name, text in texts() if (hit := MACHINE_PATH.search(text))}
    assert found == {}


def test_the_search_for_paths_finds_them():
    assert MACHINE_PATH.search('open("' + "/" + 'home/someone/x")')
    assert not MACHINE_PATH.search("src/work/file, https://example.org" + "/" + "home/page")


def test_links_point_to_known_hosts():
    hosts = {host for _, text in texts() for host in re.findall(r"https?://([^/\s\"'`)>:,]+)", text)}
    assert hosts - HOSTS <= {"example.org"}


def test_no_trace_of_a_registry():
    word = re.compile("index" + r"[-_]url|find" + "-links|trusted" + "-host|files\\.python" + "hosted")
    assert {name: hit[0] for name, text in texts() if (hit := word.search(text))} == {}
