"""Writes the reference pages that are made from the code: `python docs/reference.py`; a test keeps them current."""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, get_args, get_type_hints

from clearprop import nn, notation
from clearprop.compiler.native.obstacles import missing_form
from clearprop.errors import TraceError
from clearprop.explanation.jacobians import simplify_call
from clearprop.primitives import REGISTRY, Primitive, Rule, Zero
from clearprop.program.ir import Program, Var, trace
from clearprop.program.types import BOOL, FLOAT64, INT64, Type
from clearprop.rules import on_demand
from clearprop.shapes import Scope, Size

HERE = Path(__file__).parent
FAMILIES = {
    "arithmetic": "Arithmetic",
    "comparison": "Comparison and choice",
    "exponentials": "Powers and exponentials",
    "trigonometric": "Trigonometric and hyperbolic functions",
    "activations": "Activations",
    "further_activations": "More activations",
    "structural": "Shape and order",
    "indexing": "Indexing",
    "joining": "Joining",
    "checking": "Checks",
    "linear": "Matrix products",
    "convolution": "Convolution",
    "pooling": "Pools",
    "reductions": "Reductions",
    "normalisation": "Normalisation",
    "losses": "Losses of one example",
    "random": "Random numbers",
    "distributions": "Random numbers by logarithms",
    "gamma_family": "Gamma numbers",
    "further_distributions": "Inverse Gaussian numbers",
    "angles": "Random angles",
    "counts": "Numbers of Zipf's distribution",
    "discrete": "Poisson numbers",
    "bits": "Bits of integers",
    "division": "Division with a remainder",
    "floating": "More functions of floating-point numbers",
    "special_functions": "Special functions",
    "incomplete_functions": "Incomplete gamma and beta functions",
    "sorting": "Order",
    "scattering": "Writing entries",
    "matrices": "Linear algebra",
    "determinants": "Determinants",
    "decompositions": "Factors of matrices",
    "eigenvalues": "Eigenvalues of any matrices",
    "complex_numbers": "Complex numbers",
    "fourier": "Fourier transforms",
}
KINDS = {
    "elementwise": "diagonal Jacobian",
    "reduction": "locally weighted sum over axes",
    "multilinear": "linear in each operand",
    "structural": "linear; its rule is its transpose",
    "general": "rules for both modes",
}
INTEGERS = ("labels", "indices")
PLOTS = "images/functions"
"""Where `plots.py` leaves one picture for each function that has a plot."""
LONG = 12  # characters that a letter saves


# ------------------------------------------------------------------------------------------------- primitives
def primitives_page() -> str:
    """Every declared primitive: what it is, how it is called, its rules as formulas, where they are zero or kinked."""
    lines = [
        "# Primitives",
        "",
        "Made from the declarations by `python docs/reference.py`. `y` is the result, `g` the gradient that arrives",
        "at it; a rule says what each operand receives, before broadcasting is undone. *Leaf*: has a spelling per",
        "target; *composite*: has a body over other primitives. Primitives in brackets are not public: rules and",
        "transforms use them. Functions of numbers have a plot of themselves and their derivative, drawn by",
        "`python docs/plots.py`; of several numbers all but one stay as its title says.",
        "",
    ]
    for family, group in groupby(_shown(), key=_family):
        members = list(group)
        lines += [
            f"## {FAMILIES[family]}",
            "",
            f"Declared in [`{_file(members[0])}`](../src/clearprop/{_file(members[0])}).",
            "",
        ]
        for p in members:
            lines += [*_entry(p), ""]
    return "\n".join(lines)


def _file(p: Primitive) -> str:
    return "/".join(p.__module__.split(".")[1:]) + ".py"


def _shown() -> list[Primitive]:
    on_demand.load_all()
    own = [p for p in REGISTRY.values() if p.__module__.startswith("clearprop.rules.")]
    return sorted(own, key=lambda p: list(FAMILIES).index(_family(p)))


def _family(p: Primitive) -> str:
    return p.__module__.rsplit(".", 1)[-1]


