"""Exception classes, and the one form that every message takes.

A message has a headline and four parts: what was expected, what came, where it happened (the user's own
line, file or option), and what to try.  A part that has nothing to say is left out; none is invented.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import linecache
import re
import sys
import types
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np

_PACKAGE = str(Path(__file__).parent)


class ClearpropError(Exception):
    """Base of every error that clearprop raises on purpose.

    >>> raise ClearpropError("no such column 'prize'", expected="one of: price, size", try_="--target price")
    Traceback (most recent call last):
    ...
    clearprop.errors.ClearpropError: no such column 'prize'
      expected  one of: price, size
      try       --target price
    """

    kind = "error"
    has_line = False  # whether the place, unless another is given, is the line of the user's code that ran

    def __init__(self, headline: str, *, expected: str = "", got: str = "", where: str = "", try_: str = "") -> None:
        if self.has_line and not where:
            where = user_line()
        self.headline, self.expected, self.got, self.where, self.try_ = headline, expected, got, where, try_
        super().__init__(self.message)

    @property
    def parts(self) -> dict[str, str]:
        """The four parts by name, as events and JSON carry them."""
        return {"expected": self.expected, "got": self.got, "where": self.where, "try": self.try_}

    @property
    def message(self) -> str:
        """Headline and parts as printed: what a terminal would obey is written out, and endless words are cut."""
        lines = [_message_text(self.headline)]
        for name, text in self.parts.items():
            if text:
                lines.append(f"  {name:<9} " + _message_text(text).replace("\n", "\n" + " " * 12))
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        """Rebuild from the parts, so that an error crosses a process border whole."""
        return _rebuild, (type(self), self.headline, self.expected, self.got, self.where, self.try_)


def _rebuild(
    cls: type[ClearpropError], headline: str, expected: str, got: str, where: str, try_: str
) -> ClearpropError:
    return cls(headline, expected=expected, got=got, where=where, try_=try_)


class ShapeError(ClearpropError, ValueError):
    """Shapes that do not fit together.  The message names the axis, both sizes and a remedy."""

    kind = "shape"
    has_line = True


class DTypeError(ClearpropError, TypeError):
    """A data type that the operation has no meaning for, such as the gradient of an integer."""

    kind = "dtype"
    has_line = True


class TraceError(ClearpropError, TypeError):
    """A traced value was used where only its number would do: `if x > 0`, `float(x)`, `np.asarray(x)`."""

    kind = "trace"


class GradientError(ClearpropError, RuntimeError):
    """A gradient was asked for that does not exist, or a gradient check failed."""

    kind = "gradient"


class ProgramError(ClearpropError, ValueError):
    """A program that is not well formed; `typecheck` raises it and says which equation is at fault."""

    kind = "program"


class ArgumentError(ClearpropError, ValueError):
    """An argument or option outside its range, or an unknown name (the nearest known one is given)."""

    kind = "argument"


class DataError(ClearpropError, ValueError):
    """Data that cannot be read or used: missing, empty, ragged, of the wrong kind, not finite."""

    kind = "data"


class DataWarning(UserWarning):
    """Rows to predict or to evaluate hold what the training had not: they are taken, and may not be meant so."""


class RunError(ClearpropError, ValueError):
    """A run folder or checkpoint that cannot be written, read or trusted."""

    kind = "run"


_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, ends of lines, marks of direction, and halves of characters."""


def printable(text: str, keep: str = "") -> str:
    r"""A text from a file or a user; what a terminal would obey or not show is written out, except what is to `keep`.

    >>> print(printable("red\x1b[31m, \u202edrowssap"))
    red\x1b[31m, \u202edrowssap
    """
    return _UNSEEN.sub(lambda found: found[0] if found[0] in keep else ascii(found[0])[1:-1], text)


_LONG_WORD = re.compile(r"(\S{200})\S{100,}(\S{20})")


_LONGEST_PART = 1500


def _message_text(text: str) -> str:
    words = _LONG_WORD.sub(r"\1 … \2", printable(text, keep="\n"))
    return words if len(words) <= _LONGEST_PART else f"{words[:_LONGEST_PART]} …"


def user_line() -> str:
    """The innermost line outside clearprop on the call stack, as `model.py:12  h = x @ w1`.

    Empty if that is no line of the user's but one of an installed package: on the command line there is none.
    """
    place = user_place()
    return "" if place is None else describe_line(*place)


