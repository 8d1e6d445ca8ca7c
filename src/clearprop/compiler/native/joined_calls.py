"""Small kernels that follow each other in a loop, written as one: their bodies one after the other, sizes as numbers.

A call of a kernel costs a few nanoseconds, which is all that a product of two small matrices takes.  Where a step is
made of such, its calls are joined: LLVM sees the whole step, writes its short loops out, and keeps in registers what
one kernel hands on to the next.  Each body stays what it is, so that all values are computed in the same order; a
product and a sum that now stand in one block may become one operation, as they do in a nest.

Assumed: small arrays of a step share no memory with others (`Binding`).  Kept: every array is one argument, however
many of the kernels read or write it, so that no two arguments overlap.
"""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.compiler.binding import SMALL_ARRAY, SMALL_AXIS, Binding, KernelCall, Piece
from clearprop.compiler.kernel_text import CAST
from clearprop.compiler.kernels import Kernel, Parameter
from clearprop.notation.expressions import syntax_tree
from clearprop.program.ir import Var

MANY = 32
"""Calls that become one kernel: a long one takes the compiler longer than in proportion."""

_BYTES = {short: np.dtype(name).itemsize for name, short in CAST.items()}


def join_small_calls(step: Binding) -> None:
    """Write small kernels of a program that follow each other as one."""
    runs: list[list[KernelCall]] = []
    is_open = False
    for call in (call for (call,) in step.calls if call is not None):
        small = _is_small(call, step)
        if is_open and small and len(runs[-1]) < MANY and _agree(runs[-1], call):
            runs[-1].append(call)
        else:
            runs.append([call])
        is_open = small
    step.calls = [[run[0] if len(run) == 1 else one_call(run)] for run in runs]


def _is_small(call: KernelCall, step: Binding) -> bool:
    """Whether a kernel goes through few elements of small arrays, and does nothing but read and write them."""
    kernel = call.kernel
    arrays = [p.name for p in kernel.parameters if p.kind != "number" and p.dtype]
    by_address = call.held or len(arrays) < len(call.addresses)  # what runs other kernels, or calls a library
    if by_address or math.prod(map(step.number, kernel.domain)) > SMALL_ARRAY:
        return False
    small = all(_is_small_array(held, step) for _, held, _ in call.addresses)
    return small and _agree([call], call) and _is_plain(kernel.text, *arrays)


def _is_small_array(held: Any, step: Binding) -> bool:
    if isinstance(held, Var):
        shape = list(map(step.number, held.shape))
        return max(shape, default=1) <= SMALL_AXIS and math.prod(shape) <= SMALL_ARRAY
    return not isinstance(held, Piece) or held.size <= 8 * SMALL_ARRAY


@functools.cache
def _is_plain(text: str, *arrays: str) -> bool:
    """Whether a kernel is made of assignments and counted loops, and takes from arrays single elements alone."""
    nodes = list(ast.walk(_function(text)))
    read = sum(isinstance(n, ast.Name) and n.id in arrays for n in nodes)
    single = sum(isinstance(n, ast.Subscript) and isinstance(n.value, ast.Name) and n.value.id in arrays for n in nodes)
    return read == single and not any(isinstance(n, (ast.While, ast.Return, ast.Break, ast.Continue)) for n in nodes)


def _agree(run: Sequence[KernelCall], call: KernelCall) -> bool:
    """Whether a kernel reads memory in the dtypes in which these do: what a loop works with may lie in one piece."""
    found = {(held, c.kernel.parameters[at - 2].dtype) for c in (*run, call) for at, held, _ in c.addresses}
    return len(found) == len({held for held, _ in found})


def one_call(calls: Sequence[KernelCall]) -> KernelCall:
    """A call that does what these do, one after the other."""
    arrays: dict[Any, Parameter] = {}
    numbers: dict[Parameter, int] = {}
    bodies = [_Body(call, f"_{k}", arrays, numbers) for k, call in enumerate(calls)]
    statements = [line for body in bodies for line in body.lines()]
    sizes = sorted(set().union(*(body.sizes.items() for body in bodies)), key=lambda item: item[1])
    lines = [*(f"{name} = u64({size})" for name, size in sizes), *statements]
    parameters = [*arrays.values(), *numbers]
    text = f"def kernel({', '.join(['lo', 'hi', *(p.name for p in parameters)])}):\n"
    text += "".join(f"    {line}\n" for line in lines)
    row = [0, 1, *[0] * len(arrays), *numbers.values()]
    return KernelCall(Kernel(text, parameters), row, [(at, held, 0) for at, held in enumerate(arrays, start=2)])


def _function(text: str) -> ast.FunctionDef:
    """The syntax of a kernel."""
    (function,) = syntax_tree(text).body
    assert isinstance(function, ast.FunctionDef)
    return function