def _entry(p: Primitive) -> Iterator[str]:
    call = f"{p.name}({', '.join(_parameters(p))})"
    yield f"### {p.name}" if p.public else f"### ({p.name})"
    yield ""
    yield from _with_arguments_as_list(textwrap.dedent(inspect.getdoc(p) or "").split("\n>>>")[0].strip())
    yield ""
    yield "```"
    yield call + (f"    {p.signature.text}" if p.signature else "")
    yield from (f"    {line}" for line in _formulas(p))
    yield "```"
    yield ""
    if (HERE / PLOTS / f"{p.name}.svg").exists():
        yield from (f"![{p.name} and its derivative]({PLOTS}/{p.name}.svg)", "")
    meaning = f": {KINDS[p.kind]}" if any(isinstance(rule, Rule) for rule in p.rules) else ""
    yield f"{'Composite' if p.is_composite else 'Leaf'}, {p.kind}{meaning}.{_kink(p)}"


def _with_arguments_as_list(text: str) -> Iterator[str]:
    """A docstring whose block of arguments (`x  numbers`) is a list."""
    for line in text.splitlines():
        named = re.match(r"(\w+(?:, \w+)*) {2,}(\S.*)", line)
        yield f"- `{named[1]}`: {named[2]}" if named else line


def _parameters(p: Primitive) -> list[str]:
    """The parameters of the function that users call, with their defaults."""
    function = p.public_function
    parameters = list(inspect.signature(function).parameters.values())
    shown = [str(q.replace(annotation=inspect.Parameter.empty)) for q in parameters]
    if any(q.kind is q.KEYWORD_ONLY for q in parameters) and not any(q.kind is q.VAR_POSITIONAL for q in parameters):
        shown.insert([q.kind is q.KEYWORD_ONLY for q in parameters].index(True), "*")
    return shown


def _formulas(p: Primitive) -> Iterator[str]:
    """`y = …`, then what each operand receives."""
    value = _printed(p.body or p, p, [*p.operands, *_numbers(p)])
    value = value.replace("hole_", "")  # parameters stand in the value under their own names
    rows = [("y", f"= {value}")] if value else []
    for operand, rule in zip(p.operands, p.rules, strict=True):
        if isinstance(rule, Zero):
            rows.append((f"to {operand}", f"0, {rule.reason}"))
        elif isinstance(rule, Rule):
            shown = _printed(rule.formula, p, rule.names) or _source(p, f"d_{operand}", f"vjp_{operand}")
            rows.append((f"to {operand}", shown))
        elif p.has_rule:
            rows.append((f"to {operand}", "no derivative"))
    if p.jvp is not None:
        rows.append(("forward", _printed(p.jvp.formula, p, p.jvp.names) or _source(p, "jvp")))
    if p.operands and not p.has_rule:
        rows.append(("to " + p.operands[0], _without_rule(p)))
    width = max((len(name) for name, _ in rows), default=0)
    return (f"{name:<{width}}  {text}".replace("\n", "\n" + " " * (width + 6)) for name, text in rows)


def _without_rule(p: Primitive) -> str:
    integer = p.dtype_rule == "bool" or p.operands[0] in INTEGERS or not p.is_composite
    return "no derivative" if integer else "through the body: its primitives have rules"


# --------------------------------------------------------------------------------------------------- formulas
def _printed(function: Callable[..., Any], p: Primitive, names: Sequence[str]) -> str:
    """The function of these names as a formula of numbers; empty where it is none."""
    if not _is_formula(p, function):
        return ""
    if isinstance(function, Primitive):
        return notation.text(notation.Call(function, tuple(map(notation.Name, names)), _spelled(p)))
    scope = Scope()
    n = scope.new(7)
    given = _numbers(p) if function is p.body else []
    fixed = {k: v for k, v in {"axis": (-1,) if p.kind == "reduction" else -1}.items() if k in p.params}
    positional = [name for name in names if name not in given and name not in fixed]

    def called(*xs: Any) -> tuple[Any]:
        values = dict(zip([*positional, *given], xs, strict=True))
        if function is p.body:
            return (function(*[values.pop(o) for o in p.operands], **values, **fixed),)
        return (function(**values, **{k: v for k, v in fixed.items() if k in names}),)

    types = [_type(name, p, n) for name in [*positional, *given]]
    try:
        return _text(_expression(trace(called, types, [*positional, *given], scope=scope)))
    except TraceError:  # it asks for the value of a parameter, such as an order: shown as it is written
        return ""


