"""Runs the code of a Markdown page as a reader would type it, and compares what the page shows with what happens.

A page is one session in an empty folder.  A `python` block is run; a `text` block right after it is what it printed,
or the error that it raised.  A `console` block holds lines `$ command`, each followed by its output.  In what a page
shows, `…` stands for any text within a line, and a line that is `…` alone for any lines; the width of columns is free.

A command `clearprop …` runs in this process, which has loaded everything already; a line that needs a shell gets one.
"""

import contextlib
import io
import linecache
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from clearprop.cli import main

ROOT = Path(__file__).parents[2]
_SHELL = frozenset("|&;<>$`*?")
"""Signs by which a line asks for more than one command with its words."""
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line of the page on which the text begins."""

    language: str
    text: str
    line: int
    follows: bool  # whether nothing but blank lines stands between the previous block and this one


def blocks(page):
    """The fenced blocks of a page, in their order."""
    end = 0
    for found in _FENCE.finditer(page):
        follows = end > 0 and not page[end : found.start()].strip()
        yield Block(found[1], found[2], page.count("\n", 0, found.start()) + 2, follows)
        end = found.end()


def run_page(path):
    """Run a page in the current folder; raises AssertionError where it shows what is not so."""
    session = {"__name__": "__main__"}
    found = list(blocks(path.read_text(encoding="utf-8")))
    for i, block in enumerate(found):
        shown = next((b.text for b in found[i + 1 : i + 2] if b.language == "text" and b.follows), None)
        place = f"{path.name}, line {block.line}"
        if block.language == "python":
            _run_python(block, path, session, shown, place)
        elif block.language == "console":
            _run_commands(block.text, place)


def _run_python(block, path, session, shown, place):
    name = f"{path.stem}-{block.line}.py"
    linecache.cache[name] = (len(block.text), None, block.text.splitlines(keepends=True), name)
    printed, error = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        try:
            exec(compile(block.text, name, "exec"), session)
        except Exception as problem:
            error = problem
    if error is not None and f"{type(error).__name__}: " not in (shown or ""):
        raise AssertionError(f"{place} raised {type(error).__name__}: {error}") from error
    if error is not None:
        printed.write(f"{type(error).__name__}: {error}\n".replace(name, "example.py"))
    if shown is not None:
        compare(printed.getvalue(), shown, place)


def _run_commands(text, place):
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment |= {"NO_COLOR": "1", "COLUMNS": "100"}
    for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
        words = shlex.split(command)
        ours = words[0] == "clearprop" and not _SHELL.intersection(command)
        code, printed = _run_here(words[1:], environment) if ours else _run_in_a_shell(command, environment)
        if shown:
            compare(printed, shown, f"{place}, $ {command}")
        else:
            assert code == 0, f"{place}, $ {command}: exit {code}\n{printed}"


def _run_here(arguments, environment):
    """The exit code of `clearprop ARGUMENTS`, and what it prints on both streams."""
    printed = io.StringIO()
    streams = contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed)
    with mock.patch.dict(os.environ, environment), streams[0], streams[1]:
        return main(arguments), printed.getvalue()


def _run_in_a_shell(command, environment):
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(command, shell=True, text=True, env=environment, check=False, **both)
    return done.returncode, done.stdout


def compare(happened, shown, place):
    """Raise AssertionError unless what happened is what the page shows."""
    pattern = "".join(_line_pattern(line) for line in _trimmed(shown).splitlines())
    if not re.fullmatch(pattern, _trimmed(happened)):
        raise AssertionError(f"{place} shows\n{shown}\nbut this happened\n{happened}")


def _line_pattern(line):
    if line.strip() == "…":
        return r"(?:.*\n)*?"
    return ".*?".join(map(re.escape, line.split("…"))) + "\n"


def _trimmed(text):
    """The text without what the width of a number changes: how many spaces, from two, align a column."""
    return "".join(re.sub("  +", "  ", line.rstrip()) + "\n" for line in text.rstrip().splitlines())
