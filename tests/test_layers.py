"""The architecture: imports follow the layers, names stay callable, generated files are true, imports stay light."""

import ast
import pkgutil
import subprocess
import sys
from collections import Counter

import pytest

import clearprop as cl
from clearprop.arrays import stubs
from clearprop.arrays.data_types import SHARED
from clearprop.primitives import REGISTRY
from tests.house.imports import FILES, PACKAGE, circles_of, face, open_modules, parse, used_from_outside
from tests.tiers import later, together

LAYERS = [
    "errors",
    "late_faces",
    "shapes",
    "notation",
    "program",
    "primitives",
    "rules",
    "autodiff",
    "files",
    "data",
    "arrays",
    "control",
    "compiler",
    "nn",
    "optim",
    "charts",
    "runs",
    "distributed",
    "attribution",
    "train",
    "explanation",
    "search",
    "comparison",
    "exporting",
    "interop",
    "sklearn",
    "diagnosis",
    "lessons",
    "reporting",
    "cli",
    "lab",
]
HEAVY = ["numba", "scipy", "sklearn", "polars", "pyarrow", "pydantic", "typer", "rich"]

# (importing file, imported layer): allowed against the order, with the reason
EXCEPTIONS: dict[tuple[str, str], str] = {}


def layer_of(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "clearprop" else None


def imported(path):
    """Every module of the package that a file imports, in functions too; not what only type checkers see."""
    tree = parse(path)
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from ((a.name, node.lineno) for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            if node.module == "clearprop":
                yield from ((f"clearprop.{a.name}", node.lineno) for a in node.names)
            elif node.module:
                yield node.module, node.lineno


def test_every_layer_is_known():
    found = {p.relative_to(PACKAGE).parts[0].removesuffix(".py") for p in FILES}
    assert found - {"__main__"} <= set(LAYERS)


@together("path", FILES)
def test_imports_follow_the_layers(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__main__":
        return
    for module, line in imported(path):
        layer = layer_of(module)
        if layer is None or layer == own or layer == "__version__":
            continue
        place = f"{path.relative_to(PACKAGE)}:{line} imports {module}"
        assert layer in LAYERS, f"{place}: the face of the package is no layer"
        if (str(path.relative_to(PACKAGE)), layer) in EXCEPTIONS:
            continue
        assert {own, layer} != {"compiler", "explanation"}, f"{place}: compiler and explanation never import each other"
        assert LAYERS.index(layer) < LAYERS.index(own), f"{place}: {layer} stands below {own}"


@pytest.mark.parametrize(
    ("graph", "circles"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, set()),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}, {frozenset("abc")}),
    ],
)
def test_circles_are_found(graph, circles):
    assert circles_of(graph) == circles


@together("folder", sorted(p.parent.name for p in PACKAGE.glob("*/__init__.py")))
def test_other_folders_use_the_face_or_what_it_opens(folder):
    """And no module stands open that nobody uses."""
    used = used_from_outside(folder)
    assert not {m: p for m, p in used.items() if m not in open_modules(folder)}
    assert open_modules(folder) <= set(used) | face(folder)


def test_no_file_is_long():
    long = {
        str(p.relative_to(PACKAGE)): n for p in FILES if (n := len(p.read_text(encoding="utf-8").splitlines())) > 500
    }
    assert not long


def submodules():
    return [m.name for m in pkgutil.walk_packages(cl.__path__, "clearprop.") if not m.name.endswith("__main__")]


def public_names():
    return [n for n in dir(cl) if not n.startswith("_")]


MODULES_BY_DESIGN = {"errors", "random", "nn", "optim", "fft", "linalg"}
VALUES = {"__version__", *(n for n, v in SHARED.items() if not callable(v))}
"""Public names that are no functions, classes or modules: the version, dtypes, constants."""


