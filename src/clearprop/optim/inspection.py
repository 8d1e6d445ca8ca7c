"""Looking into an optimizer: the rules that it is made of, and its learning rate."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from clearprop.errors import ArgumentError, unknown_name, user_line
from clearprop.optim.hyperparameters import Configured, all_classes, by_name, class_named, optimizers
from clearprop.optim.transform import Transform, chain

_T = TypeVar("_T")


def parts(rule: Transform) -> Iterator[Transform]:
    """A rule and the rules that stand in its settings, outermost first.

    >>> import clearprop as cl
    >>> from clearprop.optim.inspection import parts
    >>> [type(p).__name__ for p in parts(cl.optim.chain(cl.optim.clip_by_norm(), cl.optim.sam(cl.optim.rprop())))]
    ['chain', 'clip_by_norm', 'sam', 'rprop']
    """
    yield rule
    for value in _flatten(list(rule.settings().values())):
        if isinstance(value, Transform):
            yield from parts(value)


def _flatten(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple | list):
        for item in value:
            yield from _flatten(item)
    else:
        yield value


def full_batch_part(rule: Transform) -> Transform | None:
    """The first rule within that the noise of mini-batches breaks, if any."""
    return next((part for part in parts(rule) if part.full_batch), None)


def batches_of_update(rule: Transform) -> int:
    """The most batches that a rule within sums for one update, also where it is given sums by a rule around it.

    >>> import clearprop as cl
    >>> batches_of_update(cl.optim.accumulate(cl.optim.accumulate(cl.optim.sgd(0.1), 3), 4))
    12
    """
    inner = (value for value in _flatten(list(rule.settings().values())) if isinstance(value, Transform))
    return rule.batches * max(map(batches_of_update, inner), default=1)


def has_rate(rule: Any) -> bool:
    """Whether the rule itself has a learning rate."""
    return isinstance(rule, Transform) and "learning_rate" in rule.settings()


def require_transform(given: object, instead: str) -> None:
    """Raise ArgumentError for what is no transform; `instead` is what to write where it was given.

    >>> import clearprop as cl
    >>> require_transform(cl.optim.sgd(0.1), "optimizer=cl.optim.adam(1e-3)")
    """
    if not isinstance(given, Transform):
        raise ArgumentError(
            "this is no optimizer",
            expected='a transform of cl.optim, or its name, such as "adam"',
            got=f"{given!r:.80}",
            where=user_line(),
            try_=instead,
        )


def with_rate(rule: _T, rate: Any) -> _T:
    """The same rule with another learning rate (a number or a schedule), wherever within it there is one.

    Raises ArgumentError for a rule without a learning rate.

    >>> import clearprop as cl
    >>> from clearprop.optim.inspection import with_rate
    >>> with_rate(cl.optim.chain(cl.optim.clip_by_norm(1.0), cl.optim.sgd(0.1)), 0.5).links[1].learning_rate
    0.5
    """
    require_transform(rule, "cl.optim.adam(1e-3)")
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


def with_schedule(rule: _T, schedule: Callable[[float], Any]) -> _T:
    """The same rule in which every rate that is a number is the schedule that the function makes of it.

    >>> import clearprop as cl
    >>> with_schedule(cl.optim.sgd(0.1), lambda rate: cl.optim.cosine(rate, steps=50)).learning_rate
    cosine(value=0.1, steps=50, floor=0.0)
    """
    if isinstance(rule, tuple):
        return tuple(with_schedule(part, schedule) for part in rule)  # type: ignore[return-value]  # it is a tuple again
    if not isinstance(rule, Transform):
        return rule
    make: Any = type(rule)
    inner = {name: with_schedule(value, schedule) for name, value in rule.settings().items()}
    if isinstance(inner.get("learning_rate"), int | float):
        inner["learning_rate"] = schedule(float(inner["learning_rate"]))
    scheduled: _T = make(**inner)
    return scheduled


def says_rate(text: str) -> bool:
    """Whether the text of an optimizer sets the learning rate itself.

    >>> from clearprop.optim.inspection import says_rate
    >>> says_rate("sgd:momentum=0.9"), says_rate("clip_by_norm+sgd:lr=0.1")
    (False, True)
    """
    return re.search(r"[:,]\s*(lr|learning_rate)\s*=", text) is not None


def parse(text: str, where: str = "", **settings: Any) -> Transform:
    """The optimizer that `NAME[:key=value,…]` describes, as command lines have it.

    Values are numbers, true and false, none, names, and for a rule within a rule its name.  `LINK+NAME+LINK` is a
    chain of one optimizer and links before or behind it.  `settings` are added where the text leaves them out.  Raises
    ArgumentError for what is unknown (with the nearest name) or out of range.

    >>> from clearprop.optim.inspection import parse
    >>> parse("sgd:learning_rate=0.1,momentum=0.9")
    sgd(learning_rate=0.1, momentum=0.9, nesterov=False, weight_decay=0.0, dampening=0.0)
    >>> parse("sam:inner=adam,rho=0.1").inner.learning_rate
    0.001
    >>> parse("fractional_memory:alpha=0.7+sgd").links[0].alpha
    0.7
    """
    pieces = re.split(r"\+(?=[^\W\d])", text)  # 1e+5 is a number
    if len(pieces) == 1:
        return _parse_one(text, True, where, settings)
    made = [_parse_one(piece, False, where, settings) for piece in pieces]
    whole = [type(link).__name__ for link in made if link.complete]
    if len(whole) != 1:
        raise ArgumentError(
            f"the optimizer {text!r} cannot be read",
            expected="one optimizer, and links before or behind it",
            got=" and ".join(whole) if whole else "links alone",
            where=where,
            try_="clip_by_norm:limit=1+adam",
        )
    return chain(*made)


def _is_link(name: str, kind: type[Configured]) -> bool:
    """Whether it can stand in a chain."""
    return issubclass(kind, Transform) and kind is not chain and name[0] != "_"


def _kind_named(name: str, alone: bool, where: str) -> type[Configured]:
    """The class of an optimizer, or beside others of a link as well."""
    kind = class_named(name)
    if kind is not None and (kind.complete if alone else _is_link(name, kind)):
        return kind
    if alone:
        raise unknown_name("optimizer", name, optimizers(), where)
    links = sorted(known for known, link in all_classes().items() if _is_link(known, link))
    raise unknown_name("optimizer or link", name, links, where)


def _parse_one(text: str, alone: bool, where: str, settings: dict[str, Any]) -> Transform:
    """One optimizer, or beside others one or a link."""
    name, _, rest = text.partition(":")
    kind = _kind_named(name, alone, where)
    fields = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]  # registered classes are dataclasses
    given: dict[str, Any] = {}
    for item in filter(None, rest.split(",")):
        key, value = _split_setting(text, item, where)
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


def _split_setting(text: str, item: str, where: str) -> tuple[str, str]:
    """`lr=0.1` as the name and the text of a setting."""
    key, equals, value = (part.strip() for part in item.partition("="))
    if not equals or not value:
        raise _unreadable_text(text, item, where)
    return "learning_rate" if key == "lr" else key, value


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


def _unreadable_text(text: str, item: str, where: str) -> ArgumentError:
    return ArgumentError(
        f"the optimizer {text!r} cannot be read",
        expected="NAME, or NAME:key=value,key=value",
        got=repr(item),
        where=where,
        try_="sgd:learning_rate=0.1,momentum=0.9",
    )
