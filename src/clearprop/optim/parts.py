"""Looking into an optimizer: the rules that it is made of, and its learning rate."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, TypeVar

from clearprop.errors import ArgumentError, unknown_name, user_line
from clearprop.optim.hyper import Configured, by_name, optimizers
from clearprop.optim.transform import Transform

_T = TypeVar("_T")


def parts(rule: Transform) -> Iterator[Transform]:
    """A rule and the rules that stand in its settings, outermost first.

    >>> import clearprop as cl
    >>> from clearprop.optim.parts import parts
    >>> [type(p).__name__ for p in parts(cl.optim.chain(cl.optim.clip_by_norm(), cl.optim.sam(cl.optim.rprop())))]
    ['chain', 'clip_by_norm', 'sam', 'rprop']
    """
    yield rule
    for value in _flat(list(rule.settings().values())):
        if isinstance(value, Transform):
            yield from parts(value)


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple | list):
        for item in value:
            yield from _flat(item)
    else:
        yield value


def full_batch_part(rule: Transform) -> Transform | None:
    """The first rule within that the noise of mini-batches breaks, if any."""
    return next((part for part in parts(rule) if part.full_batch), None)


def has_rate(rule: Any) -> bool:
    """Whether the rule itself has a learning rate."""
    return isinstance(rule, Transform) and "learning_rate" in rule.settings()


def with_rate(rule: _T, rate: Any) -> _T:
    """The same rule with another learning rate (a number or a schedule), wherever within it there is one.

    Raises ArgumentError for a rule without a learning rate.

    >>> import clearprop as cl
    >>> from clearprop.optim.parts import with_rate
    >>> with_rate(cl.optim.chain(cl.optim.clip_by_norm(1.0), cl.optim.sgd(0.1)), 0.5).links[1].learning_rate
    0.5
    """
    changed: _T = _with_rate(rule, rate)
    if changed == rule and not any(map(has_rate, parts(rule))):  # type: ignore[arg-type]  # a rule is a Transform
        raise ArgumentError(
            "this optimizer has no learning rate",
            expected="an optimizer with a setting learning_rate, such as adam or sgd",
            got=repr(rule),
            where=user_line(),
            try_="cl.optim.adam(1e-3); rules such as polyak and armijo choose the rate themselves",
        )
    return changed


def _with_rate(value: Any, rate: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_with_rate(v, rate) for v in value)
    if not isinstance(value, Transform):
        return value
    make: Any = type(value)
    own = value.settings()
    inner = own | {"learning_rate": rate} if has_rate(value) else {k: _with_rate(v, rate) for k, v in own.items()}
    return make(**inner) if inner != own else value


def parse(text: str, where: str = "", **settings: Any) -> Transform:
    """The optimizer that `NAME[:key=value,…]` describes, as command lines have it.

    Values are numbers, true and false, none, names, and for a rule within a rule its name.  `settings` are added where
    the text leaves them out.  Raises ArgumentError for what is unknown (with the nearest name) or out of range.

    >>> from clearprop.optim.parts import parse
    >>> parse("sgd:learning_rate=0.1,momentum=0.9")
    sgd(learning_rate=0.1, momentum=0.9, nesterov=False, weight_decay=0.0)
    >>> parse("sam:inner=adam,rho=0.1").inner.learning_rate
    0.001
    """
    name, _, rest = text.partition(":")
    if name not in optimizers():
        raise unknown_name("optimizer", name, optimizers(), where)
    given: dict[str, Any] = {}
    kind = Configured.registry[name]
    fields = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]  # registered classes are dataclasses
    for item in filter(None, rest.split(",")):
        key, equals, value = (part.strip() for part in item.partition("="))
        key = "learning_rate" if key == "lr" else key
        if not equals or not value:
            raise _unreadable(text, item, where)
        if key not in fields:
            raise unknown_name(f"hyper-parameter of {name}", key, fields, where)
        nested = isinstance(getattr(kind, key, None), Transform)
        given[key] = parse(value, where) if nested else _value(value)
    try:
        made: Transform = by_name(name, **{k: v for k, v in settings.items() if k in fields} | given)
    except ArgumentError as mistake:
        raise ArgumentError(
            mistake.headline,
            expected=mistake.expected,
            got=mistake.got,
            where=where or mistake.where,
            try_=mistake.try_,
        ) from None
    return made


def _value(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _unreadable(text: str, item: str, where: str) -> ArgumentError:
    return ArgumentError(
        f"the optimizer {text!r} cannot be read",
        expected="NAME, or NAME:key=value,key=value",
        got=repr(item),
        where=where,
        try_="sgd:learning_rate=0.1,momentum=0.9",
    )
