"""`Module`: networks and layers as immutable trees of arrays."""

from __future__ import annotations

import dataclasses
import functools
import sys
import types
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, ClassVar, dataclass_transform

import numpy as np
import optree

from clearprop.arrays.tensor import Tensor, tensor
from clearprop.autodiff.trees import NAMESPACE, flatten, register_fields, tree_map, unflatten
from clearprop.errors import (
    ArgumentError,
    DTypeError,
    ShapeError,
    check_call,
    checked_call,
    checked_methods,
    is_ours,
    require_names,
    unknown_name,
    user_line,
)
from clearprop.nn.fields import CHILD, PARAMETER, STATE, STATIC, kind_of, parameter, state, static
from clearprop.nn.module_text import module_text
from clearprop.nn.structure import layout, select
from clearprop.program.ir import STACK, Builder, Var, builder, shape_of
from clearprop.program.types import type_of
from clearprop.program.values import RECORDING, Node, raw
from clearprop.rules.elementwise import astype, stop_gradient


class Pass:
    """One pass through a model: its mode, its key, and the state that its modules computed."""

    def __init__(self, train: bool, key: Any) -> None:
        self.train, self.key = train, key
        self.drawn = 0
        self.turns = len(STACK.turns)
        self.builder: Builder | None = builder()
        self.remembered: dict[int, dict[str, Any]] = {}
        self._kept: list[Module] = []  # those that remembered: another one must not get the id of one that is gone

    def remember(self, module: Module, values: Mapping[str, Any]) -> None:
        """New values for state fields of the module."""
        if id(module) not in self.remembered:
            self._kept.append(module)
        self.remembered.setdefault(id(module), {}).update(values)


INFERENCE = Pass(train=False, key=None)
CURRENT: ContextVar[Pass] = ContextVar("clearprop_pass", default=INFERENCE)
"""The pass that is running; inference, where none is."""


