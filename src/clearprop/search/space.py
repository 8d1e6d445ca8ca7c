"""The space of a sweep: which settings vary, and over what; as text, `lr=1e-4..1e-1:log` and `hidden=32,32;64,64`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

from clearprop.errors import ArgumentError, unknown_name
from clearprop.runs.asked_settings import settings_from
from clearprop.runs.settings import DATA, OPTIONS, declaration_of, option_of

WHERE = "--set"
"""What the space is called on the command line."""
_OPTION = "--"
_ONE_SPLIT = ("seed",)
"""Besides those of the data, what decides which rows are held out: a sweep judges all of its trials on the same."""
VARIABLE = tuple(name for name in OPTIONS if declaration_of(name).panel != DATA and name not in _ONE_SPLIT)
"""The settings that a sweep can vary."""
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_INTERVAL = re.compile(rf"({_NUMBER})\.\.({_NUMBER})((?::\w+)*)")
_WORDS = ("log", "int")
_DIGITS = 4
"""Numbers drawn from an interval have so many digits, which people can read and type again."""


@dataclass(frozen=True)
class ChoiceAxis:
    """A setting that takes one of some values.

    >>> ChoiceAxis("hidden", ((32, 32), (64, 64))).at(0.9)
    (64, 64)
    """

    name: str
    values: tuple[Any, ...]

    def at(self, share: float) -> Any:
        """The value at a share of the way through them, from 0 up to, but not including, 1."""
        return self.values[int(share * len(self.values))]

    def ends(self) -> tuple[Any, ...]:
        """The values that must be allowed."""
        return self.values


@dataclass(frozen=True)
class IntervalAxis:
    """A setting that takes numbers from `low` to `high`, evenly or by their logarithm; only whole ones if `whole`.

    >>> IntervalAxis("lr", 1e-4, 1e-2, log=True).at(0.5)
    0.001
    >>> IntervalAxis("batch_size", 16, 64, whole=True).at(0.999)
    64
    """

    name: str
    low: float
    high: float
    log: bool = False
    whole: bool = False

    def at(self, share: float) -> float:
        """The number at a share of the way from `low` to `high`: low·(high/low)^share where it is by logarithm.

        A whole number has the same room as every other: half of it on either side.
        """
        room = 0.5 if self.whole else 0.0
        low, high = self.low - room, self.high + room
        value = low * (high / low) ** share if self.log else low + share * (high - low)
        return self._within(value)

    def points(self, number: int) -> tuple[float, ...]:
        """So many numbers from `low` to `high`, both included; fewer where whole ones would be the same."""
        shares = [i / (number - 1) for i in range(number)]
        values = [
            self.low * (self.high / self.low) ** s if self.log else self.low + s * (self.high - self.low)
            for s in shares
        ]
        return tuple(dict.fromkeys(map(self._within, values)))

    def ends(self) -> tuple[Any, ...]:
        """The values that must be allowed: between them all are."""
        return self.low, self.high

    def _within(self, value: float) -> float:
        value = round(value) if self.whole else float(f"{value:.{_DIGITS}g}")
        return min(max(value, self.low), self.high)


Axis: TypeAlias = ChoiceAxis | IntervalAxis


@dataclass(frozen=True)
class SearchSpace:
    """The settings that vary, each with what it may be, and the texts that said so."""

    axes: tuple[Axis, ...]
    texts: Mapping[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """The settings, in the order in which they were given."""
        return tuple(axis.name for axis in self.axes)

    @property
    def size(self) -> int | None:
        """How many combinations there are; None where an interval has no end of them."""
        if any(isinstance(axis, IntervalAxis) for axis in self.axes):
            return None
        return math.prod(len(axis.ends()) for axis in self.axes)

    def at(self, shares: Sequence[float]) -> dict[str, Any]:
        """The settings at a place in the unit cube."""
        return {axis.name: axis.at(float(share)) for axis, share in zip(self.axes, shares, strict=True)}

    def grid(self, trials: int) -> list[dict[str, Any]]:
        """Every combination; an interval is cut into as many numbers as fit into that many trials, two at least.

        Raises ArgumentError where even two are too many.

        >>> len(read_space({"lr": "1e-4..1e-1:log", "hidden": "8;16"}).grid(10))
        10
        """
        intervals = [axis for axis in self.axes if isinstance(axis, IntervalAxis)]
        chosen = math.prod(len(axis.values) for axis in self.axes if isinstance(axis, ChoiceAxis))
        number = _root(trials // chosen, len(intervals)) if intervals else 1
        if chosen > trials or (intervals and number < 2):
            least = chosen * 2 ** len(intervals)
            raise ArgumentError(
                "the grid does not fit into the trials",
                expected=f"at least {least} trials: {self._told()}",
                got=f"--trials {trials}",
                where="--trials",
                try_=f"--trials {least}, or --search random, which takes any number",
            )
        values = [axis.values if isinstance(axis, ChoiceAxis) else axis.points(number) for axis in self.axes]
        return [dict(zip(self.names, found, strict=True)) for found in product(*values)]

    def _told(self) -> str:
        parts = [f"{len(a.values)} of {a.name}" if isinstance(a, ChoiceAxis) else f"2 of {a.name}" for a in self.axes]
        return " times ".join(parts)


def _root(number: int, power: int) -> int:
    """The largest whole number whose power is no larger than `number`."""
    found = 1
    while (found + 1) ** power <= number:
        found += 1
    return found


def read_space(given: Mapping[str, Any]) -> SearchSpace:
    """The space that is described by name: text, `1e-4..1e-1:log` or `a;b;c`, or a list of values.

    Values are checked as the settings of a training are.  Raises ArgumentError for an empty space, a name that is no
    setting or cannot vary, a value that the setting cannot be.

    >>> space = read_space({"lr": "1e-4..1e-1:log", "hidden": [(32, 32), (64, 64)]})
    >>> space.names, space.at((0.0, 0.6))
    (('lr', 'hidden'), {'lr': 0.0001, 'hidden': (64, 64)})
    """
    if not given:
        raise ArgumentError(
            "there is nothing to vary",
            expected="settings with what they may be",
            got="an empty space",
            where=WHERE,
            try_="--set lr=1e-4..1e-1:log --set hidden='32,32;64,64'",
        )
    axes = [_read_axis(_setting_name(name), text) for name, text in given.items()]
    names = [axis.name for axis in axes]
    for name in names:
        if names.count(name) > 1:
            raise _wrong(name, f"{name} twice", "every setting once", f"--set {name}=…, with all of its values")
    return SearchSpace(tuple(axes), {a.name: _text_of(v) for a, v in zip(axes, given.values(), strict=True)})


def split_texts(texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The name and the values of each `NAME=VALUES`.  Raises ArgumentError for a text without them."""
    for text in texts:
        name, sign, values = text.partition("=")
        if not sign or not name.strip() or not values.strip():
            raise ArgumentError(
                f"--set cannot be {text!r}",
                expected="NAME=VALUES: lo..hi, lo..hi:log, lo..hi:int, or values with ; between them",
                got=repr(text),
                where=WHERE,
                try_="--set lr=1e-4..1e-1:log for an interval, --set hidden='32,32;64,64' for values",
            )
        yield name.strip(), values.strip()