class _Body(ast.NodeTransformer):
    """The body of a kernel under names of its own, the sizes of its row in their places.

    `sizes` are the names of the numbers that are left; `arrays` and `numbers` grow by what the kernel is given.
    """

    def __init__(
        self, call: KernelCall, suffix: str, arrays: dict[Any, Parameter], numbers: dict[Parameter, int]
    ) -> None:
        self.function, self.suffix = _function(call.kernel.text), suffix
        parameters = call.kernel.parameters
        words = dict(zip(["lo", "hi", *(p.name for p in parameters)], call.row, strict=True))
        self.arrays: dict[str, tuple[str, int]] = {}
        for at, held, offset in call.addresses:
            p = parameters[at - 2]
            own = arrays.setdefault(held, Parameter(f"a{len(arrays)}", "array", held, p.dtype))
            self.arrays[p.name] = own.name, offset // _BYTES[p.dtype]
            del words[p.name]
        given = [p for p in parameters if p.kind == "number"]
        numbers |= {Parameter(p.name + suffix, "number", p.what, p.dtype): words.pop(p.name) for p in given}
        self.known = {name: _with_sign(word) for name, word in words.items()}
        self.own = {n.id for n in ast.walk(self.function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        self.own |= {p.name for p in given}
        self.sizes: dict[str, int] = {}

    def lines(self) -> list[str]:
        """The statements."""
        new = self._visited(self.function.body)
        lines = [line for s in new for line in ast.unparse(ast.fix_missing_locations(s)).splitlines()]
        used = {n.id for s in new for n in ast.walk(s) if isinstance(n, ast.Name)}
        self.sizes = {name: size for name, size in self.sizes.items() if name in used}
        return lines

    def _visited(self, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
        new = (self.visit(s) for s in statements)
        return [s for found in new for s in (found if isinstance(found, list) else [found])]

    def _size(self, size: int) -> ast.Name:
        """The name of a number: said to be unsigned once, which Numba takes a while to see."""
        name = f"n{size}" if size >= 0 else f"minus{-size}"
        self.sizes[name] = size
        return ast.Name(name, ast.Load())

    def _size_of(self, node: ast.AST) -> int | None:
        return self.sizes.get(node.id) if isinstance(node, ast.Name) else None

    def visit_Name(self, node: ast.Name) -> ast.Name:
        """A number of the row, or a local by a name of its own."""
        if node.id in self.known:
            return self._size(self.known[node.id])
        return ast.Name(node.id + self.suffix, node.ctx) if node.id in self.own else node

    def visit_Subscript(self, node: ast.Subscript) -> ast.Subscript:
        """An element of an array that may begin elsewhere."""
        assert isinstance(node.value, ast.Name)
        array, offset = self.arrays[node.value.id]
        index = self.visit(node.slice)
        index = self._sum(self._size(offset), index) if offset else index
        if self._size_of(index) == 0:
            index = ast.Constant(0)
        return ast.Subscript(ast.Name(array, ast.Load()), index, node.ctx)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """A number that was said to be unsigned has a name."""
        number = node.args[0] if node.args else None
        if ast.unparse(node.func) == "u64" and isinstance(number, ast.Constant) and isinstance(number.value, int):
            return self._size(number.value)
        node.args = [self.visit(a) for a in node.args]
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """Sums and products of sizes are computed here."""
        a, b = self.visit(node.left), self.visit(node.right)
        if isinstance(node.op, ast.Add):
            return self._sum(a, b)
        if isinstance(node.op, ast.Mult):
            return self._product(a, b)
        return ast.BinOp(a, node.op, b)

    def _sum(self, a: Any, b: Any) -> ast.AST:
        m, n = self._size_of(a), self._size_of(b)
        if m is not None and n is not None:
            return self._size(_with_sign(m + n))
        if m == 0 or n == 0:
            return b if m == 0 else a  # type: ignore[no-any-return]  # a value of llvmlite's
        return ast.BinOp(a, ast.Add(), b)

    def _product(self, a: Any, b: Any) -> ast.AST:
        m, n = self._size_of(a), self._size_of(b)
        if m is not None and n is not None:
            return self._size(_with_sign(m * n))
        if 0 in (m, n):
            return self._size(0)
        if m == 1 or n == 1:
            return b if m == 1 else a  # type: ignore[no-any-return]  # a value of llvmlite's
        return ast.BinOp(a, ast.Mult(), b)

    def visit_For(self, node: ast.For) -> ast.For | list[ast.stmt]:
        """A loop; one that is taken once or not at all is none."""
        assert isinstance(node.iter, ast.Call)
        assert isinstance(node.target, ast.Name)
        ends = [self.visit(a) for a in node.iter.args]
        first, last = [self._size(0), *ends][-2:]
        begin, end, index = self._size_of(first), self._size_of(last), node.target.id
        if begin is None or end is None or end > begin + 1:
            body = self._visited(node.body)
            return ast.For(self.visit(node.target), ast.Call(node.iter.func, ends, []), body, []) if body else []
        if end <= begin:
            return []
        self.known[index] = begin
        body = self._visited(node.body)
        del self.known[index]
        return body


def _with_sign(word: int) -> int:
    """A word as a number of either sign: strides may be negative."""
    return (word + 2**63) % 2**64 - 2**63
