"""Checkpoints: everything that continuing a run to the same bits needs, in safetensors and JSON files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clearprop.files.atomic import make_folder, remove_folder, write_folder
from clearprop.files.strict_json import read_json, read_record, refuse
from clearprop.files.tree_arrays import read_tree, to_bytes
from clearprop.runs.state import State

FORMAT = 1
KEPT = 3
"""So many checkpoints are kept besides the first; the older ones are removed."""
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_WHAT = "the checkpoint"


@dataclass(frozen=True, eq=False)
class Best:
    """The best epoch so far: its model, its number (from 1), its step, and by what it is the best (None: the last one).

    `loss` is the validation loss, or the metric that was chosen in its place: negative where more of it is better.
    """

    model: Any
    epoch: int
    step: int
    loss: float | None


@dataclass(frozen=True, eq=False)
class Standing:
    """Where a run stands: its state, and what the decisions to come depend on.

    `waited` epochs in a row have not improved on `reference`, the validation loss that patience counts from.
    """

    state: State
    best: Best | None = None
    reference: float | None = None
    waited: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class _StoredBest:
    epoch: int
    step: int
    loss: float | None


@dataclass(frozen=True)
class _StoredFile:
    sha256: str
    bytes: int


@dataclass(frozen=True)
class _Stored:
    """The file `checkpoint.json`.

    `key` and `step` are the generator's key and counter; `order_key` gives the order of every epoch, and `epoch`,
    `batch` are the place in it.  The first `epoch` lines of the history belong to this checkpoint.
    """

    format: int
    key: tuple[int, ...]
    order_key: tuple[int, ...]
    step: int
    epoch: int
    batch: int
    totals: tuple[float, ...]
    best: _StoredBest | None
    reference: float | None
    waited: int
    seconds: float
    files: dict[str, _StoredFile]


@dataclass(frozen=True)
class Keys:
    """The two keys of a run: of the order of epochs, and of random layers."""

    order: tuple[int, ...]
    layers: tuple[int, ...]


def save_checkpoint(folder: Path, standing: Standing, keys: Keys, after: Sequence[Path] = ()) -> int:
    """Write the checkpoint `folder` in one step, once the files `after` are durable; returns its size in bytes.

    Raises RunError if that fails.
    """
    content = checkpoint_files(standing, keys)
    make_folder(folder.parent)
    write_folder(folder, content, after)
    return sum(map(len, content.values()))


def checkpoint_files(standing: Standing, keys: Keys) -> dict[str, bytes]:
    """The files of a checkpoint, by name."""
    state, best = standing.state, standing.best
    content = {"model.safetensors": to_bytes(state.model), "optimizer.safetensors": to_bytes(state.optimizer)}
    if best is not None:
        content["best.safetensors"] = to_bytes(best.model)
    files = {name: _StoredFile(hashlib.sha256(data).hexdigest(), len(data)) for name, data in content.items()}
    stored = _Stored(
        format=FORMAT,
        key=keys.layers,
        order_key=keys.order,
        step=state.step,
        epoch=state.epoch,
        batch=state.batch,
        totals=state.totals,
        best=None if best is None else _StoredBest(best.epoch, best.step, best.loss),
        reference=standing.reference,
        waited=standing.waited,
        seconds=standing.seconds,
        files=files,
    )
    content["checkpoint.json"] = (json.dumps(asdict(stored), indent=1, allow_nan=False) + "\n").encode()
    return content


def load_checkpoint(folder: Path, model: Any, optimizer: Any, keys: Keys | None = None) -> Standing:
    """Read a checkpoint; `model` and `optimizer` give the structures, and `keys` are those of the run, if known.

    Raises RunError if anything in it is damaged or does not belong to that network, optimizer or seed.
    """
    path = folder / "checkpoint.json"
    stored = _read(path)
    if keys is not None and keys != Keys(stored.order_key, stored.key):
        refuse(_WHAT, "the keys that belong to the run's seed", "others", str(path))
    for name, file in stored.files.items():
        _verify(folder / name, file)
    state = State(
        model=read_tree(folder / "model.safetensors", model, _WHAT),
        optimizer=read_tree(folder / "optimizer.safetensors", optimizer, _WHAT),
        step=stored.step,
        epoch=stored.epoch,
        batch=stored.batch,
        totals=stored.totals,
    )
    best = None
    if stored.best is not None:
        kept = read_tree(folder / "best.safetensors", model, _WHAT)
        best = Best(kept, stored.best.epoch, stored.best.step, stored.best.loss)
    return Standing(state, best, stored.reference, stored.waited, stored.seconds)


def checkpoint_model(folder: Path, model: Any) -> Any:
    """The network alone of a checkpoint, where the optimizer is not known."""
    _verify(folder / "model.safetensors", _read(folder / "checkpoint.json").files["model.safetensors"])
    return read_tree(folder / "model.safetensors", model, _WHAT)


def _read(path: Path) -> _Stored:
    value = read_json(path, _WHAT)
    if isinstance(value, dict) and value.get("format") != FORMAT:
        refuse(_WHAT, f"format {FORMAT}", f"format {value.get('format')!r}", str(path))
    stored = read_record(_Stored, value, _WHAT, str(path))
    wanted = {"model.safetensors", "optimizer.safetensors"} | ({"best.safetensors"} if stored.best else set())
    if set(stored.files) != wanted:
        refuse(_WHAT, "the files " + ", ".join(sorted(wanted)), ", ".join(sorted(stored.files)), str(path))
    numbers = (stored.step, stored.epoch, stored.batch, stored.waited)
    if min(numbers) < 0 or stored.epoch > stored.step:
        refuse(_WHAT, "0 ≤ epoch ≤ step", f"epoch {stored.epoch}, step {stored.step}, batch {stored.batch}", str(path))
    return stored


def _verify(path: Path, file: _StoredFile) -> None:
    try:
        size = path.stat().st_size
        if size != file.bytes:
            refuse(_WHAT, f"{path.name} with {file.bytes:,} bytes", f"{size:,} bytes", str(path), _remedy(path))
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as problem:
        refuse(_WHAT, f"the file {path.name}", problem.strerror or type(problem).__name__, str(path), _remedy(path))
    if digest != file.sha256:
        refuse(_WHAT, f"{path.name} with SHA-256 {file.sha256[:12]}…", f"{digest[:12]}…", str(path), _remedy(path))


def _remedy(path: Path) -> str:
    """What is left where a file of a checkpoint is damaged."""
    others = [step for step in checkpoint_steps(path.parents[1]) if str(step) != path.parent.name]
    if not others:
        return ""
    return f"remove {path.parent}: the run then goes on from step {others[-1]}"


def checkpoint_steps(folder: Path) -> list[int]:
    """The steps that have a checkpoint under `folder`, ascending."""
    try:
        found = [path.name for path in folder.iterdir() if _NUMBER.fullmatch(path.name) and path.is_dir()]
    except FileNotFoundError:
        return []
    except OSError as problem:
        refuse(_WHAT, "a folder of checkpoints", problem.strerror or type(problem).__name__, str(folder))
    return sorted(map(int, found))


def remove_old(folder: Path, kept: int = KEPT) -> None:
    """Keep the first checkpoint, from which every step can be replayed, and the newest `kept`.

    Each of them holds the network of the best epoch so far, too.
    """
    for step in checkpoint_steps(folder)[1:-kept]:
        remove_folder(folder / str(step))
