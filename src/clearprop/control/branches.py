"""`cl.cond` and `cl.switch`: one of several functions, chosen by a value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from clearprop.autodiff.trees import flatten, structure_text, unflatten
from clearprop.control.carries import can_become, check_leaf, check_scalar, differing_text, strong_outputs
from clearprop.control.operation import as_tensors, types_of
from clearprop.control.subprograms import Closed, close, leaf_names
from clearprop.control.switch_operation import run_branch
from clearprop.errors import ArgumentError, checked_call, require_function, user_line
from clearprop.program.types import Tree, Type, promote


@checked_call
def cond(predicate: Any, if_true: Callable[..., Any], if_false: Callable[..., Any], *operands: Tree) -> Any:
    """if_true(*operands) where the predicate holds, else if_false(*operands): only the one that is taken is computed.

    predicate          a truth: a boolean without axes
    if_true, if_false  functions of the operands, whose results have the same structure, shapes and dtypes
    operands           trees of arrays; what the functions read from around them is differentiated as well

    Mapped over a batch (`cl.vmap`) whose examples differ in the predicate, both are computed and each example has its
    own: what was not taken contributes nothing to a gradient, NaN included.

    Raises DTypeError for a predicate that is no truth, ArgumentError if the results differ in kind.

    >>> import clearprop as cl
    >>> cl.cond(cl.tensor(2.0) > 1, lambda x: x * x, lambda x: -x, 3.0)
    Tensor(9.0)
    >>> cl.grad(lambda x: cl.cond(x > 1, lambda x: x * x, lambda x: -x, x))(0.5)
    Tensor(-1.0)
    """
    for f in (if_true, if_false):
        require_function(f, "cond")
    check_scalar(
        predicate,
        "b",
        "cond needs a predicate that is true or false",
        expected="a boolean without axes",
        try_="x > 0 for a number; cl.any(x) or cl.all(x) for an array, or cl.where, which chooses entry by entry",
    )
    return _branch("cond", predicate, (if_false, if_true), operands, ("if_false", "if_true"))


@checked_call
def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Tree) -> Any:
    """branches[index](*operands): only the one that is taken is computed.

    index     an integer without axes; one outside 0 … len(branches) − 1 takes the nearest branch
    branches  functions of the operands, whose results have the same structure, shapes and dtypes
    operands  trees of arrays

    Maps over batches as `cl.cond` does.

    >>> import clearprop as cl
    >>> cl.switch(cl.tensor(2), [cl.sin, cl.cos, cl.exp], 0.0)
    Tensor(1.0)
    """
    if not isinstance(branches, (list, tuple)):
        raise ArgumentError(
            "switch takes its branches as a list",
            expected="a list or tuple of functions",
            got=type(branches).__name__,
            where=user_line(),
        )
    if not branches:
        raise ArgumentError("switch has no branches", expected="at least one function", got="none", where=user_line())
    for f in branches:
        require_function(f, "switch")
    check_scalar(
        index,
        "iu",
        "switch needs the number of a branch",
        expected="an integer without axes",
        try_="cl.cond(predicate, if_true, if_false) for a truth",
    )
    return _branch("switch", index, branches, operands, [f"branch {k}" for k in range(len(branches))])


def _branch(
    name: str, index: Any, functions: Sequence[Callable[..., Any]], operands: Sequence[Tree], called: Sequence[str]
) -> Any:
    leaves, structure = flatten(list(operands))
    leaves = [check_leaf(name, "an operand", v) for v in leaves]
    branches = [_Branch(f, structure, leaves, operands) for f in functions]
    closed = [b.close() for b in branches]
    wanted = _agreed_types(name, branches, called)
    if any(t.weak for b in branches for t in b.results):
        closed = [b.close(wanted) for b in branches]
    found = run_branch(index, leaves, closed) if wanted else []
    return unflatten(branches[0].structure, as_tensors(found))


class _Branch:
    """A function that may be taken, and what tracing finds out about it."""

    def __init__(self, f: Callable[..., Any], arguments: Any, leaves: Sequence[Any], operands: Sequence[Tree]) -> None:
        self.f, self.arguments, self.types = f, arguments, types_of(leaves)
        self.names = leaf_names(f, operands)
        self.structure: Any = None
        self.results: list[Type] = []

    def close(self, wanted: Sequence[Type] = ()) -> Closed:
        """The closed program, whose Python numbers have the wanted dtypes."""

        def flat(*values: Any) -> list[Any]:
            outputs, self.structure = flatten(self.f(*unflatten(self.arguments, values)))
            outputs = [check_leaf("a branch", "its result", v) for v in outputs]
            self.results = types_of(outputs)
            return strong_outputs(outputs, wanted)

        return close(flat, self.types, self.names)


def _agreed_types(name: str, branches: Sequence[_Branch], called: Sequence[str]) -> list[Type]:
    """The types that the results of all branches have, or as Python numbers adopt."""
    for branch, own in zip(branches[1:], called[1:], strict=True):
        _check_structure(name, branches[0], called[0], branch, own)
    wanted = [_common(types) for types in zip(*(b.results for b in branches), strict=True)]
    for branch, own in zip(branches, called, strict=True):
        _check_types(name, branches[0], wanted, branch, own)
    return wanted


def _common(types: Sequence[Type]) -> Type:
    """The first type that is no Python number's; of numbers alone, the one that holds all."""
    strong = next((t for t in types if not t.weak), None)
    return strong or Type((), promote(types)[0])


def _check_structure(name: str, first: _Branch, called: str, other: _Branch, own: str) -> None:
    if first.structure != other.structure:
        raise ArgumentError(
            f"{name}: branches return different structures",
            expected=f"{structure_text(first.structure)}, as {called} returns",
            got=f"{structure_text(other.structure)} from {own}",
            where=user_line(),
            try_="return the same keys and lengths from every branch",
        )


def _check_types(name: str, first: _Branch, wanted: Sequence[Type], other: _Branch, own: str) -> None:
    differs = [not can_become(b, a) for a, b in zip(wanted, other.results, strict=True)]
    if any(differs):
        raise ArgumentError(
            f"{name}: branches return different types",
            expected=f"{differing_text(first.structure, wanted, differs)} from every branch",
            got=f"{differing_text(other.structure, other.results, differs)} from {own}",
            where=user_line(),
            try_="broadcast or convert in the branch",
        )