def user_place() -> tuple[str, int] | None:
    """The file and the number of that line; None where it is no line of the user's."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_ours(frame.f_code):
        frame = frame.f_back
    installed = "site-packages" in frame.f_code.co_filename
    return None if installed else (frame.f_code.co_filename, frame.f_lineno)


def _is_ours(code: types.CodeType) -> bool:
    """Code of the package, or the `__init__` that `dataclasses` writes for a class."""
    generated = code.co_filename == "<string>" and code.co_name == "__init__"
    return generated or code.co_filename.startswith(_PACKAGE)


def warn_user(text: str, category: type[Warning]) -> None:
    """Warn at the user's own line."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, category, stacklevel=level)


def describe_line(filename: str, lineno: int) -> str:
    """`file:line  source text` for a place in the user's code."""
    text = linecache.getline(filename, lineno).strip()
    return f"{Path(filename).name}:{lineno}" + (f"  {text}" if text else "")


MEANINGS: Mapping[str, tuple[str, ...]] = {
    "accuracy": ("acc", "score"),
    "adam": ("amsgrad",),
    "batch": ("batchnorm", "batch_norm", "batch_normalization"),
    "binary_cross_entropy": ("bce", "binary_crossentropy", "logistic_loss", "log_loss"),
    "cross_entropy": ("ce", "crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy", "nll"),
    "data": ("x", "x_train", "train_data", "training_data", "dataset"),
    "epochs": ("n_epochs", "num_epochs", "iterations", "max_iter"),
    "glorot": ("xavier", "glorot_uniform", "xavier_uniform"),
    "he": ("kaiming", "he_normal", "kaiming_normal"),
    "huber": ("smooth_l1",),
    "layer": ("layernorm", "layer_norm", "layer_normalization"),
    "leaky_relu": ("lrelu",),
    "learning_rate": ("lr", "eta", "step_size"),
    "linear": ("identity", "none", "id"),
    "mae": ("l1", "mean_absolute_error", "l1_loss"),
    "mse": ("l2", "mean_squared_error", "mse_loss", "squared_error"),
    "patience": ("early_stopping",),
    "seed": ("random_state",),
    "sgd": ("momentum", "nesterov", "gradient_descent", "heavy_ball"),
    "sigmoid": ("logistic", "expit"),
    "silu": ("swish",),
    "validation": ("validation_split", "validation_data", "val", "val_split"),
    "weight_decay": ("decay", "l2_penalty"),
}
"""What others call our names: nothing in the letters of swish tells of silu."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that means the same as `name` or is most like it, or an empty string when none is close.

    >>> nearest("swish", ["relu", "silu"]), nearest("Petal-Width", ["petal length (cm)", "petal width (cm)"])
    ('silu', 'petal width (cm)')
    """
    names = list(known)
    plain = _plain_name(name)
    same = [n for n in names if plain and (_plain_name(n) == plain or plain in map(_plain_name, MEANINGS.get(n, ())))]
    if same:
        return same[0]
    by_plain = {_plain_name(n): n for n in reversed(names)}
    by_word = {n.lstrip("-"): n for n in reversed(names)}  # that options begin alike makes none like another
    close = difflib.get_close_matches(name.lstrip("-"), by_word, n=1, cutoff=0.5)
    if close:
        return by_word[close[0]]
    return next((by_plain[n] for n in difflib.get_close_matches(plain, by_plain, 1, 0.5)), "")


def _plain_name(name: str) -> str:
    """Letters and digits alone, in lower case."""
    return "".join(c for c in name.lower() if c.isalnum())


_MEANT = {"cnn": "conv"}
"""Names that people write for others which they do not look like."""


def unknown_name(what: str, name: Any, known: Iterable[str], where: str = "") -> ArgumentError:
    """The error for a name (or what was given for one) that is not in a closed set: lists it, suggests the nearest."""
    names = sorted(known)
    close = nearest(_MEANT.get(name, name), names) if isinstance(name, str) else ""
    return ArgumentError(
        f"no {what} named {name!r}",
        expected="one of: " + ", ".join(names),
        got=repr(name),
        where=where,
        try_=f"{close!r}, the nearest name" if close else "one of the names above",
    )


_P = ParamSpec("_P")
_R = TypeVar("_R")


