"""What values are called: by the user's names where there are some, else by the operation that made them."""

from __future__ import annotations

import linecache
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from clearprop.errors import printable
from clearprop.explanation.chain_rule import Graph, local_jacobian
from clearprop.explanation.jacobians import LocalJacobian, Multilinear, shape_of
from clearprop.explanation.record import Label
from clearprop.notation.expressions import escape_tex, number_tex, number_text, subscript, subscript_tex
from clearprop.program.types import PYTHON_SCALARS
from clearprop.program.values import Application, Node, raw

_ASSIGNED = re.compile(r"\s*([A-Za-z_]\w*)\s*(?::[^=]+)?=(?!=)")
_WRITTEN = {"multiply": "mul", "matmul": "sum", "add": "sum", "relu": "ReLU", "divide": "div", "subtract": "sub",
            "negative": "neg", "softmax_cross_entropy": "cross_entropy"}  # fmt: skip
_LONGEST = 40


@dataclass(frozen=True, slots=True)
class Given:
    """Names from outside the tape, by the identity of arrays: of whole values, and of the columns of tables.

    `origin` says what was explained where no line of the user's does; `native` gives the gradients of the run's own
    executor, by name.
    """

    values: Mapping[int, str] = field(default_factory=dict)
    columns: Mapping[int, Sequence[str]] = field(default_factory=dict)
    target: str = ""
    origin: str = ""
    native: Callable[[], dict[str, Any]] | None = None

    def by_array(self, arrays: Sequence[Any]) -> dict[str, Any]:
        """The same with the arrays themselves in place of their identities, which do not leave the process."""
        values = [(a, self.values[id(a)]) for a in arrays if id(a) in self.values]
        columns = [(a, self.columns[id(a)]) for a in arrays if id(a) in self.columns]
        return {"values": values, "columns": columns, "target": self.target, "origin": self.origin}

    @classmethod
    def of_arrays(cls, values: list[Any], columns: list[Any], **others: Any) -> Given:
        """What `by_array` told, in another process."""
        return cls({id(a): n for a, n in values}, {id(a): n for a, n in columns}, **others)

    def cast(self, arrays: Sequence[tuple[Any, Any]], cast: Callable[[Any], Any]) -> Given:
        """The same names for the images of the arrays, each given with what the tape stored of it."""
        values = {id(cast(stored)): self.values[id(a)] for a, stored in arrays if id(a) in self.values}
        columns = {id(cast(stored)): self.columns[id(a)] for a, stored in arrays if id(a) in self.columns}
        return replace(self, values={**self.values, **values}, columns={**self.columns, **columns})


def short_name(name: str) -> str:
    """The short form of an operation's name that symbols such as dReLU/dsum use."""
    return _WRITTEN.get(name, name)


