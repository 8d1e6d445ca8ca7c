"""Training passes: `apply`, and what a module can ask while one runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from clearprop.autodiff.trees import tree_map
from clearprop.errors import ArgumentError, checked_call, require_flag, unknown_name, user_line
from clearprop.nn.fields import STATE
from clearprop.nn.initialisers import as_key
from clearprop.nn.module import CURRENT, Module, Pass
from clearprop.program.ir import STACK, Turn, builder
from clearprop.program.types import type_of
from clearprop.program.values import Node, raw
from clearprop.rules import random
from clearprop.rules.elementwise import astype


@contextmanager
def _pass_scope(current: Pass) -> Iterator[None]:
    token, before = CURRENT.set(current), STACK.in_pass
    STACK.in_pass = True
    try:
        yield
    finally:
        STACK.in_pass = before
        CURRENT.reset(token)


@checked_call
def apply(model: Any, *inputs: Any, train: bool = True, rng: Any = None) -> tuple[Any, Any]:
    """`(y, model2)`: the output of a training pass, and the model with the state that the pass computed.

    model   a module, or any function of the inputs that calls modules
    inputs  what it is called with
    train   False makes it inference, and `model2` is `model`
    rng     a key of `cl.random`, or a seed; every random layer folds its own number into it, counted in the order of
            the calls.  None will do where no layer is random

    `model2` equals `model` but for its state fields; they carry no history.  Raises ArgumentError where a random layer
    finds no key.

    Inside a transform the model comes back as an auxiliary output:

    >>> import clearprop as cl
    >>> model = cl.nn.Sequential(cl.nn.Dense(2, 3, rng=0), cl.nn.BatchNorm(3))
    >>> def loss(model, x, y):
    ...     out, model = cl.nn.apply(model, x, train=True)
    ...     return cl.nn.mse(out, y), model
    >>> x, y = cl.ones((4, 2)), cl.zeros((4, 3))
    >>> (value, model), grads = cl.value_and_grad(loss, has_aux=True)(model, x, y)
    """
    if not callable(model):
        raise ArgumentError(
            "apply calls a model",
            expected="a module, or a function of the inputs that calls modules",
            got=repr(model)[:200],
            where=user_line(),
        )
    current = Pass(require_flag("apply", "train", train), rng if rng is None else as_key(rng))
    with _pass_scope(current):
        out = model(*inputs)
    return out, _with_state(model, current.remembered) if current.remembered else model


@checked_call
def is_training() -> bool:
    """Whether a training pass is running (`cl.nn.apply` with `train=True`).

    >>> import clearprop as cl
    >>> model = cl.nn.Function(lambda x: x * cl.nn.is_training())
    >>> model(cl.tensor(2.0)), cl.nn.apply(model, cl.tensor(2.0))[0]
    (Tensor(0.0), Tensor(2.0))
    """
    return CURRENT.get().train


@checked_call
def next_key(asker: str = "a random layer") -> Any:
    """A key of its own for the layer that asks; every call gives another one, and so does every step of a loop.

    A loop is `cl.scan`, `cl.map`, `cl.fori_loop`, `cl.while_loop(max_steps=)`; each example of `cl.vmap` has one, too.

    asker  who asks, for the message

    Raises ArgumentError if the pass was started without `rng`.

    >>> import clearprop as cl
    >>> noisy = cl.nn.Function(lambda x: x + cl.random.normal(cl.nn.next_key("noise"), (3,)))
    >>> y, _ = cl.nn.apply(noisy, cl.zeros(3), rng=0)
    >>> [round(v, 3) for v in y.tolist()]
    [-1.401, -0.304, -1.379]
    """
    current = CURRENT.get()
    if current.key is None:
        raise ArgumentError(
            f"{asker} needs random numbers, and the pass has no key",
            expected="rng=, a key of cl.random",
            got="rng=None",
            where=user_line(),
            try_="y, model = cl.nn.apply(model, x, rng=cl.random.key(0))",
        )
    around: Pass | Turn = current
    key = current.key
    for turn in STACK.turns[current.turns :]:  # loops within the pass: each of their steps has numbers of its own
        if turn.place is None:
            turn.asked, turn.place = True, around.drawn
            around.drawn += 1
        key, around = random.fold_in(random.fold_in(key, turn.place), turn.index), turn
    around.drawn += 1
    return random.fold_in(key, around.drawn - 1)


@checked_call
def remember(module: Module, **values: Any) -> None:
    """New values for state fields of `module`, in the dtype of the old; `apply` returns the model that has them.

    Inference ignores them.  A module that is called again in the same pass reads what it has remembered in it.

    module  the module itself: `cl.nn.remember(self, …)` in its `forward`
    values  by the names of its state fields

    Raises ArgumentError for a name that is no state field, and within `cl.remat`, `cl.vmap`, loops and branches, whose
    programs give back nothing but their results.

    >>> import clearprop as cl
    >>> class Largest(cl.nn.Module):
    ...     seen: cl.Tensor = cl.nn.state()
    ...
    ...     def forward(self, x):
    ...         cl.nn.remember(self, seen=cl.maximum(self.seen, cl.max(x)))
    ...         return x / self.seen
    >>> cl.nn.apply(Largest(seen=1.0), cl.tensor([2.0, 5.0]))[1].seen
    Tensor(5.0)
    """
    current = CURRENT.get()
    if not current.train:
        return
    for name in values:
        if type(module).field_kinds.get(name) != STATE:
            known = [n for n, k in type(module).field_kinds.items() if k == STATE]
            raise unknown_name(f"state field of {type(module).__name__}", name, known, user_line())
    if builder() is not current.builder:
        raise ArgumentError(
            f"{type(module).__name__} cannot remember what belongs to another program",
            expected="a layer that remembers in the pass itself, or in a part of it that is differentiated",
            got="one within cl.remat, cl.vmap, a loop or a branch, whose steps are programs of their own",
            where=user_line(),
            try_="call the layer outside of it, or give its state out as a result",
        )
    kept = {n: tree_map(_without_history, value, getattr(module, n)) for n, value in values.items()}
    current.remember(module.original, kept)


def _without_history(value: Any, old: Any) -> Any:
    """The value without history, in the dtype of the old one."""
    dtype = type_of(raw(old)).dtype
    return Node.tensor(raw(value if type_of(raw(value)).dtype == dtype else astype(value, dtype=dtype)))


def _with_state(tree: Any, remembered: dict[int, dict[str, Any]]) -> Any:
    """The tree with the remembered values in place of the modules' old state."""
    if isinstance(tree, Module):
        fields = {n: _with_state(getattr(tree, n), remembered) for n, k in tree.field_kinds.items() if k == "child"}
        return tree.with_fields(**fields, **remembered.get(id(tree), {}))
    if isinstance(tree, dict):
        return {k: _with_state(v, remembered) for k, v in tree.items()}
    if isinstance(tree, (list, tuple)) and not hasattr(tree, "_fields"):
        return type(tree)(_with_state(v, remembered) for v in tree)
    return tree