def checked_call(function: Callable[_P, _R], name: str = "", remedy: str = "") -> Callable[_P, _R]:
    """The function, whose callers hear in our own form of an argument that it does not take or did not get.

    `name` is what the message calls it, by default its own name; `remedy` what to try with too many arguments.

    >>> @checked_call
    ... def area(width, height=1.0):
    ...     return width * height
    >>> area(2.0, hight=3.0)
    Traceback (most recent call last):
    ...
    clearprop.errors.ArgumentError: area does not take these arguments
      expected  area(width, height=1.0)
      got       got an unexpected keyword argument 'hight'
      ...
      try       'height', the nearest name
    """

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is None:  # the call itself failed
                check_call(function, name or function.__name__, args, kwargs, remedy)
            raise
        except ModuleNotFoundError as missing:
            if lacks_package(missing):
                raise package_error(missing, name or function.__name__, user_line()) from None
            raise

    return call


_C = TypeVar("_C", bound=type)


def checked_methods(cls: _C) -> _C:
    """The class, whose public methods are called as by `checked_call`.

    >>> @checked_methods
    ... class Square:
    ...     def scaled(self, factor):
    ...         return factor
    >>> Square().scaled(facto=2.0)
    Traceback (most recent call last):
    ...
    clearprop.errors.ArgumentError: scaled does not take these arguments
      expected  scaled(factor)
      ...
      try       'factor', the nearest name
    """
    for name, member in list(vars(cls).items()):
        if name.startswith("_"):
            continue
        if isinstance(member, types.FunctionType) and not hasattr(member, "__wrapped__"):  # else it may be checked
            setattr(cls, name, checked_call(member))
        elif isinstance(member, classmethod):
            setattr(cls, name, classmethod(checked_call(member.__func__)))
    return cls


def is_ours(cls: type) -> bool:
    """Whether the package defines a class, and not a user who derived it from one of the package."""
    return cls.__module__.partition(".")[0] == __package__


_OF_THE_COMMAND_LINE = ("typer", "rich", "pydantic", "polars", "pyarrow", "narwhals", "sklearn", "matplotlib")
"""What is imported of the packages of the extra `[cli]`; tables and estimators need it too."""


def package_error(missing: ModuleNotFoundError, user: str, where: str = "") -> ArgumentError:
    """The error for what `user` names, which needs the extra `[cli]`.

    >>> package_error(ModuleNotFoundError("", name="polars.series"), "cl.sweep").got
    "no module named 'polars'"
    """
    return ArgumentError(
        f"{user} needs packages that are not installed",
        expected="typer, rich, pydantic, polars, pyarrow, narwhals, scikit-learn and matplotlib",
        got=f"no module named {_package(missing)!r}",
        where=where,
        try_="pip install 'clearprop[cli]'",
    )


def lacks_package(missing: ModuleNotFoundError) -> bool:
    """Whether it was code of ours that was to import a package of the extra `[cli]`.

    >>> lacks_package(ModuleNotFoundError("", name="polars"))  # raised nowhere
    False
    """
    ours, at = False, missing.__traceback__
    while at is not None:
        code, at = at.tb_frame.f_code, at.tb_next
        ours = ours if code.co_filename.startswith("<frozen importlib") else _is_ours(code)
    return ours and _package(missing) in _OF_THE_COMMAND_LINE


def _package(missing: ModuleNotFoundError) -> str:
    return (missing.name or "").partition(".")[0]


_FORMS_OF_OTHERS = {("where", 1): "cl.nonzero(condition), for the indices at which it holds"}
"""What is meant by a call that other libraries take, by the name and how many arguments there are."""
MOST_NAMES = 4
"""Up to how many names of arguments are listed as advice."""