@checked_methods
@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(parameter, state, static))
class Module:
    """Base of every layer and network: a frozen dataclass that is a tree.

    A field is declared as `parameter()` (trained), `state()` (recomputed by training passes) or `static()` (part of
    the structure); a field without declaration holds modules.  `forward` says what the module computes.

    >>> import clearprop as cl
    >>> class Affine(cl.nn.Module):
    ...     scale: cl.Tensor = cl.nn.parameter()
    ...     offset: cl.Tensor = cl.nn.parameter()
    ...     power: int = cl.nn.static(default=1)
    ...
    ...     def forward(self, x):
    ...         return self.scale * x ** self.power + self.offset
    >>> model = Affine(scale=cl.tensor(2.0), offset=cl.tensor(1.0), power=2)
    >>> model(3.0)
    Tensor(19.0)
    >>> cl.grad(lambda m: m(3.0))(model).scale
    Tensor(9.0)
    """

    field_kinds: ClassVar[dict[str, str]] = {}
    least_rows: ClassVar[int] = 1  # of a batch in training: two where statistics of the batch are taken
    _handwritten: ClassVar[bool] = False
    _has_state: ClassVar[bool] = False

    def __init_subclass__(cls, init: bool = True, names: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)
        # with init=False, which type checkers read, a class is made as its base is
        cls._handwritten = cls._handwritten or "__init__" in cls.__dict__ or not init
        dataclasses.dataclass(frozen=True, eq=False, repr=False, init=not cls._handwritten)(cls)
        cls.field_kinds = {f.name: kind_of(f) for f in dataclasses.fields(cls)}  # type: ignore[arg-type]  # it is one now
        cls.field_kinds |= names or {}  # arrays of a file have its names, such as conv1.weight, which no field can have
        cls._has_state = STATE in cls.field_kinds.values()
        if "__init__" in cls.__dict__:
            cls.__init__ = checked_call(cls.__init__, cls.__name__)  # type: ignore[method-assign]  # the same, with advice
        if is_ours(cls):
            if "forward" in cls.__dict__:
                cls.forward = checked_call(cls.forward, cls.__name__)  # type: ignore[method-assign]  # the same, with advice
            checked_methods(cls)
        cls.__setattr__ = _refuse_assignment  # type: ignore[method-assign,assignment]  # with advice, where dataclasses only refuse
        _register(cls)

    def __init__(self, **values: Any) -> None:
        """Set the fields by name, for subclasses with an `__init__` of their own."""
        for f in dataclasses.fields(self):  # type: ignore[arg-type]  # subclasses are dataclasses
            if f.name in values:
                self.__dict__[f.name] = values.pop(f.name)
            elif f.default is not dataclasses.MISSING:
                self.__dict__[f.name] = f.default
            elif f.default_factory is not dataclasses.MISSING:
                self.__dict__[f.name] = f.default_factory()
        for name in values:
            raise unknown_name(f"field of {type(self).__name__}", name, self.field_kinds, user_line())
        self.__post_init__()

    def __post_init__(self) -> None:
        owner = type(self).__name__
        for name, kind in self.field_kinds.items():
            if name not in self.__dict__:
                raise _missing_field(owner, name)
            self.__dict__[name] = _CHECKS[kind](owner, name, self.__dict__[name])
        _require_separate(self)

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """`forward`, with the state held constant: it has no gradient."""
        forward = (self._held() if self._has_state else self).forward
        try:
            return forward(*inputs, **options)
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is None:  # the call itself failed
                check_call(forward, type(self).__name__, inputs, options)
            raise
        finally:
            if STACK.builders and len(self.__dict__) > len(self.field_kinds):
                _forget_traced(self)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the module computes; every subclass says."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward(self, x)")

    def _held(self) -> Module:
        now = {n: getattr(self, n) for n, k in self.field_kinds.items() if k == STATE}
        now |= CURRENT.get().remembered.get(id(self.original), {})  # of a call before, in the same pass
        fixed = {name: tree_map(stop_gradient, value) for name, value in now.items()}
        held: Module = self.with_fields(**fixed)
        held.__dict__["_original"] = self.original
        return held

    @property
    def original(self) -> Module:
        """The module as the model holds it; while `forward` runs, `self` may be a copy with its state held."""
        original: Module = self.__dict__.get("_original", self)
        return original

    def with_fields(self, **values: Any) -> Any:
        """A copy with other values in these fields, unchecked."""
        new = object.__new__(type(self))
        new.__dict__.update({n: self.__dict__[n] for n in self.field_kinds}, **values)
        return new

    def parameters(self) -> dict[str, Tensor]:
        """What is trained, by path, such as `layers[0].weight`.

        >>> import clearprop as cl
        >>> list(cl.nn.mlp([4, 16, 3]).parameters())
        ['layers[0].weight', 'layers[0].bias', 'layers[2].weight', 'layers[2].bias']
        """
        return select(self, PARAMETER)

    def state(self) -> dict[str, Tensor]:
        """What training passes recompute, by path."""
        return select(self, STATE)

    def arrays(self) -> dict[str, Tensor]:
        """Parameters and state by path: everything that must be stored."""
        return select(self, PARAMETER, STATE)

    def replace(self, values: Mapping[str, Any]) -> Any:
        """The model with other arrays at these paths, of the same shape; they take the dtype of those they replace.

        >>> import clearprop as cl
        >>> cl.nn.Dense(2, 1).replace({"weight": [[1.0], [2.0]]})(cl.tensor([3.0, 4.0]))
        Tensor([11.0])

        Raises ArgumentError for an unknown path (and names the nearest), ShapeError for another shape.
        """
        require_names("replace", "values", values, '{"layers[0].weight": array}')
        leaves, structure = flatten(self)
        at = {path: i for i, path in enumerate(layout(structure).paths)}
        for path, value in values.items():
            if path not in at:
                raise unknown_name(f"array in {type(self).__name__}", path, at, user_line())
            leaves[at[path]] = _replacement(path, value, leaves[at[path]])
        return unflatten(structure, leaves)

    def __repr__(self) -> str:
        return module_text(self)

    def label(self) -> str:
        """One word or two for tables: the class and its static fields."""
        fixed = [f"{n}={getattr(self, n)!r}" for n, k in self.field_kinds.items() if k == STATIC]
        return type(self).__name__ + (f"({', '.join(fixed)})" if fixed else "")


