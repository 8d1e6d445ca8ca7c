"""Peers are installed by pip into `.bench/`, a virtual environment of their own, and only when they are asked for."""

from __future__ import annotations

import compileall
import fcntl
import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".bench"
PYTHON = FOLDER / "bin" / "python"


@dataclass(frozen=True)
class Peer:
    """What pip is asked for, with its version; the module that is imported; the distributions whose size counts."""

    name: str
    packages: tuple[str, ...]
    module: str
    distributions: tuple[str, ...]


PEERS = {
    p.name: p
    for p in (
        Peer("jax", ("jax==0.10.2", "jaxlib==0.10.2", "optax==0.2.8"), "jax", ("jax", "jaxlib")),
        # a CPU build, others pull gigabytes; expecttest is what its list of tested functions imports, numpy it lacks
        Peer("torch", ("torch==2.13.0", "expecttest==0.3.0", "numpy==2.4.6"), "torch", ("torch",)),
        Peer("sklearn", ("scikit-learn==1.9.1",), "sklearn.neural_network", ("scikit-learn",)),
        Peer("autograd", ("autograd==1.9.1", "scipy==1.17.1"), "autograd", ("autograd",)),
        Peer("numexpr", ("numexpr==2.14.2",), "numexpr", ("numexpr",)),
        Peer("tangent", ("tangent-ad==0.4.0",), "tangent", ("tangent-ad",)),
    )
}
OUR_NUMPY = ("floor", "numpy")
"""Families that run in our own interpreter, on the NumPy that we use."""
OURS = Peer("clearprop", (), "clearprop", ("clearprop",))
ORACLES = {
    "onnxruntime": Peer("onnxruntime", ("onnxruntime==1.32.0",), "onnxruntime", ("onnxruntime",)),
    "mlflow": Peer("mlflow", ("mlflow-skinny==3.17.2",), "mlflow", ("mlflow-skinny",)),
}
"""What answers are compared with, or given to, by `make verify`; no contender in speed."""


@dataclass(frozen=True)
class Installed:
    """A family that can run: its interpreter, version, bytes on disk with all it depends on, or why it is absent."""

    name: str
    python: str
    version: str = ""
    bytes: int = 0
    absent: str = ""


def provide(names: list[str], *, install: bool = True) -> dict[str, Installed]:
    """The families asked for, clearprop always among them; a peer that cannot be had is reported as absent."""
    out = {"clearprop": _described(OURS, sys.executable)}
    for package in ("clearprop", "benchmarks"):  # as pip does with what it installs, the peers among it
        found = importlib.util.find_spec(package)
        compileall.compile_dir(Path(str(found and found.origin)).parent, quiet=2)
    known = {**PEERS, **ORACLES}
    for name in names:
        if name not in known:
            raise SystemExit(f"no peer is named {name}; there are {', '.join(known)}")
        peer = known[name]
        failure = _installed_by_one(peer) if install else ""
        out[name] = Installed(name, str(PYTHON), absent=failure) if failure else _described(peer, str(PYTHON))
    here = importlib.metadata.version("numpy")
    return out | {name: Installed(name, sys.executable, version=here) for name in OUR_NUMPY}


def _installed_by_one(peer: Peer) -> str:
    """Install what is missing, one process at a time: others may want the same.  Why it failed, if so."""
    with FOLDER.with_name(f"{FOLDER.name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        return "" if _present(peer) else _install(peer)


def _present(peer: Peer) -> bool:
    """Whether every package is installed in its version; `2.13.0+cpu` is 2.13.0."""
    names, wanted = zip(*(p.split("==") for p in peer.packages), strict=True)
    return PYTHON.exists() and [v.partition("+")[0] for v, _ in _query(str(PYTHON), names)] == [*wanted]


def _install(peer: Peer) -> str:
    """Install with pip; the last line it said if it failed, else nothing."""
    if not PYTHON.exists():
        venv.create(FOLDER, with_pip=True)
        _pip("threadpoolctl")
    print(f"installing {' '.join(peer.packages)} into {FOLDER.name}/ …", file=sys.stderr, flush=True)
    done = _pip(*peer.packages)
    lines = (done.stderr or done.stdout).strip().splitlines() or [""]
    return f"pip install {' '.join(peer.packages)} failed: {lines[-1]}" if done.returncode else ""


def _pip(*packages: str) -> subprocess.CompletedProcess[str]:
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    return subprocess.run(command, capture_output=True, text=True, check=False)


_QUERY = """
import importlib.metadata as m, json, re, sys
def files(name, seen):
    name = re.sub(r"[-_.]+", "-", name).lower()
    if name in seen: return 0
    seen.add(name)
    try: d = m.distribution(name)
    except m.PackageNotFoundError: return 0
    total = 0
    for f in d.files or ():
        try: total += f.locate().stat().st_size
        except OSError: pass
    if name == "clearprop":  # an editable install lists no sources
        import importlib.util, pathlib
        root = pathlib.Path(importlib.util.find_spec("clearprop").origin).parent
        total = sum(p.stat().st_size for p in root.rglob("*.py*") if "__pycache__" not in p.parts)
    for r in d.requires or ():
        if "extra ==" not in r and "sys_platform ==" not in r: total += files(re.match(r"[A-Za-z0-9._-]+", r)[0], seen)
    return total
def one(name):
    try: return m.version(name), files(name, set())
    except m.PackageNotFoundError: return "", 0
print(json.dumps([one(n) for n in sys.argv[1:]]))
"""


def _query(python: str, distributions: tuple[str, ...]) -> list[tuple[str, int]]:
    """Version and size, dependencies included, of every distribution; ("", 0) where it is not installed."""
    done = subprocess.run([python, "-c", _QUERY, *distributions], capture_output=True, text=True, check=True, cwd=ROOT)
    return [(v, n) for v, n in json.loads(done.stdout)]


def _described(peer: Peer, python: str) -> Installed:
    found = _query(python, peer.distributions)
    if not all(version for version, _ in found):
        return Installed(peer.name, python, absent=f"{peer.distributions[0]} is not installed in {FOLDER.name}/")
    return Installed(peer.name, python, found[0][0], found[0][1])
