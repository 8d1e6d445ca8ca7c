"""Run an example as a reader would, once, and keep what it printed and computed."""

import contextlib
import functools
import io
import runpy
import sys
from pathlib import Path
from unittest import mock

EXAMPLES = Path(__file__).parents[2] / "examples"


@functools.cache
def ran(name):
    """`(output, variables)` of an example."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), mock.patch.object(sys, "argv", [f"{name}.py"]):
        variables = runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    return printed.getvalue(), variables


def functions_of(name):
    """What an example defines, without what it does when it is run."""
    return runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name=name)


def rounded_as(printed, value):
    """Whether the value, rounded to as many decimals as the printed number has, is that number."""
    return f"{float(value):.{len(printed.partition('.')[2])}f}" == printed
