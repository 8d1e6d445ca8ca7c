"""The parameters of the tabular estimators: the settings of a run, as `runs/settings` declares them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any, TypeVar

from clearprop.data.target_transforms import TRANSFORMS
from clearprop.nn.loss_text import loss_of_quantiles
from clearprop.runs.settings import LARGEST_LAYER, RECIPES, SUITED, declaration_of, default_of
from clearprop.sklearn.parameters import FLAG, Rule, check_parameters, either, layer_sizes, one_of, whole_from
from clearprop.train import AUTO

_NAMES = {"lr": "learning_rate", "val": "validation"}
"""Settings whose parameter has a longer name than their option."""
CHOSEN = (
    "hidden", "activation", "dropout", "recipe", "pieces", "loss", "quantiles", "class_weight", "metric", "threshold",
    "costs", "calibration", "optimizer", "lr", "epochs", "batch_size", "l1", "l2", "patience", "val", "split", "group",
    "drop", "only", "kind", "missing", "target_transform", "seed",
)  # fmt: skip
"""The settings that an estimator has as parameters."""
_OF_CLASSES = ("class_weight", "threshold", "costs", "calibration")
_OF_NUMBERS = ("target_transform", "quantiles")
_OR_AUTO = ("lr", "threshold")
_OWN: Mapping[str, tuple[Any, Rule]] = {
    "threads": (None, either((lambda value: value is None, "None"), whole_from(1))),
    "baseline": (False, FLAG),
    "verbose": (False, FLAG),
}
"""Parameters that are no settings: default and rule."""


def _is(value: Any, *kinds: type[Any]) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _are_sizes(value: Any) -> bool:
    return all(_is(n, Integral) and 1 <= n <= LARGEST_LAYER for n in layer_sizes(value))


def _are_words(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list | tuple) and all(isinstance(v, str) for v in value))


_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "hidden": _are_sizes,
    "recipe": one_of(*RECIPES)[0],
    "target_transform": one_of(*TRANSFORMS)[0],
    "class_weight": lambda value: isinstance(value, str | Mapping),
    "costs": lambda value: isinstance(value, str | Mapping),
    "quantiles": lambda value: isinstance(value, str | float | list | tuple),
    "drop": _are_words,
    "only": _are_words,
    "missing": _are_words,
    "kind": lambda value: isinstance(value, str | Mapping),
}
"""What a value that is no number and more than text must be."""


def setting_of(parameter: str) -> str:
    """The setting that a parameter stands for.

    >>> setting_of("learning_rate"), setting_of("hidden")
    ('lr', 'hidden')
    """
    return next((setting for setting, name in _NAMES.items() if name == parameter), parameter)


def _rule_of(setting: str) -> Rule:
    """What a parameter may be, from the declaration of its setting; None where what suits the data is chosen."""
    said, default = declaration_of(setting), default_of(setting)
    optional = setting in SUITED or default is None

    def holds(value: Any) -> bool:
        if value is None:
            return optional
        if setting in _OR_AUTO and isinstance(value, str) and value == AUTO:
            return True
        if said.range is not None:
            return _is(value, Integral if said.range.whole else Real) and said.range.holds(value)
        return _KINDS.get(setting, lambda text: isinstance(text, str))(value)

    suits = ", or None for what suits the data" if setting in SUITED else ", or None" if optional else ""
    return holds, said.expected + suits


def _parameters(classes: bool) -> dict[str, tuple[Any, Rule]]:
    """Default and rule of every parameter."""
    found: dict[str, tuple[Any, Rule]] = {}
    for setting in CHOSEN:
        if setting not in (_OF_NUMBERS if classes else _OF_CLASSES):
            default = None if setting in SUITED else default_of(setting)
            found[_NAMES.get(setting, setting)] = default, _rule_of(setting)
    return {**found, **_OWN}


E_ = TypeVar("E_", bound=type[Any])


def with_settings(*, classes: bool) -> Callable[[E_], E_]:
    """A decorator that gives an estimator its parameters: `__init__`, with the signature that scikit-learn reads."""

    def given(estimator: E_) -> E_:
        known = _parameters(classes)
        signature = _signature({name: default for name, (default, _) in known.items()})

        def __init__(self: Any, **parameters: Any) -> None:
            bound = signature.bind(self, **parameters)
            bound.apply_defaults()
            for name in known:
                setattr(self, name, bound.arguments[name])

        __init__.__signature__ = signature  # type: ignore[attr-defined]  # what `inspect` reads
        __init__.__qualname__ = f"{estimator.__qualname__}.__init__"
        estimator.__init__ = __init__
        estimator._rules = {name: rule for name, (_, rule) in known.items()}
        return estimator

    return given


def _signature(defaults: Mapping[str, Any]) -> inspect.Signature:
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature([own, *(inspect.Parameter(name, keyword, default=v) for name, v in defaults.items())])


def asked_settings(estimator: Any, names: Iterable[str]) -> dict[str, Any]:
    """The settings that an estimator asks for, checked; those that are None are left to what suits the data.

    Raises ArgumentError for a parameter that its declaration does not allow.
    """
    check_parameters(estimator, estimator._rules)
    given = {setting_of(name): getattr(estimator, name) for name in names if name not in _OWN}
    asked = {name: value for name, value in given.items() if value is not None}
    if "hidden" in asked:
        asked["hidden"] = tuple(map(int, layer_sizes(asked["hidden"])))
    if "quantiles" in asked:
        asked["loss"] = loss_of_quantiles(asked.get("loss"), asked.pop("quantiles"))
    return asked
