"""The application: which commands there are, and what becomes of errors."""

from __future__ import annotations

import codecs
import errno
import functools
import inspect
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand
from typer.main import get_command

from clearprop import __version__
from clearprop.cli.exit_codes import DONE, FAULT, INTERRUPTED, MISTAKE
from clearprop.errors import ArgumentError, ClearpropError, printable, unknown_name
from clearprop.program.processes import without_collector

NAME = "clearprop"
_HELP = """Train neural networks on your data, and see how they learn.

Start with `clearprop train digits`, or with a CSV file: `clearprop train houses.csv`."""
_EPILOG = """Exit codes: 0 done, 1 a fault of clearprop, 2 a mistake in what was asked, 130 interrupted."""

COMMANDS = (
    "train",
    "predict",
    "evaluate",
    "explain",
    "importance",
    "compare",
    "sweep",
    "report",
    "export",
    "lesson",
    "check",
    "config",
)
"""The subcommands: each is a function of its name in the module of its name, which is loaded when it is asked for."""
_WITHOUT_THREADS = ("sweep", "export", "config")
_Threads = Annotated[
    str | None,
    typer.Option("--threads", metavar="N", help="The most threads to use; by default one for each processor."),
]


def with_threads(command: Callable[..., int]) -> Callable[..., int]:
    """The command with an option for the number of native threads, for this process alone: no run keeps it."""

    @functools.wraps(command)
    def call(*, threads: str | None = None, **given: Any) -> int:
        if threads is not None:
            from clearprop.compiler import set_threads, thread_count  # start-up time: BLAS is asked for

            set_threads(thread_count(threads, "--threads"))
        return command(**given)

    hints = inspect.get_annotations(command, eval_str=True)
    known = inspect.signature(command).parameters.values()
    parameters = [p.replace(kind=p.KEYWORD_ONLY, annotation=hints[p.name]) for p in known]
    parameters.append(inspect.Parameter("threads", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_Threads))
    call.__signature__ = inspect.Signature(parameters, return_annotation=int)  # type: ignore[attr-defined]  # as above
    call.__annotations__ = {**hints, "threads": _Threads}
    return call


def command_named(name: str) -> Callable[..., int]:
    """The function behind a subcommand.

    >>> command_named("predict").__name__
    'predict'
    """
    command: Callable[..., int] = getattr(import_module(f"clearprop.cli.{name}"), name)
    return command if name in _WITHOUT_THREADS else with_threads(command)


class EachOnce(TyperCommand):
    """A command that refuses an option which is given twice: the last of two would win without a word.

    >>> from clearprop.cli import main
    >>> main(["train", "digits", "--epochs", "1", "--epochs", "2"])  # prints the refusal on stderr
    2
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments; ArgumentError for an option that comes twice."""
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        met: set[Any] = set()
        for parameter in order:
            if parameter in met and not ctx.resilient_parsing and not getattr(parameter, "multiple", True):
                raise _twice(parameter, ctx)
            met.add(parameter)
        return super().parse_args(ctx, args)


def _twice(parameter: Any, ctx: Any) -> ArgumentError:
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return ArgumentError(
        f"{parameter.opts[0]} is given twice",
        expected="each option once",
        got=f"{names}: two values, of which one would be lost",
        where=ctx.command_path,
        try_="leave one of them out",
    )


def app_of(names: Sequence[str]) -> typer.Typer:
    """The application with these subcommands.

    >>> [command.callback.__name__ for command in app_of(["check", "config"]).registered_commands]
    ['check', 'config']
    """
    made = typer.Typer(
        name=NAME,
        help=_HELP,
        epilog=_EPILOG,
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )
    made.callback(invoke_without_command=True)(_start)
    for name in names:
        made.command(cls=EachOnce)(command_named(name))
    return made