def _register(cls: type[Module]) -> None:
    dynamic = tuple(n for n, k in cls.field_kinds.items() if k != STATIC)
    fixed = tuple(n for n, k in cls.field_kinds.items() if k == STATIC)
    register_fields(cls, dynamic, fixed)


# ------------------------------------------------------------------------------------------ checking fields
def _refuse_assignment(module: Module, name: str, value: Any) -> None:
    raise ArgumentError(
        f"a module never changes: {type(module).__name__}.{name} cannot be assigned",
        expected="a new model",
        got=f"{name} = ...",
        where=user_line(),
        try_=f"model = model.replace({{{name!r}: array}}); in __init__, super().__init__({name}=...)",
    )


def _missing_field(owner: str, name: str) -> ArgumentError:
    return ArgumentError(
        f"{owner} was made without its field {name!r}",
        expected="a value for every field",
        got=f"no {name}",
        where=user_line(),
        try_=f"super().__init__({name}=..., ...) in {owner}.__init__",
    )


def _as_arrays(owner: str, name: str, value: Any) -> Any:
    leaves, structure = flatten(value)
    return unflatten(structure, [_as_array(owner, name, leaf) for leaf in leaves])


def _as_array(owner: str, name: str, leaf: Any) -> Any:
    if isinstance(leaf, Node):
        return leaf
    if not isinstance(leaf, (np.ndarray, np.generic, int, float)):
        raise DTypeError(
            f"the field {name!r} of {owner} holds arrays",
            expected="tensors, NumPy arrays, numbers, or containers of them",
            got=type(leaf).__name__,
            where=user_line(),
            try_=f"{name}: ... = cl.nn.static() if it is no array",
        )
    return tensor(leaf)


