"""Figures of the house: how the source is laid out, measured from its syntax trees."""

import ast
import inspect
import io
import re
import tokenize
from collections import Counter
from functools import cache
from pathlib import Path

import clearprop as cl
from tests.house.imports import nodes, parse

PACKAGE = Path(cl.__file__).parent
START_UP = re.compile(r"#.*\bstart-up\b")
"""What a comment says beside an import inside a function."""
FORMAL = re.compile(r"#\s*(?:type:|noqa|fmt:|pragma|[-─=]{3})")
"""Comments that are for tools, and rulers between sections."""

# Participles that do not end in -ed; those that are infinitives too (read, set, split, cut, put, run) are verbs here.
IRREGULAR = set(
    "beaten been begun bent bitten blown born bought bound broken brought built caught chosen clung come dealt done "
    "drawn driven dug eaten fallen felt fitted flown forgotten found frozen given gone ground grown had heard held "
    "hidden hung kept known laid lain led left lent lit lost made meant met paid proven ridden risen said sat seen "
    "sent sewn shaken shot shown shrunk slid sold sought spent spoken spun stolen stood strung struck stuck sung "
    "sunk swept sworn swum swung taken taught thought thrown told torn understood undone withdrawn withheld woken "
    "won worn wound woven written".split()
)
NO_PARTICIPLES = set("bed embed hundred red searchsorted shed shred".split())
BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.comprehension, ast.match_case)
CONTAINERS = {"Sequence", "Mapping", "Iterable", "Iterator", "list", "tuple", "dict", "set", "frozenset", "None"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def is_participle(name):
    """Whether a name is one past participle and nothing else: `made`, `_moved`; not `undo_broadcasting` or `feed`.

    Every regular participle ends in -ed, and hardly anything else does but for -eed and a few nouns.
    """
    word = name.strip("_")
    if "_" in word:
        return False
    return word in IRREGULAR or (word.endswith("ed") and not word.endswith("eed") and word not in NO_PARTICIPLES)


@cache
def sources():
    """`{name relative to the package: (text, tree)}` of every module."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        found[path.relative_to(PACKAGE).as_posix()] = (path.read_text(encoding="utf-8"), parse(path))
    return found


def folder_shares():
    """`{folder: its share of all lines}`, a folder inside another counted apart."""
    lines = Counter()
    for name, (text, _) in sources().items():
        lines[Path(name).parent.as_posix()] += text.count("\n")
    total = sum(lines.values())
    return {folder: n / total for folder, n in lines.items()}


@cache
def late_imports():
    """`{place: line of text, its comment above included}` of the package's own imports inside functions."""
    found = {}
    for name, (text, _) in sources().items():
        own = nodes(PACKAGE / name)
        imports = [n for n in own if isinstance(n, ast.Import | ast.ImportFrom) and n.col_offset and _is_own(n)]
        lines = text.splitlines()
        for node in imports:
            if any(isinstance(f, FUNCTIONS) and f.lineno < node.lineno <= f.end_lineno for f in own):
                found[f"{name}:{node.lineno}"] = "\n".join(lines[node.lineno - 2 : node.end_lineno])
    return found


def _is_own(node):
    """Whether an import is of the package."""
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
    return any(n.split(".")[0] == "clearprop" for n in names)


def unreasoned_imports():
    """Own imports inside functions whose comment does not say that they are for start-up."""
    return {place for place, text in late_imports().items() if not START_UP.search(text)}


def repeated_classes():
    """`{class name: modules}` of names that stand for more than one class."""
    found = {}
    for name in sources():
        for node in nodes(PACKAGE / name):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(name)
    return {name: modules for name, modules in found.items() if len(modules) > 1}


def participles():
    """`module: name` of functions of modules that are called by a bare participle."""
    return {
        f"{name}: {node.name}"
        for name, (_, tree) in sources().items()
        for node in tree.body
        if isinstance(node, FUNCTIONS) and is_participle(node.name)
    }


def complexity(function):
    """McCabe's number (1976) of a function without those defined in it: one more than its decisions."""
    found, todo = 1, list(ast.iter_child_nodes(function))
    while todo:
        node = todo.pop()
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            continue
        found += isinstance(node, BRANCHES)
        if isinstance(node, ast.BoolOp):
            found += len(node.values) - 1
        if isinstance(node, ast.comprehension):
            found += len(node.ifs)
        todo += ast.iter_child_nodes(node)
    return found


def comment_lines(text):
    """Lines with a comment of prose."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {t.start[0] for t in tokens if t.type == tokenize.COMMENT and not FORMAL.match(t.string)}


def uncommented(above):
    """`{function: complexity}` of functions above a complexity in which, or right before which, no comment stands."""
    found = {}
    for name, (text, _) in sources().items():
        complex_ones = [f for f in nodes(PACKAGE / name) if isinstance(f, FUNCTIONS) and complexity(f) > above]
        commented = comment_lines(text) if complex_ones else set()
        for f in complex_ones:
            first = min([f.lineno, *(d.lineno for d in f.decorator_list)]) - 1
            if not commented & set(range(first, f.end_lineno + 1)):
                found[f"{name}:{f.lineno} {f.name}"] = complexity(f)
    return found


def public_objects():
    """`{public name: class or function}` of `cl`, `cl.nn`, `cl.optim` and `cl.random`."""
    found = {}
    faces = {"": (cl, "clearprop"), "nn.": (cl.nn, "clearprop"), "optim.": (cl.optim, "clearprop")}
    faces["random."] = (cl.random, cl.random.__name__)  # a module, which names what it imports as well
    for prefix, (module, home) in faces.items():
        for name, value in ((name, getattr(module, name)) for name in dir(module)):
            own = str(getattr(value, "__module__", "")).startswith(home)
            if not name.startswith("_") and callable(value) and own and not inspect.ismodule(value):
                found[prefix + name] = value
    return found


def without_example():
    """Public names whose docstring has no example that runs."""
    return {name for name, value in public_objects().items() if not _runs(value.__doc__ or "")}


def _runs(docstring):
    return any(">>>" in line and "+SKIP" not in line for line in docstring.splitlines())


def says_nothing(annotation):
    """Whether an annotation is `Any`, or a container of it."""
    names = {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)}
    return "Any" in names and names <= {"Any", *CONTAINERS}


def share_of_any(folder):
    """How many in a hundred annotated parameters of a folder are `Any`, or containers of it."""
    said = []
    for name in sources():
        if name.startswith(f"{folder}/"):
            for node in nodes(PACKAGE / name):
                if isinstance(node, ast.FunctionDef):
                    a = node.args
                    parameters = [*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg]
                    said += [says_nothing(q.annotation) for q in parameters if q is not None and q.annotation]
    return round(100 * sum(said) / len(said), 1)