def _setting_name(name: Any) -> str:
    """The setting of that name or option.  Raises ArgumentError for another one."""
    words = {word.removeprefix(_OPTION): known for known in OPTIONS for word in _words_of(known)}
    found = _plain_name(name, words)
    if found in VARIABLE:
        return found
    if found in (*OPTIONS, "DATA"):
        raise _wrong(
            found,
            f"{found} cannot vary in a sweep",
            "settings of the network and the training: all trials are judged on the same rows",
            f"{option_of(found) if found in OPTIONS else 'DATA'} beside the sweep, the same for all of its trials",
        )
    others = {word for word, known in words.items() if known in VARIABLE and word.replace("-", "_") not in VARIABLE}
    raise unknown_name("setting to vary", name, {*VARIABLE, *others}, where=WHERE)


def _plain_name(name: Any, words: Mapping[str, str]) -> str:
    """The name without dashes before it; of an option, that of its setting."""
    plain = name.removeprefix(_OPTION) if isinstance(name, str) else ""
    return words.get(plain, plain)


def _words_of(name: str) -> tuple[str, ...]:
    return (option_of(name), *declaration_of(name).words)


def _read_axis(name: str, given: Any) -> Axis:
    interval = _INTERVAL.fullmatch(given.strip()) if isinstance(given, str) else None
    axis = _read_choices(name, given) if interval is None else _read_interval(name, *interval.groups())
    values = tuple(settings_from({name: value})[name] for value in axis.ends())
    if isinstance(axis, IntervalAxis):
        return axis
    return ChoiceAxis(name, tuple(dict.fromkeys(values)))


def _read_choices(name: str, given: Any) -> ChoiceAxis:
    if isinstance(given, str):
        values: list[Any] = [part.strip() for part in given.split(";") if part.strip()]
    else:
        values = list(given) if isinstance(given, Sequence) and not isinstance(given, bytes) else []
    if not values or any(value is None for value in values):
        raise _wrong(
            name,
            f"{name} has nothing to choose from",
            "lo..hi, or values with ; between them; in Python such text, or a list",
            f"--set {name}={declaration_of(name).example}",
            repr(given),
        )
    return ChoiceAxis(name, tuple(values))


def _read_interval(name: str, low: str, high: str, words: str) -> IntervalAxis:
    # Each thing that can be wrong with an interval has its own message; nothing else is decided here.
    said = words.split(":")[1:]
    for word in said:
        if word not in _WORDS:
            raise unknown_name(f"word for an interval of {name}", word, _WORDS, where=WHERE)
    within = declaration_of(name).range
    if within is None:
        raise _wrong(
            name,
            f"{name} is no number",
            declaration_of(name).expected,
            f"--set {name}={declaration_of(name).example}, with ; between the values",
            f"{low}..{high}",
        )
    whole = within.whole or "int" in said
    ends = float(low), float(high)
    got = f"{low}..{high}{words}"
    if not ends[0] < ends[1]:
        raise _wrong(name, f"the interval of {name} is empty", "lo..hi, lo below hi", f"{name}={high}..{low}", got)
    if "log" in said and ends[0] <= 0:
        raise _wrong(name, f"{name} has no logarithm at {low}", "lo above 0", f"{name}={low}..{high}", got)
    if whole and not (ends[0].is_integer() and ends[1].is_integer()):
        raise _wrong(name, f"{name} takes whole numbers", "whole numbers at both ends", f"{name}=16..256", got)
    low_, high_ = (int(ends[0]), int(ends[1])) if whole else ends
    return IntervalAxis(name, low_, high_, "log" in said, whole)


def _text_of(given: Any) -> str:
    if isinstance(given, str):
        return given.strip()
    return ";".join(",".join(map(str, v)) if isinstance(v, list | tuple) else str(v) for v in given)


def _wrong(name: str, headline: str, expected: str, remedy: str, got: str = "") -> ArgumentError:
    return ArgumentError(headline, expected=expected, got=got or name, where=f"{WHERE} {name}", try_=remedy)