def _is_formula(p: Primitive, function: Callable[..., Any]) -> bool:
    if _family(p) in ("matrices", "determinants", "decompositions", "eigenvalues", "complex_numbers", "fourier"):
        return False  # numbers do not stand for matrices: their rules are shown as they are written
    if p.kind == "elementwise":
        return p.name != "astype"
    if p.kind == "multilinear":
        return function is p
    return p.kind == "reduction" or (p.kind == "general" and p.has_rule)


def _numbers(p: Primitive) -> list[str]:
    """Parameters that a formula shows as symbols."""
    return [name for name, default in p.params.items() if type(default) is float]


def _spelled(p: Primitive) -> dict[str, Any]:
    return {"axis": -1, "keepdims": False} if "keepdims" in p.params else {}


def _type(name: str, p: Primitive, n: Size) -> Type:
    if name == "condition" or p.name.startswith("logical"):
        return Type((), BOOL)
    if name in INTEGERS and p.kind != "elementwise":
        return Type((), INT64)
    if p.kind == "elementwise" or name in _numbers(p):
        return Type((), INT64 if "f" in p.facts.undefined_on else FLOAT64)
    return Type((1,) if p.kind == "reduction" and name in ("g", "y") else (n,), FLOAT64)


def _expression(program: Program) -> Any:
    """The program's output as an expression of its inputs; the size of an axis is called n."""
    known: dict[Any, Any] = {v: notation.Name(v.name) for v in program.arguments}
    for eq in program.equations:
        operands = tuple(known[a] if isinstance(a, Var) else notation.Number(a) for a in eq.inputs)
        size = eq.primitive.name == "size"
        call = notation.Name("n") if size else simplify_call(eq.primitive, operands, dict(eq.params))
        known |= dict.fromkeys(eq.outputs, call)
    return known[program.outputs[0]]


def _text(expression: Any) -> str:
    """The formula; a long part that occurs again gets a letter of its own."""
    parts: list[str] = []
    while repeated := _repeated(expression):
        letter = notation.Name("tuv"[len(parts)])
        parts.append(f"{letter.name} = {notation.text(repeated)}")
        expression = _exchanged(expression, repeated, letter)
    return "\nwhere ".join([notation.text(expression), ", ".join(parts)] if parts else [notation.text(expression)])


def _repeated(expression: Any) -> Any:
    counts: list[list[Any]] = []
    for call in _calls(expression):
        entry = next((e for e in counts if e[0] == call), None)
        if entry is None:
            counts.append([call, 1])
        else:
            entry[1] += 1
    saved = [(call, (times - 1) * (len(notation.text(call)) - 1)) for call, times in counts]
    return max((pair for pair in saved if pair[1] > LONG), key=lambda pair: pair[1], default=(None, 0))[0]


def _calls(expression: Any) -> Iterator[Any]:
    if isinstance(expression, notation.Call):
        yield expression
        for operand in expression.operands:
            yield from _calls(operand)


def _exchanged(expression: Any, old: Any, new: Any) -> Any:
    if expression == old:
        return new
    if not isinstance(expression, notation.Call):
        return expression
    operands = tuple(_exchanged(o, old, new) for o in expression.operands)
    return notation.Call(expression.function, operands, expression.params)


def _source(p: Primitive, *names: str) -> str:
    """The rule as the declaration writes it."""
    (keyword,) = [k for k in _declaration(p) if k.arg in names]
    body = keyword.value.body if isinstance(keyword.value, ast.Lambda) else keyword.value
    return re.sub(r"(?<=\w)_\(", "(", ast.unparse(body))


def _declaration(p: Primitive) -> list[ast.keyword]:
    tree = ast.parse(Path(inspect.getfile(p.function)).read_text(encoding="utf-8"))
    named = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == p.function.__name__]
    calls = [d for node in named for d in node.decorator_list if isinstance(d, ast.Call)]
    return [keyword for call in calls for keyword in call.keywords]


