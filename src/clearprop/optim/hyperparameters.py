"""Hyper-parameters: their ranges, checked when a transform or schedule is made, and their form in a config file."""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, dataclass_transform

import numpy as np

from clearprop.errors import (
    ArgumentError,
    checked_call,
    checked_methods,
    is_ours,
    require_names,
    unknown_name,
    user_line,
)
from clearprop.late_faces import homes_of
from clearprop.nn.argument_checks import is_number
from clearprop.program.ir import Var
from clearprop.program.values import Node, raw


class Range(NamedTuple):
    """An interval of numbers; `open_` says which ends are outside it."""

    low: float = -math.inf
    high: float = math.inf
    open_: str = ""
    whole: bool = False
    or_none: bool = False

    def holds(self, value: Any) -> bool:
        """Whether the value is a number inside (NaN is not)."""
        value = np.asarray(raw(value)) if isinstance(value, Node) else value
        if value is None or not is_number(value):
            return value is None and self.or_none
        above = value > self.low if "[" in self.open_ else value >= self.low
        below = value < self.high if "]" in self.open_ else value <= self.high
        return bool(above and below) and (not self.whole or (abs(value) < LARGEST and value == int(value)))

    def text(self, name: str) -> str:
        """`0 <= name < 1`."""
        left = "" if self.low == -math.inf else f"{self.low:g} {'<' if '[' in self.open_ else '<='} "
        right = "" if self.high == math.inf else f" {'<' if ']' in self.open_ else '<='} {self.high:g}"
        return (
            f"{left}{name}{right}" + (", a whole number" if self.whole else "") + (" or None" if self.or_none else "")
        )


class Choices(NamedTuple):
    """A closed set of names; something else may stand in place of a name, and `others` is what, in words."""

    names: tuple[str, ...]
    takes: Callable[[Any], bool] = lambda _: False
    others: str = ""

    def holds(self, value: Any) -> bool:
        """Whether the value is one of them, or what may stand in their place."""
        return value in self.names if isinstance(value, str) else self.takes(value)

    def text(self, name: str) -> str:
        """`one of: previous, initial, or a number`."""
        return f"one of: {', '.join(self.names)}" + (f", or {self.others}" if self.others else "")


POSITIVE = Range(0.0, math.inf, "[]")
NOT_NEGATIVE = Range(0.0, math.inf, "]")
FRACTION = Range(0.0, 1.0, "]")
SHARE = Range(0.0, 1.0)
COUNT = Range(1, math.inf, "]", whole=True)
ANY_NUMBER = Range(-1e300, 1e300)
LARGEST = 2**62
"""Whole numbers are below this, so that a count of steps can be compared with them."""


def hyper(
    *, default: Any = dataclasses.MISSING, within: Range | Choices | None = None, kind: type[Any] | None = None
) -> Any:
    """A hyper-parameter field: a number or name within a range, an object of this kind, or either."""
    return dataclasses.field(default=default, metadata={"range": within, "kind": kind})


_NAMES = {
    "accumulation": "accumulate",
    "adaptive": "scale_by_adagrad scale_by_adam scale_by_lion scale_by_nadam scale_by_nradam scale_by_radam "
    "scale_by_rms scale_by_rprop",
    "averages": "asgd average lookahead schedule_free",
    "basic_transforms": "add_weight_decay clip_adaptive clip_by_norm clip_by_value freeze scale trace_momentum",
    "diagonal": "diag_newton scale_by_clipped_curvature scale_by_curvature",
    "factored": "adafactor clip_by_rms decay_weights scale_by_factored_rms scale_by_parameter_rms "
    "scale_by_relative_rate",
    "first_order": "adagrad adam adamw lion rmsprop rprop sgd",
    "fractional": "caputo cfgd fractional_memory",
    "further_adaptive": "adadelta adamax nadam radam scale_by_adadelta scale_by_adamax",
    "gauss_newton": "levenberg_marquardt",
    "group_settings": "vary_by_group",
    "hybrid": "memetic relay",
    "limited_memory": "lbfgs scale_by_lbfgs",
    "methods": "Method Progress Result",
    "minimisation": "minimize",
    "newton": "newton_cg",
    "objective": "Evaluations",
    "orthogonal": "muon scale_by_muon",
    "parameter_groups": "groups masked",
    "quasi_newton_methods": "quasi_newton",
    "rates": "armijo hypergradient polyak reduce_on_plateau",
    "sharpness": "sam",
    "sums_of_squares": "least_squares",
    "switching": "after_steps on_plateau projection_settles swats switch",
    "uncertainty": "Estimate",
}
HOMES = homes_of(_NAMES)
"""The file of each name of `cl.optim` that is loaded when it is first asked for."""