class Labels:
    """Names for the values of one graph, unique within it."""

    def __init__(self, graph: Graph, given: Given) -> None:
        self.graph, self.given = graph, given
        self._made: dict[Application, list[LocalJacobian]] = {}
        for locals_ in graph.consumers.values():
            for local in locals_:
                self._made.setdefault(local.app, []).append(local)
        self._movers: dict[Node, LocalJacobian | None] = {}
        self._users: dict[Node, str] = {}
        self._operations: dict[Node, str] = {}
        self._assign(graph)
        self.target = printable(given.target or graph.target.name or _assigned_to(graph.target) or "y")

    def names(self) -> tuple[dict[Node, str], dict[Node, str], str]:
        """The names that were read from the user's lines, for where those lines are not at hand."""
        return self._users, self._operations, self.target

    def set_names(self, names: tuple[dict[Node, str], dict[Node, str], str]) -> None:
        """Take names that `names` gave elsewhere."""
        self._users, self._operations, self.target = names

    def _assign(self, graph: Graph) -> None:
        """The user's names, made unique; then operations, numbered where one occurs more than once."""
        self._users.update(self._held(graph))
        seen: Counter[str] = Counter(self._users.values())
        unnamed: list[Node] = []
        for node, name in self._user_names(graph):
            if name:
                seen[name] += 1
                self._users[node] = name if seen[name] == 1 else f"{name}_{seen[name]}"
            elif self._is_shown(node):
                unnamed.append(node)
        names = {node: self._layer_sum(node) or _operation(node) for node in unnamed}
        count = Counter(names.values())
        seen = Counter()
        for node, name in names.items():
            seen[name] += 1
            self._operations[node] = name if count[name] == 1 else f"{name}{seen[name]}"

    def _layer_sum(self, node: Node) -> str:
        """`layers[0].sum` for the sum that a layer's weight or bias is part of."""
        app = node.application
        if app is None or _operation(node) != "sum":
            return ""
        owners = [self._own_name(a).rpartition(".")[0] for a in app.inputs]
        return next((f"{o}.sum" for o in owners if o), "")

    def _held(self, graph: Graph) -> dict[Node, str]:
        """Names of values from outside the graph: what is read on another line than it was made had a name."""
        # A value that is made and read on one line is a part of an expression, and has no name of its own.  Moves
        # (reshape, a slice) are looked through: it is their operand that the user's line named.
        found = {v: _assigned_to(v) for v in graph.sources if not v.name}
        todo = [(app.site, a) for app, _, _ in graph.part.steps() for a in app.inputs]
        for site, value in todo:
            made = value.application if isinstance(value, Node) and value not in found else None
            if made is None or made in self._made:
                continue
            if made.site != site:
                found[value] = _assigned_to(value)
            elif made.primitive.tex == "{x}":
                todo.append((site, made.inputs[0]))
        return {v: name for v, name in found.items() if name}

    def _user_names(self, graph: Graph) -> list[tuple[Node, str]]:
        """Every value of the tape, and the name that the user's line assigns to the last one it makes."""
        found = []
        steps = list(graph.part.steps())
        for i, (app, nodes, _) in enumerate(steps):
            last = i + 1 == len(steps) or steps[i + 1][0].site != app.site
            for node in nodes:
                named = last and node is not graph.target
                found.append((node, node.name or (_assigned_to(node) if named else "")))
        return found

    def _is_shown(self, node: Node) -> bool:
        """Whether the value appears in chains: moves, and sums that are part of a sum, do not."""
        app = node.application
        made = self._made.get(app, []) if app is not None else []
        if any(local.move for local in made):
            return self.graph.is_target(node)
        readers = self.graph.consumers.get(node, [])
        if len(readers) != 1 or not any(local.additive or isinstance(local, Multilinear) for local in made):
            return True
        return not (readers[0].additive or readers[0].move)

    def target_entry(self) -> Label:
        """The target, as the numerator of ∂y/∂w."""
        return _indexed_label(self.target, self.graph.target, self.graph.at)

    def line(self, app: Application) -> str:
        """The user's line that an operation stands on; empty where the program is none of the user's."""
        return "" if self.given.origin else printable(app.where)

    def whole(self, value: Any) -> str:
        """The name of a whole value; empty for a constant without one."""
        made = isinstance(value, Node) and value.application is not None
        return self._own_name(value) or (self._operation(value) if made else "")

    # ------------------------------------------------------------------------------------------ of entries
    def entry(self, value: Any, at: int) -> Label:
        """The name of one entry: `w₀`, `layers[0].weight[3,5]`, `mul(x₀,w₀)`, `ReLU[17,5]`; else its number."""
        value, at = self.origin(value, at)
        columns = self.given.columns.get(id(raw(value)))
        if columns is not None:
            return _in_table(columns, value, at)
        name = self._own_name(value)
        if name:
            return _indexed_label(name, value, at)
        if isinstance(value, Node) and value.application is not None:
            return self._called(value, at) or _indexed_label(self._operation(value), value, at, plain=False)
        return _number(raw(value), at)

    def origin(self, value: Any, at: int) -> tuple[Any, int]:
        """The entry itself, before it was moved: reshape, transpose and slices have no names of their own."""
        while not self._own_name(value) and isinstance(value, Node) and value.application is not None:
            local = self._mover(value)
            came = local.came_from(at) if local is not None else -1
            if local is None or came < 0:
                return value, at
            value, at = local.operand, came
        return value, at

    def _mover(self, node: Node) -> LocalJacobian | None:
        """The move that made a value, if one did."""
        if node not in self._movers:
            app = node.application
            assert app is not None
            made = next(iter(self._made.get(app, [])), None)
            first = app.inputs[0] if len(app.inputs) == 1 else None
            if made is None and isinstance(first, Node) and app.primitive.tex == "{x}":
                made = local_jacobian(app, 0, node)
            self._movers[node] = made if made is not None and made.move else None
        return self._movers[node]

    def _own_name(self, value: Any) -> str:
        """The user's name for a whole value, fit to be shown; empty if there is none."""
        return printable(self._given_name(value))

    def _given_name(self, value: Any) -> str:
        if isinstance(value, Node):
            own = self._users.get(value) or value.name or self.given.values.get(id(value), "")
            if own or value.application is not None:
                return own
        return self.given.values.get(id(raw(value)), "")

    def _operation(self, node: Node) -> str:
        return self._operations.get(node) or _operation(node)

    def _called(self, node: Node, at: int) -> Label | None:
        """`mul(x₀,w₀)`: an operation that is not a sum, on operands that have names or are numbers."""
        made = self._made.get(node.application, []) if node.application is not None else []
        if not made or made[0].primitive.kind != "elementwise" or made[0].additive:
            return None
        met = made[0].values_at(at)
        operands = [met[name] for name in made[0].primitive.operands]
        if not all(self._is_atomic(value) for value, _ in operands):
            return None
        return call_label(short_name(made[0].primitive.name), [self.entry(v, i) for v, i in operands])

    def _is_atomic(self, value: Any) -> bool:
        value, _ = self.origin(value, 0)
        if self._own_name(value):
            return True
        return not (isinstance(value, Node) and value.application is not None) and np.size(raw(value)) == 1