def _kink(p: Primitive) -> str:
    if p.kink is None:
        return ""
    names = list(inspect.signature(p.kink).parameters)
    return f" Kink where {_printed(p.kink, p, names)} = 0."


# ----------------------------------------------------------------------------------------------- command line
def command_line_page() -> str:
    """Every command with its help, arguments and options: what `--help` prints, as Markdown."""
    from clearprop.cli.app import COMMANDS, app, command_named

    lines = [
        "# Command line",
        "",
        "Made from the commands' declarations, as `--help` is, by `python docs/reference.py`. In a shell,",
        "`clearprop --install-completion` completes commands, options and names. Progress goes to stderr, and moves",
        "only on a terminal; `NO_COLOR` is respected.",
        "",
        str(app.info.epilog),
        "",
    ]
    for name in COMMANDS:
        command = command_named(name)
        lines += [f"## clearprop {name}", "", *_help_text(command), "", *_options(command), ""]
    return "\n".join(lines)


def _help_text(command: Callable[..., Any]) -> list[str]:
    """The docstring, with its examples as one list."""
    return re.sub(r"(?<=`)\n\n(?=\* )", "\n", inspect.getdoc(command) or "").splitlines()


def _options(command: Callable[..., Any]) -> Iterator[str]:
    yield "| | |"
    yield "|---|---|"
    hints = get_type_hints(command, include_extras=True)
    for name, parameter in inspect.signature(command).parameters.items():
        if not get_args(hints[name]):
            continue  # what typer hands over itself
        kind, declared = get_args(hints[name])
        told = parameter.default not in (None, False, inspect.Parameter.empty)
        meaning = declared.help.removesuffix(".") + (f"; default: {parameter.default}." if told else ".")
        yield "| `{}` | {} |".format(*(text.replace("|", "\\|") for text in (_option(name, kind, declared), meaning)))


def _option(name: str, kind: Any, declared: Any) -> str:
    """`-o, --out FILE`, or the name of an argument."""
    value = declared.metavar or next(k for k in (*get_args(kind), kind) if k is not type(None)).__name__.upper()
    if type(declared).__name__ == "ArgumentInfo":
        return value.strip("[]")
    # the first name of an annotated option stands where typer keeps the default of others
    given = [n for n in (declared.default, *(declared.param_decls or ())) if isinstance(n, str)]
    names = ", ".join(given or ["--" + name.replace("_", "-")])
    return names if kind is bool else f"{names} {value}"


# ------------------------------------------------------------------------------------------------ native forms
WITHOUT_KERNELS = {
    "incomplete_functions": "derivatives by parameters: each is an integral at some 300 places, taken by NumPy",
    "matrices": "LAPACK computes them, by NumPy and SciPy",
    "determinants": "LAPACK computes them, by NumPy and SciPy",
    "decompositions": "LAPACK computes them, by NumPy and SciPy",
    "eigenvalues": "LAPACK computes them, by NumPy",
    "complex_numbers": "kernels are of real numbers",
    "fourier": "NumPy's pocketfft computes them",
    "sorting": "NumPy sorts and searches",
    "gamma_family": "drawn by rejection: how many attempts it takes is not known before",
    "discrete": "drawn by rejection: how many attempts it takes is not known before",
    "angles": "drawn by rejection, as above; the derivative is an integral at 64 places, taken by NumPy",
    "counts": "drawn by rejection: how many attempts it takes is not known before",
}


def native_forms_page() -> str:
    """The primitives that no kernel computes, by family, and why."""
    lines = [
        "# What has no native form",
        "",
        "Made from the declarations by `python docs/reference.py`. A compiled function computes these primitives by",
        "NumPy, between native parts, and says so once; everything else runs natively: elementwise functions and",
        "reductions, moves of entries and products. Functions that are made of these (`sort`, `median`, `quantile`,",
        "`svd`) do so in part. Data types that kernels do not know (`int8`, `int16`, `uint16`, `uint64`, complex",
        "numbers) and integer products are computed by NumPy, too.",
        "",
        "One such operation leaves all else in a step native, wherever it stands. A loop or a branch that holds one is",
        "taken by Python, turn by turn: each turn is native before and behind it, and so are loops within the loop.",
        "",
        "| primitives | why |",
        "|---|---|",
    ]
    missing = [p for p in _shown() if not p.is_composite and missing_form(p)]
    for family, members in groupby(missing, key=_family):
        lines.append(f"| {', '.join(f'`{p.name}`' for p in members)} | {WITHOUT_KERNELS[family]} |")
    return "\n".join([*lines, ""])


