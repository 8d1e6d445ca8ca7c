"""Kernels as LLVM's language, straight from their text, by Numba's own rules for every single operation.

Numba goes from bytecode by its own representation, assignments made single and types inferred, to LLVM, which takes
longer than LLVM itself.  The text of a kernel needs little of that: numbers, arrays of one axis, ranges, branches, and
variables whose types follow in the order of the text.  What an operation is of operands of these types, and how it is
written, Numba is asked once in a process.  A text with anything else is left to Numba as a whole.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils, errors, typing

from clearprop.notation.expressions import syntax_tree

_BINARY: dict[type[ast.operator], Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
_COMPARISONS: dict[type[ast.cmpop], Any] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_UNARY: dict[type[ast.unaryop], Any] = {ast.USub: operator.neg, ast.Invert: operator.invert, ast.Not: operator.not_}

_BUILTINS = {f.__name__: f for f in (range, abs, int, float, bool)}
_EXTREMES = {"min": operator.lt, "max": operator.gt}


class LeftToNumba(Exception):
    """The text has something that is not known here."""


class TypedValue(NamedTuple):
    """A value in LLVM's language, and its type in Numba's."""

    type: Any
    value: Any


class KnownOperations:
    """What Numba says of operations: found once for operands of the same types."""

    def __init__(self, typing_context: Any, context: Any) -> None:
        self.typing, self.context = typing_context, context
        self._types = dict[int, tuple[Any, Any]]()
        self._known = dict[Any, tuple[Any, Any]]()

    def type_of(self, value: Any) -> Any:
        """The type of what a name outside of the kernel means."""
        found = self._types.get(id(value))
        if found is None:  # beside the value itself, so that no other has its identity
            found = self._types[id(value)] = value, self.typing.resolve_value_type(value)
        return found[1]

    def call(self, builder: Any, function: Any, operands: Sequence[TypedValue]) -> TypedValue:
        """The result of a function, or an operator, of these operands."""
        given = tuple(o.type for o in operands)
        kind = self.type_of(function)
        known = self._known.get((kind, given))
        if known is None:
            known = self._known[kind, given] = self._find(kind, given)
        signature, implementation = known
        self.context.add_linking_libs(getattr(implementation, "libs", ()))
        values = [self.cast(builder, o, t) for o, t in zip(operands, signature.args, strict=True)]
        return TypedValue(signature.return_type, implementation(builder, values))

    def iterate(self, builder: Any, which: str, result: Any, operand: TypedValue) -> Any:
        """What `getiter` or `iternext` give."""
        key = (which, operand.type)
        if key not in self._known:
            signature = typing.signature(result, operand.type)
            self._known[key] = signature, self.context.get_function(which, signature)
        return self._known[key][1](builder, (operand.value,))

    def cast(self, builder: Any, value: TypedValue, target: Any) -> Any:
        """The value as one of another type."""
        return self.context.cast(builder, value.value, value.type, target)

    def _find(self, kind: Any, given: tuple[Any, ...]) -> tuple[Any, Any]:
        try:
            signature = self.typing.resolve_function_type(kind, given, {})
        except errors.NumbaError as error:
            raise LeftToNumba(str(error)) from error
        if signature is None or len(signature.args) != len(given) or signature.recvr:
            raise LeftToNumba(f"{kind} of {given}")
        try:
            return signature, self.context.get_function(kind, signature)
        except NotImplementedError as error:
            raise LeftToNumba(str(error)) from error


Kinds = dict[str, Any]
"""The types of variables at a place in the text; None where it depends on the way there."""


class _OpenLoop:
    """Where a turn goes on, and where it ends; with which types it does, and which variables it reads, as what."""

    def __init__(self, head: Any, after: Any) -> None:
        self.head, self.after = head, after
        self.ends, self.read = list[Kinds](), set[tuple[str, Any]]()


def _merge(ends: Sequence[Kinds]) -> Kinds:
    """What is known where ways meet."""
    found = Kinds()
    for kinds in ends:
        for name, kind in kinds.items():
            found[name] = kind if found.get(name, kind) == kind else None
    return found


class KernelWriter:
    """Writes the body of a kernel.

    names  what names outside of it mean
    """

    def __init__(self, operations: KnownOperations, builder: Any, names: Mapping[str, Any]) -> None:
        self.operations, self.builder, self.names = operations, builder, names
        self.kinds: Kinds = {}  # of variables, at this place of the text
        self.places = dict[tuple[str, Any], Any]()  # where values of a variable are kept, for each of its types
        self.loops = list[_OpenLoop]()

    def write(self, function: ast.FunctionDef, arguments: Sequence[TypedValue], end: Callable[[], None]) -> None:
        """The whole kernel; `end` returns from it."""
        self.end = end
        stored = (n for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
        self.own = {n.id for n in stored} | {a.arg for a in function.args.args}
        for argument, given in zip(function.args.args, arguments, strict=True):
            self.store(argument.arg, given)
        self.statements(function.body)
        if not self.builder.block.is_terminated:
            end()

    # ------------------------------------------------------------------------------------------------ statements
    def statements(self, body: Sequence[ast.stmt]) -> None:
        """One after another, up to one that goes elsewhere."""
        for statement in body:
            if self.builder.block.is_terminated:
                return
            write = getattr(self, f"_write_{type(statement).__name__.lower()}", None)
            if write is None:
                raise LeftToNumba(type(statement).__name__)
            write(statement)

    def _write_assign(self, statement: ast.Assign) -> None:
        target = statement.targets[0]
        if isinstance(target, ast.Tuple) and isinstance(statement.value, ast.Tuple) and len(statement.targets) == 1:
            values = list(map(self.value, statement.value.elts))  # all of them before the first is kept
            for each, found in zip(target.elts, values, strict=True):
                self._assign(each, found)
            return
        found = self.value(statement.value)
        for target in statement.targets:
            self._assign(target, found)

    def _assign(self, target: ast.expr, found: TypedValue) -> None:
        if isinstance(target, ast.Name):
            self.store(target.id, found)
        elif isinstance(target, ast.Subscript):
            array, at = self.value(target.value), self.value(target.slice)
            self.operations.call(self.builder, operator.setitem, [array, at, found])
        else:
            raise LeftToNumba(type(target).__name__)

    def _write_augassign(self, statement: ast.AugAssign) -> None:
        now = ast.copy_location(_as_read(statement.target), statement)
        self._assign(statement.target, self._binary(statement.op, self.value(now), self.value(statement.value)))

    def _write_expr(self, statement: ast.Expr) -> None:
        if not isinstance(statement.value, ast.Constant):  # a docstring
            self.value(statement.value)

    def _write_if(self, statement: ast.If) -> None:
        yes, no, after = self._blocks("then", "else", "after")
        self.branch(statement.test, yes, no)
        before, ends = self.kinds, list[Kinds]()
        for block, body in ((yes, statement.body), (no, statement.orelse)):
            self._stand_at(block)
            self.kinds = dict(before)
            self.statements(body)
            ends += [] if self.builder.block.is_terminated else [self.kinds]
            self._go_to(after)
        self._stand_at(after)
        self.kinds = _merge(ends)

    def _write_while(self, statement: ast.While) -> None:
        head, body, after = self._blocks("while", "body", "after")
        self._go_to(head)
        self._stand_at(head)
        before, loop = dict(self.kinds), _OpenLoop(head, after)
        self.loops.append(loop)  # what the condition reads is read in every turn
        self.branch(statement.test, body, after)
        self.loops.pop()
        self._loop(statement, body, loop, before)

    def _write_for(self, statement: ast.For) -> None:
        numbers = self.value(statement.iter)
        if not isinstance(numbers.type, types.RangeType):
            raise LeftToNumba(f"a loop over {numbers.type}")
        kind = numbers.type.iterator_type
        iterator = TypedValue(kind, self.operations.iterate(self.builder, "getiter", kind, numbers))
        head, body, after = self._blocks("for", "body", "after")
        self._go_to(head)
        self._stand_at(head)
        pair = types.Pair(kind.yield_type, types.boolean)
        found, context = self.operations.iterate(self.builder, "iternext", pair, iterator), self.operations.context
        first, there = (take(self.builder, found, pair) for take in (context.pair_first, context.pair_second))
        self.builder.cbranch(there, body, after)
        self._stand_at(body)
        before = dict(self.kinds)
        self._assign(statement.target, TypedValue(kind.yield_type, first))
        self._loop(statement, body, _OpenLoop(head, after), before)

    def _loop(self, statement: ast.For | ast.While, body: Any, loop: _OpenLoop, before: Kinds) -> None:
        if statement.orelse:
            raise LeftToNumba("else behind a loop")
        self._stand_at(body)
        self.loops.append(loop)
        self.statements(statement.body)
        self._leave(loop, loop.head)
        self.loops.pop()
        self._stand_at(loop.after)
        self.kinds = _merge([before, *loop.ends])
        for name, kind in before.items():
            if kind is not None and self.kinds[name] is None and (name, kind) in loop.read:
                raise LeftToNumba(f"{name} changes its type in a loop")
        for outer in self.loops:
            outer.read |= loop.read

    def _leave(self, loop: _OpenLoop, block: Any) -> None:
        if not self.builder.block.is_terminated:
            loop.ends.append(dict(self.kinds))
            self.builder.branch(block)

    def _write_continue(self, statement: ast.Continue) -> None:
        self._leave(self.loops[-1], self.loops[-1].head)

    def _write_break(self, statement: ast.Break) -> None:
        self._leave(self.loops[-1], self.loops[-1].after)

    def _write_pass(self, statement: ast.Pass) -> None:
        pass

    def _write_return(self, statement: ast.Return) -> None:
        if statement.value is not None:
            raise LeftToNumba("a kernel that returns something")
        self.end()

    def _blocks(self, *names: str) -> list[Any]:
        return [self.builder.append_basic_block(name) for name in names]

    def _stand_at(self, block: Any) -> None:
        """Write into a block, which comes behind those that were written before, as in the text."""
        self.builder.position_at_end(block)
        blocks = self.builder.function.blocks
        if not block.instructions:
            blocks.remove(block)
            blocks.append(block)

    def _go_to(self, block: Any) -> None:
        if not self.builder.block.is_terminated:
            self.builder.branch(block)

    # ------------------------------------------------------------------------------------------------ variables
    def store(self, name: str, given: TypedValue) -> None:
        """Keep a value under a name; values of another type lie at another place."""
        kind = self.kinds[name] = types.unliteral(given.type)
        if (name, kind) not in self.places:
            place = cgutils.alloca_once(self.builder, self.operations.context.get_value_type(kind), name=name)
            self.places[name, kind] = place
        self.builder.store(self.operations.cast(self.builder, given, kind), self.places[name, kind])

    def load(self, name: str) -> TypedValue:
        """The value of a variable, which has one type at this place, from wherever one comes to it."""
        kind = self.kinds.get(name)
        if kind is None:
            raise LeftToNumba(f"{name} without a type")
        if self.loops:
            self.loops[-1].read.add((name, kind))
        return TypedValue(kind, self.builder.load(self.places[name, kind]))

    def _outside(self, name: str) -> Any:
        if name not in self.names:
            raise LeftToNumba(name)
        return self.names[name]

    # ------------------------------------------------------------------------------------------------ expressions
    def value(self, expression: ast.expr) -> TypedValue:
        """The value of an expression."""
        write = getattr(self, f"_value_of_{type(expression).__name__.lower()}", None)
        if write is None:
            raise LeftToNumba(type(expression).__name__)
        found: TypedValue = write(expression)
        return found

    def _value_of_name(self, expression: ast.Name) -> TypedValue:
        if expression.id in self.own:
            return self.load(expression.id)
        return self._constant(self._outside(expression.id))

    def _value_of_constant(self, expression: ast.Constant) -> TypedValue:
        return self._constant(expression.value)

    def _constant(self, number: Any) -> TypedValue:
        if type(number) not in (int, float, bool):
            raise LeftToNumba(f"{number!r}")
        kind = types.maybe_literal(number) or self.operations.type_of(number)
        return TypedValue(kind, self.operations.context.get_constant(types.unliteral(kind), number))

    def _value_of_subscript(self, expression: ast.Subscript) -> TypedValue:
        array = self.value(expression.value)
        if not isinstance(array.type, types.Array):
            raise LeftToNumba(f"an element of {array.type}")
        return self.operations.call(self.builder, operator.getitem, [array, self.value(expression.slice)])

    def _value_of_binop(self, expression: ast.BinOp) -> TypedValue:
        return self._binary(expression.op, self.value(expression.left), self.value(expression.right))

    def _binary(self, op: ast.operator, left: TypedValue, right: TypedValue) -> TypedValue:
        if type(op) not in _BINARY:
            raise LeftToNumba(type(op).__name__)
        return self.operations.call(self.builder, _BINARY[type(op)], [left, right])

    def _value_of_unaryop(self, expression: ast.UnaryOp) -> TypedValue:
        if type(expression.op) not in _UNARY:
            raise LeftToNumba(type(expression.op).__name__)
        return self.operations.call(self.builder, _UNARY[type(expression.op)], [self.value(expression.operand)])

    def _value_of_compare(self, expression: ast.Compare) -> TypedValue:
        if len(expression.ops) > 1:
            return self._value_of_boolop(_pairs(expression))
        if type(expression.ops[0]) not in _COMPARISONS:
            raise LeftToNumba(type(expression.ops[0]).__name__)
        operands = [self.value(expression.left), self.value(expression.comparators[0])]
        return self.operations.call(self.builder, _COMPARISONS[type(expression.ops[0])], operands)

    def _value_of_call(self, expression: ast.Call) -> TypedValue:
        if expression.keywords or not isinstance(expression.func, ast.Name) or expression.func.id in self.own:
            raise LeftToNumba("such a call")
        name = expression.func.id
        if name in _EXTREMES and name not in self.names:
            return self._extreme(name, list(map(self.value, expression.args)))
        function = self._outside(name) if name in self.names else _BUILTINS.get(name)
        if function is None:
            raise LeftToNumba(name)
        return self.operations.call(self.builder, function, list(map(self.value, expression.args)))

    def _extreme(self, name: str, operands: Sequence[TypedValue]) -> TypedValue:
        """Python's `min` or `max` of numbers of one type: the first, unless a later one comes before it.

        It is a function of its own: where LLVM knows from the start that a loop is short, it unrolls it in another way
        than it does for Numba, and sums are added in another order.
        """
        kind = types.unliteral(operands[0].type)
        if not isinstance(kind, types.Number) or any(types.unliteral(o.type) != kind for o in operands):
            raise LeftToNumba(f"{name} of {[o.type for o in operands]}")
        found, function = operands[0].value, self._extreme_of_two(name, kind)
        for each in operands[1:]:
            found = self.builder.call(function, [found, each.value])
        return TypedValue(kind, found)

    def _extreme_of_two(self, name: str, kind: Any) -> Any:
        module, number = self.builder.module, self.operations.context.get_value_type(kind)
        name = f"{name}.{kind}"
        if name in module.globals:
            return module.globals[name]
        function = ir.Function(module, ir.FunctionType(number, [number, number]), name)
        function.linkage = "internal"
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        first, second = function.args
        comes_before = _EXTREMES[name.partition(".")[0]]
        before = self.operations.call(builder, comes_before, [TypedValue(kind, second), TypedValue(kind, first)])
        builder.ret(builder.select(before.value, second, first))
        return function

    def _value_of_ifexp(self, expression: ast.IfExp) -> TypedValue:
        yes, no, after = self._blocks("yes", "no", "chosen")
        self.branch(expression.test, yes, no)
        name = self._unnamed()
        for block, each in ((yes, expression.body), (no, expression.orelse)):
            self._stand_at(block)
            self._choose(name, self.value(each))
            self._go_to(after)
        self._stand_at(after)
        return self.load(name)

    def _value_of_boolop(self, expression: ast.BoolOp) -> TypedValue:
        (after,), name = self._blocks("decided"), self._unnamed()
        for each in expression.values[:-1]:
            (further,) = self._blocks("further")
            found = self.value(each)
            self._choose(name, found)
            test = self.operations.cast(self.builder, found, types.boolean)
            self.builder.cbranch(test, *((further, after) if isinstance(expression.op, ast.And) else (after, further)))
            self._stand_at(further)
        self._choose(name, self.value(expression.values[-1]))
        self._go_to(after)
        self._stand_at(after)
        return self.load(name)

    def _choose(self, name: str, found: TypedValue) -> None:
        if self.kinds.get(name, types.unliteral(found.type)) != types.unliteral(found.type):
            raise LeftToNumba("a choice between types")
        self.store(name, found)

    def _unnamed(self) -> str:
        """The name of a variable that the text does not name."""
        return f"{len(self.places)} chosen"

    def branch(self, test: ast.expr, yes: Any, no: Any) -> None:
        """Go on here or there; what stands behind `and` and `or` is computed where it decides."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            self.branch(test.operand, no, yes)
        elif isinstance(test, ast.Compare) and len(test.ops) > 1:
            self.branch(_pairs(test), yes, no)
        elif isinstance(test, ast.BoolOp):
            for each in test.values[:-1]:
                (further,) = self._blocks("further")
                self.branch(each, *((further, no) if isinstance(test.op, ast.And) else (yes, further)))
                self._stand_at(further)
            self.branch(test.values[-1], yes, no)
        else:
            self.builder.cbranch(self.operations.cast(self.builder, self.value(test), types.boolean), yes, no)