def _in_table(columns: Sequence[str], value: Any, at: int) -> Label:
    """`petal width[17]`: an entry of a table by its column; by the column alone if there is but one row."""
    row, column = index_of(shape_of(raw(value)), at)
    rows = shape_of(raw(value))[0]
    name = printable(columns[column])
    tex = rf"\text{{{escape_tex(name)}}}"
    return Label(name, tex) if rows == 1 else Label(f"{name}[{row}]", f"{tex}_{{{row}}}")


def call_label(name: str, operands: list[Label]) -> Label | None:
    """`name(operands)`, or None where that is too long to be a name."""
    text = f"{name}({','.join(o.text for o in operands)})"
    if len(text) > _LONGEST:
        return None
    return Label(text, rf"{_upright(name)}({', '.join(o.tex for o in operands)})")


def _upright(name: str) -> str:
    return rf"\operatorname{{{escape_tex(name)}}}"


def _indexed_label(name: str, value: Any, at: int, plain: bool = True) -> Label:
    index = index_of(shape_of(raw(value)), at)
    if plain:
        return Label(subscript(name, index), subscript_tex(name, index))
    index = () if np.size(raw(value)) == 1 else index
    text = name + (f"[{','.join(map(str, index))}]" if index else "")
    return Label(text, _upright(name) + (f"_{{{','.join(map(str, index))}}}" if index else ""))


def _number(value: Any, at: int) -> Label:
    if type(value) not in PYTHON_SCALARS:
        value = np.asarray(value).reshape(-1)[at].item()
    return Label(number_text(value), number_tex(value))


def index_of(shape: tuple[int, ...], at: int) -> tuple[int, ...]:
    """The index of a flat position."""
    return tuple(map(int, np.unravel_index(at, shape))) if shape else ()


def _operation(node: Node) -> str:
    return short_name(node.application.primitive.name) if node.application is not None else "value"


def _assigned_to(node: Node) -> str:
    """The name that the user's line assigns, if it is an assignment, and not a function on such a line."""
    if node.application is None:
        return ""
    code, line = node.application.site
    if code.co_name == "<lambda>":
        return ""
    found = _ASSIGNED.match(linecache.getline(code.co_filename, line))
    return found.group(1) if found else ""