def _as_static(owner: str, name: str, value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        raise DTypeError(
            f"the static field {name!r} of {owner} must be hashable",
            expected="numbers, text, functions, tuples of them",
            got=type(value).__name__,
            where=user_line(),
            try_="a tuple in place of a list; cl.nn.parameter() or cl.nn.state() for an array",
        ) from None
    return value


def _as_children(owner: str, name: str, value: Any) -> Any:
    leaves, _ = optree.tree_flatten(value, is_leaf=lambda v: isinstance(v, Module), namespace=NAMESPACE)
    for leaf in leaves:
        if not isinstance(leaf, Module):
            raise ArgumentError(
                f"the field {name!r} of {owner} is not declared",
                expected="cl.nn.parameter(), cl.nn.state() or cl.nn.static(); only modules need no declaration",
                got=f"{name} = {type(leaf).__name__}",
                where=user_line(),
                try_=f"{name}: ... = cl.nn.{'parameter' if hasattr(leaf, 'shape') else 'static'}()",
            )
    return value


def _require_separate(module: Module) -> None:
    """Raise ArgumentError for arrays in two places: a tree holds values, and training would part them.

    Not within what is traced or differentiated: there a network is built anew from values that others hold, and one
    that stands in it twice is one.  Nor within a `forward`, which is not traced when it predicts.
    """
    if STACK.builders or RECORDING.followed:
        return
    try:
        _standing(module)
    except _Twice:
        if not _within_forward():
            _refuse_twice(module)


def _within_forward() -> bool:
    """Whether a module's `forward` is what makes a module: it is used now, and no training will part its layers."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "forward" and isinstance(frame.f_locals.get("self"), Module):
            return True
        frame = frame.f_back
    return False


def _forget_traced(module: Module) -> None:
    """Take from a module what a cached property has kept of the program in progress, which ends before it does."""
    for name in [n for n in module.__dict__ if n not in module.field_kinds and n != "_original"]:
        if any(isinstance(raw(leaf), Var) for leaf in flatten(module.__dict__[name])[0]):
            del module.__dict__[name]


class _Twice(Exception):
    """Something with arrays seems to stand in two places."""


_STANDING: dict[int, tuple[weakref.ref[Module], frozenset[int]]] = {}


def _standing(module: Module) -> frozenset[int]:
    """The ids of a module, of those within it and of its parameters; none, if it holds no arrays.

    They are kept as long as the module is, so that one that is made of others only joins theirs.
    """
    key = id(module)
    if (kept := _STANDING.get(key)) is not None:
        return kept[1]
    found, holds = set[int](), False
    usual = _defaults(module)
    for name, kind in module.field_kinds.items():
        value = module.__dict__[name]
        if kind == STATIC:
            continue
        if kind == STATE or value is usual.get(name):
            holds = holds or _holds_arrays(value)
            continue
        for part in _direct_parts(value):
            own = _ids_of(part)
            if not found.isdisjoint(own):
                raise _Twice
            found |= own
    ids = frozenset((*found, key)) if found or holds else frozenset()
    _STANDING[key] = weakref.ref(module, functools.partial(_STANDING.pop, key)), ids  # it is the default of pop, too
    return ids


def _ids_of(part: Any) -> frozenset[int]:
    if isinstance(part, Module):
        return _standing(part)
    return frozenset([id(part)] if _is_leaf(part) else [])


def _refuse_twice(module: Module) -> None:
    """Raise ArgumentError with both places; not where the ids are of what a list in a field held before it changed."""
    seen: dict[int, str] = {}
    for path, part in _parts_with_arrays(module, ""):
        first = seen.setdefault(id(part), path)
        if first != path:
            layer = isinstance(part, Module)
            raise ArgumentError(
                "a layer with arrays is used twice" if layer else "a parameter stands in two places",
                expected="every layer once: a model is a tree of values, and shared weights would part when trained",
                got=f"{first} is {path}",
                where=user_line(),
                try_="a module of your own whose forward calls the shared layer twice"
                if layer
                else "one field, which forward uses twice; cl.tensor(w) for two that only begin alike",
            )


def _parts_with_arrays(module: Module, above: str) -> Iterator[tuple[str, Any]]:
    """The modules within a module that hold arrays, and its parameters but for defaults of a class, by their paths."""
    usual = _defaults(module)
    for name, kind in module.field_kinds.items():
        value = module.__dict__[name]
        if kind not in (CHILD, PARAMETER) or value is usual.get(name):
            continue
        found, structure = optree.tree_flatten(value, is_leaf=lambda v: isinstance(v, Module), namespace=NAMESPACE)
        for place, part in zip(structure.accessors(), found, strict=True):
            path = f"{above}{name}{place.codify('')}"
            if isinstance(part, Module):
                if _holds_arrays(part):
                    yield path, part
                    yield from _parts_with_arrays(part, f"{path}.")
            elif _is_leaf(part):
                yield path, part


def _defaults(module: Module) -> dict[str, Any]:
    return {f.name: f.default for f in dataclasses.fields(module)}  # type: ignore[arg-type]  # subclasses are dataclasses


def _direct_parts(value: Any) -> Sequence[Any]:
    if isinstance(value, (Module, Node)):
        return (value,)
    parts: list[Any] = optree.tree_leaves(value, is_leaf=lambda v: isinstance(v, Module), namespace=NAMESPACE)
    return parts


def _holds_arrays(value: Any) -> bool:
    return any(not isinstance(leaf, Node) or _is_leaf(leaf) for leaf in flatten(value)[0])


def _is_leaf(part: Any) -> bool:
    """Whether it is a tensor that nothing recorded has computed: what is trained, and not a value made of that."""
    return isinstance(part, Node) and part.application is None


_CHECKS: dict[str, Callable[[str, str, Any], Any]] = {
    PARAMETER: _as_arrays,
    STATE: _as_arrays,
    STATIC: _as_static,
    CHILD: _as_children,
}


def _replacement(path: str, value: Any, old: Any) -> Any:
    new = value if isinstance(value, Node) else tensor(value)
    if tuple(shape_of(new)) != tuple(shape_of(old)):
        raise ShapeError(
            f"{path} has another shape",
            expected=f"shape {shape_of(old)}",
            got=f"shape {shape_of(new)}",
            where=user_line(),
        )
    dtype = type_of(raw(old)).dtype
    return new if type_of(raw(new)).dtype == dtype else astype(new, dtype=dtype)