def _pairs(test: ast.Compare) -> ast.BoolOp:
    """a < b < c as a < b and b < c: in a kernel computing b twice does nothing twice."""
    operands = [test.left, *test.comparators]
    pairs = zip(operands, test.ops, operands[1:], strict=False)
    return ast.BoolOp(ast.And(), [ast.Compare(left, [op], [right]) for left, op, right in pairs])


def _as_read(target: ast.expr) -> ast.expr:
    """The expression that reads what an assignment writes."""
    if isinstance(target, ast.Name):
        return ast.Name(target.id, ast.Load())
    if isinstance(target, ast.Subscript):
        return ast.Subscript(target.value, target.slice, ast.Load())
    raise LeftToNumba(type(target).__name__)


def kernel_of(text: str) -> ast.FunctionDef:
    """The one function of a kernel module."""
    found = [each for each in syntax_tree(text).body if isinstance(each, ast.FunctionDef)]
    if len(found) != 1:
        raise LeftToNumba("a module with one function")
    return found[0]


def write_kernel(operations: KnownOperations, function: Any, fndesc: Any, text: str, names: Mapping[str, Any]) -> None:
    """Write the body of a kernel's function, which is declared."""
    context = operations.context
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    context.call_conv.init_call_helper(builder)
    body = function.append_basic_block("body")
    arguments = context.call_conv.decode_arguments(builder, fndesc.argtypes, function)
    builder.branch(body)
    builder.position_at_end(body)

    def end() -> None:
        nothing = context.get_return_value(builder, types.none, context.get_dummy_value())
        context.call_conv.return_value(builder, nothing)

    given = [TypedValue(kind, value) for kind, value in zip(fndesc.argtypes, arguments, strict=True)]
    KernelWriter(operations, builder, names).write(kernel_of(text), given, end)