def test_importing_every_submodule_shadows_no_public_name():
    """In a fresh process, so that nothing else has imported anything."""
    code = f"""
import importlib, types
import clearprop as cl
names = {{n: getattr(cl, n) for n in dir(cl)}}
names = {{n: v for n, v in names.items() if not isinstance(v, types.ModuleType)}}
for name in {submodules()!r}:
    importlib.import_module(name)
for name, value in names.items():
    assert getattr(cl, name) is value, name
    assert callable(value) or name in {sorted(VALUES)!r}, name
print(len(names))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr
    assert int(out.stdout) > 100


def test_no_module_has_the_name_of_a_public_function():
    functions = {n for n in public_names() if callable(getattr(cl, n))}
    top = {m.split(".")[1] for m in submodules()}
    assert not functions & top
    assert set(MODULES_BY_DESIGN) & functions == set()


def test_importing_clearprop_is_light():
    code = f"import sys, clearprop; print([m for m in {HEAVY!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


FAMILIES = """
activations attention convolution elementwise indexing layers linalg linear losses pooling random recurrent reductions
resizing scattering shapes signals special_functions structural
graph model loading reading operator_table operation
page importance lesson ensembles members times loops training tensorboard
""".split()
"""What several files may be called, since it is one thing in all of them: a family of operations or layers and what
other tools call it, a graph of another tool, a command and what it calls."""


def test_files_of_one_name_are_about_one_thing():
    found = Counter(path.stem for path in PACKAGE.rglob("*.py") if path.stem not in ("__init__", "__main__"))
    assert {name for name, many in found.items() if many > 1} == set(FAMILIES)


LATE = ["control", "nn", "optim", "train", "explanation", "exporting", "compiler", "data", "runs"]


def test_importing_clearprop_loads_the_engine_alone():
    code = f"import sys, clearprop; print([m for m in {LATE!r} if 'clearprop.' + m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_what_is_loaded_when_asked_for_is_what_type_checkers_are_told():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (choice,) = (node for node in tree.body if isinstance(node, ast.If))
    told = {a.asname: node.module for node in choice.body for a in node.names}
    table = {name: f"clearprop.{home}" for name, home in cl._HOMES.items()}
    assert table == {name: f"clearprop.{name}" if home == "clearprop" else home for name, home in told.items()}


@pytest.mark.parametrize("folder", ["nn", "optim"])
def test_what_a_folder_loads_when_asked_for_is_what_type_checkers_are_told(folder):
    tree = ast.parse((PACKAGE / folder / "__init__.py").read_text(encoding="utf-8"))
    (choice,) = (node for node in tree.body if isinstance(node, ast.If))
    told = {a.asname: node.module for node in choice.body for a in node.names}
    face = getattr(cl, folder)
    assert told == {name: f"clearprop.{folder}.{home}" for name, home in face._HOMES.items()}
    assert all(getattr(face, name).__module__ == home for name, home in told.items())


def test_optimizers_are_known_by_name_before_they_are_loaded():
    code = """
import sys
from clearprop.optim.hyperparameters import by_name, from_config, optimizers
from clearprop.optim.inspection import parse
assert "clearprop.optim.first_order" not in sys.modules
print(parse("clip_by_norm:limit=1+adam").links[1].learning_rate, from_config({"name": "lion"}).learning_rate)
assert "clearprop.optim.orthogonal" not in sys.modules
print(by_name("muon").complete, "adafactor" in optimizers())
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["0.001", "0.0001", "True", "True"]


@pytest.mark.parametrize(
    "around", ["cl.compile(cl.vmap({}))(cl.tensor([1.0]))", *later(["cl.hessian({})(1.0)", "cl.compile({})(1.0)"])]
)
def test_names_may_be_asked_for_the_first_time_while_a_function_is_traced(around):
    """Loading computes nothing that a trace would record."""
    code = f"""
import clearprop as cl
from clearprop.primitives import Primitive

def f(x):
    call, Primitive.__call__ = Primitive.__call__, None
    for name in dir(cl):
        getattr(cl, name)
    Primitive.__call__ = call
    return x * cl.relu(x)

print({around.format("f")}.shape)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr


def test_importing_the_engine_and_using_it_stays_light():
    code = f"""
import sys, clearprop as cl
x = cl.tensor([1.0, 2.0], requires_grad=True)
cl.sum(cl.gelu(x)).backward()
cl.vmap(cl.hessian(cl.logsumexp))(cl.tensor([[1.0, 2.0]]))
cl.random.normal(cl.random.key(0), (3,))
print([m for m in {HEAVY!r} if m in sys.modules])
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("file", stubs.PAGES)
def test_the_stub_files_are_what_the_registry_gives(file):
    assert (PACKAGE / "arrays" / file).read_text(encoding="utf-8") == stubs.PAGES[file]()


DECLARED = [p for p in REGISTRY.values() if p.__module__.startswith("clearprop.")]


@together("primitive", DECLARED)
def test_every_primitive_is_documented_and_spelled(primitive):
    assert (primitive.__doc__ or "").strip().splitlines()[0].endswith((".", ";", ":"))
    assert primitive.is_composite or primitive.numpy
    assert primitive.tex or not primitive.public


@together("name", public_names())
def test_every_public_name_is_documented(name):
    value = getattr(cl, name)
    if callable(value):
        assert (value.__doc__ or "").strip(), name


def test_every_module_says_what_it_is_for():
    silent = [
        str(p.relative_to(PACKAGE)) for p in FILES if not ast.get_docstring(ast.parse(p.read_text(encoding="utf-8")))
    ]
    assert not silent