def __getattr__(name: str) -> Any:
    """`app`, the application with all subcommands, which are loaded for it."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return app_of(COMMANDS)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"{NAME} {__version__}")
        raise typer.Exit


def _start(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


_SHORT: Mapping[str, tuple[str, ...]] = {"--no-header": ("--header", "no")}
"""Words that stand for an option with its value."""


def main(args: Sequence[str] | None = None) -> int:
    """Run a command line (default: that of the process); the exit code.  A mistake is one message on stderr."""
    _open_streams()
    given = [part for word in (sys.argv[1:] if args is None else args) for part in _SHORT.get(word, (word,))]
    try:
        asked = given[:1] if given[:1] and given[0] in COMMANDS else COMMANDS  # start-up time: most need one command
        with without_collector():
            command = get_command(app_of(asked))
        with _warnings_as_sentences():
            code = command(given, prog_name=NAME, standalone_mode=False)
        sys.stdout.flush()  # here a full disk can still be told, and at the end of the process no more
        return code if isinstance(code, int) else DONE
    except ClearpropError as mistake:
        return _say(mistake.message, MISTAKE)
    except typer.Abort:
        return INTERRUPTED
    except KeyboardInterrupt:
        return _say("interrupted", INTERRUPTED)
    except BrokenPipeError:
        _drop_output()
        return DONE
    except MemoryError:
        return _say(_NO_MEMORY.message, MISTAKE)
    except OSError as problem:
        if problem.filename is not None:
            return _say(_refused_file(problem).message, MISTAKE)
        if problem.errno not in _REFUSED:
            return _say(_fault(problem), FAULT)
        _drop_output()
        return _say(_refused_output(problem).message, MISTAKE)
    except Exception as problem:
        usage = getattr(problem, "format_message", None)
        if usage is not None:
            return _say(_usage(problem, usage()), MISTAKE)
        return _say(_fault(problem), FAULT)


@contextmanager
def _warnings_as_sentences() -> Iterator[None]:
    """Tell what the library warns of on stderr as a sentence: the line of the source at which it does is no user's."""
    before = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **further: Any) -> None:
        if issubclass(category, UserWarning):
            _say(printable(str(message).partition("\n")[0]), DONE)
        else:
            before(message, category, *place, **further)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


def _open_streams() -> None:
    """What a shell has closed (`>&-`) is opened again, to nowhere: or the next file would be taken for it.

    Where the locale writes fewer characters than we do, those are written by others.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("r" if name == "stdin" else "w"))  # noqa: SIM115 - as long as we run
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and "utf" not in stream.encoding.lower():
            # what a locale cannot write is escaped; the C locale says nothing of an encoding, and files are UTF-8
            stream.reconfigure(encoding="utf-8" if "ascii" in _codec(stream) else None, errors="backslashreplace")


def _codec(stream: TextIOWrapper) -> str:
    return codecs.lookup(stream.encoding).name


_REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""What a system says where stdout or stderr, which have no name, is a file on a full or broken disk."""


def _drop_output() -> None:
    """Send what is printed from now on, and what waits to be written, nowhere: it would be tried at the end again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refused_output(problem: OSError) -> ClearpropError:
    return ClearpropError(
        "cannot write the output",
        expected="a terminal, a pipe, or a file on a disk with space left, after >",
        got=problem.strerror or type(problem).__name__,
        where="stdout",
        try_="free some space, or send it elsewhere; files that were written before are whole",
    )


_NO_MEMORY = ClearpropError(
    "there is not enough memory for this",
    expected="data and a network that fit into the memory that is free",
    got="the system gave no more",
    try_="fewer rows or columns, a smaller --batch-size, or --memory 500MB for files that can be streamed",
)


def _refused_file(problem: OSError) -> ClearpropError:
    """The error for a file or folder that the system refuses: a name that is too long, a disk that is full."""
    name = str(problem.filename)
    return ClearpropError(
        "the system refuses a file or folder",
        expected="a name that it takes, permission, and space on the disk",
        got=problem.strerror or type(problem).__name__,
        where=name if len(name) <= 100 else f"{name[:100]} … ({len(name):,} characters)",
        try_="another name or folder",
    )


def _say(text: str, code: int) -> int:
    with suppress(OSError):  # where stderr is refused too, the exit code alone is left to tell
        typer.echo(text, err=True)
    return code


def _usage(problem: Any, text: str) -> str:
    """A command line that typer cannot read, in our form."""
    context = getattr(problem, "ctx", None)
    path = context.command_path if context is not None else NAME
    option = getattr(problem, "option_name", None)
    if context is not None and option is not None and hasattr(problem, "possibilities"):
        known = sorted(name for parameter in context.command.params for name in parameter.opts if name[:2] == "--")
        return unknown_name("option", option, known, where=path).message
    headline = text.strip().rstrip(".").partition("\n")[0]
    usage = context.get_usage().removeprefix("Usage: ") if context is not None else ""
    headline = headline[:1].lower() + headline[1:]
    return ClearpropError(headline, expected=usage, where=path, try_=f"{path} --help").message


def _fault(problem: Exception) -> str:
    told = "".join(traceback.format_exception(problem))
    return f"{told}\nThis is a fault of {NAME}, not yours: please report it with the lines above."