@checked_methods
@dataclass_transform(frozen_default=True, field_specifiers=(hyper,))
class Configured:
    """A frozen dataclass of hyper-parameters that prints as its call, checks ranges, and goes to JSON and back.

    Subclasses are registered by name, so that a configuration is read without executing code.
    """

    registry: ClassVar[dict[str, type[Configured]]] = {}
    complete: ClassVar[bool] = False  # whether it is an optimizer by itself, and not a link or a schedule

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own_init = "__init__" in cls.__dict__
        dataclasses.dataclass(frozen=True, repr=False, init=not own_init)(cls)
        if "__init__" in cls.__dict__:
            cls.__init__ = checked_call(cls.__init__, cls.__name__)  # type: ignore[method-assign]  # the same, with advice
        if is_ours(cls):
            checked_methods(cls)
        if not cls.__name__[0].isupper() and not (is_ours(cls) and cls.__name__ in cls.registry):
            cls.registry[cls.__name__] = cls  # ours, which may be loaded late, are not put in the place of the user's

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):  # type: ignore[arg-type]  # subclasses are dataclasses
            within, kind, value = f.metadata.get("range"), f.metadata.get("kind"), getattr(self, f.name)
            if isinstance(value, np.generic):  # beside float32 it would be an array of its own dtype
                value = value.item()
                object.__setattr__(self, f.name, value)
            if kind is not None and isinstance(value, kind):
                continue
            if within is not None:
                if isinstance(value, Node) and isinstance(value.value, Var):
                    continue  # a traced number, which no range can judge
                _check(type(self).__name__, f, within, value)
                if type(value) is int and abs(value) >= LARGEST:
                    object.__setattr__(self, f.name, float(value))  # arrays hold no such integer
            elif kind is not None:
                raise _other_kind(type(self).__name__, f.name, kind, value)
            elif f.type in (bool, "bool") and not isinstance(value, (bool, np.bool_)):
                raise _no_flag(type(self).__name__, f, value)

    def __repr__(self) -> str:
        given = ", ".join(f"{n}={v!r}" for n, v in self.settings().items())
        return f"{type(self).__name__}({given})"

    def settings(self) -> dict[str, Any]:
        """The hyper-parameters by name."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}  # type: ignore[arg-type]  # as above

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> Any:
        """The object with these hyper-parameters; a class that changed also reads those that it had before.

        Raises ArgumentError for an unknown one, and names the nearest.
        """
        known = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]  # subclasses are dataclasses
        require_names(cls.__name__, "settings", settings, '{"learning_rate": 0.1}')
        for key in settings:
            if key not in known:
                raise unknown_name(f"hyper-parameter of {cls.__name__}", key, known, user_line())
        return cls(**settings)

    def to_config(self) -> dict[str, Any]:
        """The same as JSON values: `{"name": "adam", "learning_rate": 0.001, …}`."""
        return {
            "name": type(self).__name__,
            **{n: _json_value(type(self).__name__, n, v) for n, v in self.settings().items()},
        }


def _check(owner: str, f: dataclasses.Field[Any], within: Range | Choices, value: Any) -> None:
    if within.holds(value):
        return
    if isinstance(within, Choices) and isinstance(value, str):
        raise unknown_name(f"{f.name} of {owner}", value, within.names, user_line())
    default = "" if f.default is dataclasses.MISSING else f" (default {f.default})"
    raise ArgumentError(
        f"{owner} cannot work with this {f.name}",
        expected=within.text(f.name) + default,
        got=f"{f.name} = {value!r}",
        where=user_line(),
        try_=f"{owner}({f.name}={f.default})" if default else "",
    )


def _other_kind(owner: str, name: str, kind: type[Any], value: Any) -> ArgumentError:
    return ArgumentError(
        f"{owner} cannot work with this {name}",
        expected=f"a {kind.__name__} of cl.optim",
        got=f"{name} = {value!r}",
        where=user_line(),
        try_="cl.optim.by_name(name), for one by name" if isinstance(value, str) else "",
    )


def _no_flag(owner: str, f: dataclasses.Field[Any], value: Any) -> ArgumentError:
    return ArgumentError(
        f"{owner} cannot work with this {f.name}",
        expected=f"True or False (default {f.default})",
        got=f"{f.name} = {value!r}",
        where=user_line(),
    )


def _json_value(owner: str, name: str, value: Any) -> Any:
    if isinstance(value, Configured):
        return value.to_config()
    if isinstance(value, (tuple, list)):
        return [_json_value(owner, name, v) for v in value]
    if isinstance(value, dict):
        return {k: _json_value(owner, name, v) for k, v in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    raise ArgumentError(
        f"{owner} cannot be written to a configuration",
        expected="numbers, text, schedules and transforms",
        got=f"{name} = {value!r}",
        try_="a name or a pattern in place of a function",
    )


@checked_call
def from_config(config: dict[str, Any]) -> Any:
    """The transform or schedule that `to_config` described.

    config  what `to_config` gave, in this version or an earlier one, or its JSON

    Raises ArgumentError for an unknown name or hyper-parameter, and names the nearest.

    >>> import clearprop as cl
    >>> cl.optim.from_config(cl.optim.sgd(0.1, momentum=0.9).to_config())
    sgd(learning_rate=0.1, momentum=0.9, nesterov=False, weight_decay=0.0, dampening=0.0)
    """
    if not isinstance(config, dict) or not isinstance(config.get("name"), str):
        raise ArgumentError(
            "a configuration says which transform or schedule it is of",
            expected='what to_config() gives: {"name": "adam", "learning_rate": 0.001, ...}',
            got=repr(config)[:200],
            where=user_line(),
        )
    given = {str(k): _revive(v) for k, v in config.items() if k != "name"}
    return by_name(config["name"], **given)


def _revive(value: Any) -> Any:
    if isinstance(value, dict) and "name" in value:
        return from_config(value)
    return tuple(map(_revive, value)) if isinstance(value, list) else value


def in_full(config: Any) -> Any:
    """A configuration with every hyper-parameter that this version knows; anything else as it is.

    A hyper-parameter that an earlier version did not have is at its default there.

    >>> in_full({"name": "sgd", "learning_rate": 0.5})["momentum"]
    0.0
    """
    try:
        full: dict[str, Any] = from_config(config).to_config()
    except ArgumentError:  # a rule of the user's own that is not defined here, or no configuration at all
        return config
    return full


@checked_call
def optimizers() -> list[str]:
    """The names of all optimizers; links and schedules are not among them.

    >>> import clearprop as cl
    >>> "adam" in cl.optim.optimizers(), "clip_by_norm" in cl.optim.optimizers()
    (True, False)
    """
    return sorted(name for name, cls in all_classes().items() if cls.complete)


def all_classes() -> dict[str, type[Configured]]:
    """All classes of hyper-parameters by name, those of the user among them."""
    for home in _NAMES:
        importlib.import_module(f"clearprop.optim.{home}")
    return Configured.registry


def class_named(name: str) -> type[Configured] | None:
    """The class of hyper-parameters of that name; None if there is none."""
    if name not in Configured.registry:
        if name not in HOMES:
            return all_classes().get(name)
        importlib.import_module(f"clearprop.optim.{HOMES[name]}")
    return Configured.registry.get(name)


@checked_call
def by_name(name: str, **settings: Any) -> Any:
    """The transform (or schedule) of that name with these hyper-parameters.

    name      that of a function of `cl.optim`, such as "adam" or "cosine"
    settings  its arguments by name; what is left out has its default

    Raises ArgumentError for an unknown name or hyper-parameter, and tells the nearest.

    >>> import clearprop as cl
    >>> cl.optim.by_name("adam", learning_rate=0.01).learning_rate
    0.01
    """
    cls = class_named(name) if isinstance(name, str) else None
    if cls is None:
        raise unknown_name("optimizer", name, optimizers(), user_line())
    return cls.from_settings(settings)