_ELSEWHERE: Mapping[tuple[str, str], str] = {
    ("fit", "time"): "cl.ensemble(data, time='60s'): networks are added as long as another one ends in time",
    ("fit", "members"): "cl.ensemble(data, members=5)",
    ("fit", "folds"): "cl.cross_validate(data, folds=5)",
    ("fit", "repeats"): "cl.cross_validate(data, folds=5, repeats=3)",
    ("fit", "hidden"): "cl.fit(cl.nn.mlp(hidden=[64, 64]), data)",
    **dict.fromkeys((("fit", "lr"), ("fit", "learning_rate")), "optimizer=cl.optim.adam(0.001), which has the rate"),
    ("fit", "scheduler"): "optimizer=cl.optim.adam(cl.optim.cosine(0.001, steps)): a schedule stands for the rate",
    ("fit", "weight_decay"): "optimizer=cl.optim.adamw(0.001, weight_decay=0.01), or l2=",
    ("fit", "momentum"): "optimizer=cl.optim.sgd(0.1, momentum=0.9)",
    ("fit", "max_grad_norm"): "optimizer=cl.optim.chain(cl.optim.clip_by_norm(1.0), cl.optim.adam(0.001))",
    ("fit", "device"): "no device: it is the CPU; cl.set_threads(2) is how many of its cores compute",
    **dict.fromkeys((("fit", "criterion"), ("fit", "loss_fn")), "loss='mse', or a function of outputs and targets"),
    **dict.fromkeys((("fit", "y"), ("fit", "Y")), "cl.fit(model, (x, y))"),
    ("fit", "monitor"): "metric='accuracy', by which the best epoch is chosen",
    ("fit", "interval"): "run.interval(x, level=0.9), when the training has ended",
}
"""Words that another function takes, by function and word."""


def check_call(
    function: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], remedy: str = ""
) -> None:
    """Raise ArgumentError, which says what the function takes, if it does not take these arguments."""
    signature = inspect.signature(function)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        known = signature.parameters.values()
        too_many = "positional" in str(error)
        meant = _FORMS_OF_OTHERS.get((name, len(args) + len(kwargs)), "")
        elsewhere = next((_ELSEWHERE[name, word] for word in kwargs if (name, word) in _ELSEWHERE), "")
        plain = inspect.Signature([q.replace(annotation=q.empty) for q in known if q.name not in ("self", "cls")])
        raise ArgumentError(
            f"{name} does not take these arguments",
            expected=f"{name}{plain}",
            got=str(error),
            where=user_line(),
            try_=(remedy or _by_name(known))
            if too_many
            else elsewhere or _nearest_parameter(kwargs, signature.parameters) or meant,
        ) from None


def _by_name(parameters: Iterable[inspect.Parameter]) -> str:
    named = [q.name for q in parameters if q.kind is q.KEYWORD_ONLY]
    if not named:
        return ""
    return f"give {' and '.join(named) if len(named) <= MOST_NAMES else 'what follows'} by name"


def _nearest_parameter(given: Iterable[str], known: Mapping[str, Any]) -> str:
    """Advice about the first argument that is not known."""
    unknown = next((name for name in given if name not in known), "")
    close = nearest(unknown, known)
    return f"{close!r}, the nearest name" if close else ""


def too_large(name: str, problem: MemoryError) -> ArgumentError:
    """The error for results that no memory holds.

    >>> print(too_large("outer", MemoryError()).headline)
    outer needs more memory than there is
    """
    return ArgumentError(
        f"{name} needs more memory than there is",
        expected="arrays that fit into memory",
        got=str(problem)[:200] or "no memory left",
        where=user_line(),
        try_="smaller arrays, or float32; of a loop fewer steps, cl.remat around parts, and no result for every step",
    )


def require_function(f: Any, name: str) -> None:
    """Raise ArgumentError unless `f` can be called.

    >>> require_function(abs, "grad")
    """
    if not callable(f):
        raise ArgumentError(
            f"{name} takes a function",
            expected="a function of arrays, such as lambda x: cl.sum(x * x)",
            got=ascii(f)[:80],
            where=user_line(),
        )


def require_flag(owner: str, name: str, value: Any) -> bool:
    """True or False, also NumPy's; an array has no truth of its own."""
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentError(
            f"{owner} cannot work with this {name}",
            expected=f"{name}: True or False",
            got=f"{name} = {value!r:.80}",
            where=user_line(),
        )
    return bool(value)


def require_names(owner: str, name: str, value: Any, example: str) -> None:
    """Raise ArgumentError unless `value` is a mapping.

    >>> require_names("fork", "change", {"l2": 0.1}, '{"l2": 0.1}')
    """
    if not isinstance(value, Mapping):
        raise ArgumentError(
            f"{owner} takes {name} by name",
            expected=f"{name}: a dict such as {example}",
            got=f"a value of type {type(value).__name__}",
            where=user_line(),
        )


def __dir__() -> list[str]:
    """What completion shows: the classes of errors, and the warning about data."""
    kinds = {n: value for n, value in globals().items() if isinstance(value, type)}
    return sorted(n for n, kind in kinds.items() if issubclass(kind, ClearpropError | DataWarning))