# ---------------------------------------------------------------------------------------------------- layers
LAYERS = {
    "Layers of every network": ("layers", "activations", "norms"),
    "Convolutions and pools": ("convolution", "pooling"),
    "Normalisation": ("group_norms",),
    "Gates and learned activations": ("gates",),
    "Networks of layers": ("combinations", "dropping", "ensembles", "increasing"),
    "Changed images": ("augmentation",),
    "Embeddings and positions": ("embedding", "positions"),
    "Attention": ("attention",),
    "Recurrent layers": ("recurrent", "cells", "masking"),
    "Losses": ("losses", "further_losses"),
    "Whole networks": ("networks", "architectures"),
}
"""What `cl.nn` has for networks, by heading and file."""


def layers_page() -> str:
    """Layers, losses and whole networks: formula, shapes, arguments and example of each, from its docstring."""
    lines = [
        "# Layers and losses",
        "",
        "Made from the docstrings by `python docs/reference.py`, whose examples are run as tests. All are names of",
        "`cl.nn`; channels and features are the last axis. What a layer raises tells what was expected and what came.",
        "",
    ]
    for heading, files in LAYERS.items():
        lines += [f"## {heading}", ""]
        for name in _names_declared_in(files):
            lines += [*_described(name, getattr(nn, name)), ""]
    return "\n".join(lines)


def _names_declared_in(files: Sequence[str]) -> list[str]:
    """The public classes and functions of `cl.nn` that these files declare, in the order in which they stand there."""
    homes = [f"clearprop.nn.{file}" for file in files]
    own = [n for n in dir(nn) if n[0] != "_" and getattr(getattr(nn, n), "__module__", "") in homes]
    place = {n: inspect.getsourcelines(inspect.unwrap(getattr(nn, n)))[1] for n in own}
    return sorted(own, key=lambda n: (homes.index(getattr(nn, n).__module__), place[n]))


def _described(name: str, value: Any) -> Iterator[str]:
    text, found, example = (inspect.getdoc(value) or "").partition(">>> ")
    shown = inspect.signature(value)
    plain = [q.replace(annotation=inspect.Parameter.empty) for q in shown.parameters.values()]
    yield from (f"### {name}", "")
    call = f"{name}{shown.replace(parameters=plain, return_annotation=inspect.Signature.empty)}"
    yield from ("```", re.sub(r"<class 'numpy\.(\w+)'>", r"np.\1", call), "```", "")
    yield from _with_arguments_as_list(text.strip())
    if found:
        yield from ("", "```", f">>> {example}".rstrip(), "```")


# ------------------------------------------------------------------------------------------------- foreign names
COMING_FROM = ("numpy", "pytorch", "pytorch-methods", "pytorch-distributions", "jax", "autograd")
"""Pages of other libraries' names, the first of which says what is told of a name that several have."""


def foreign_names() -> str:
    """What is told of a name that is none of ours: the line beside it on the pages of other libraries."""
    told: dict[str, str] = {}
    for page in COMING_FROM:
        text = (HERE / "coming-from" / f"{page}.md").read_text(encoding="utf-8")
        for theirs, ours in re.findall(r"^\| `(.*)` \| `(.*)` \|$", text, re.MULTILINE):
            name = re.match(r"[^(]*?(\w+)(?:\(|$)", theirs)
            if name and not re.match(rf"(cl|[a-z])\.{name[1]}\(", ours):
                told.setdefault(name[1], ours)
    return json.dumps(dict(sorted(told.items())), indent=0, ensure_ascii=False) + "\n"


PAGES = {
    "../src/clearprop/arrays/foreign_names.json": foreign_names,
    "primitives.md": primitives_page,
    "layers.md": layers_page,
    "command-line.md": command_line_page,
    "native-forms.md": native_forms_page,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")
