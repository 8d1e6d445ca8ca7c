"""ONNX Runtime computes what we do, from raw columns: `make verify` asks it, in an environment of its own."""

import csv
import json
import subprocess

import numpy as np
import onnx
import pytest

import clearprop as cl
from benchmarks.peers import provide
from clearprop.exporting.onnx import elementwise, network_model, run_model
from clearprop.primitives import REGISTRY
from clearprop.rules.on_demand.convolution import conv_input
from tests.exporting.onnx_models import COLUMNS, by_column, feeds, mixed_run
from tests.exporting.test_onnx_operations import (
    CASES,
    KERNEL,
    ROWS,
    STRIDES,
    elementwise_arrays,
    elementwise_params,
    model_of,
    numbers,
)
from tests.exporting.test_onnx_runs import NETWORKS, PENGUINS, QUESTIONS, time_question

pytestmark = pytest.mark.verify

TOLERANCE = 1e-5
ASK = """
import json, pathlib, sys
import numpy as np, onnxruntime
onnxruntime.set_default_logger_severity(3)
told = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.onnx")):
    given = np.load(path.with_suffix(".npz"))
    texts = {k: v.astype(object) if v.dtype.kind == "U" else v for k, v in given.items()}
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        found = session.run(None, {k[1:]: v for k, v in texts.items() if k[0] == "i"})
    except Exception as error:
        told[path.stem] = str(error)
        continue
    worst = 0.0
    for number, value in enumerate(found):
        want = texts[f"w{number}"]
        if value.shape != want.shape or value.dtype.kind != want.dtype.kind:
            worst = f"{value.dtype}{value.shape} for {want.dtype}{want.shape}"
        elif value.dtype.kind in "ObiuU":
            worst = max(worst, float((value != want).mean()))
        else:
            gap = np.abs(value.astype(np.float64) - want) / np.maximum(1, np.abs(want))
            same = (value == want) | (np.isnan(value) & np.isnan(want))
            worst = max(worst, float(np.where(same, 0, gap).max()))
    told[path.stem] = worst
print(json.dumps(told))
"""


class Question:
    """Models with what they are given and what is wanted, in a folder that ONNX Runtime is asked about."""

    def __init__(self, folder):
        self.folder = folder

    def add(self, name, model, given, *wanted):
        onnx.save(model, self.folder / f"{name}.onnx")
        arrays = {f"i{k}": v for k, v in given.items()} | {f"w{i}": w for i, w in enumerate(wanted)}
        np.savez(
            self.folder / f"{name}.npz", **{k: v.astype(str) if v.dtype == object else v for k, v in arrays.items()}
        )

    def answers(self):
        """The largest difference of each model, relative where numbers are above 1; or what went wrong."""
        runtime = provide(["onnxruntime"])["onnxruntime"]
        if runtime.absent:
            pytest.skip(runtime.absent)
        command = [runtime.python, "-c", ASK, str(self.folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def question(tmp_path):
    return Question(tmp_path)


def require_close(told, tolerance=TOLERANCE):
    print(*sorted(told.items(), key=lambda item: str(item[1])), sep="\n")
    far = {name: worst for name, worst in told.items() if isinstance(worst, str) or worst > tolerance}
    assert not far, far


TABLES = {
    "everything, classes": ("classes", COLUMNS),
    "everything, numbers": ("numbers", COLUMNS),
    "numbers alone": ("numbers", ("size", "year_built")),
    "words": ("classes", ("heated", "colour", "grade", "tags")),
    "dates": ("numbers", ("sold", "seen")),
}


@pytest.mark.filterwarnings("ignore::clearprop.errors.DataWarning")  # levels and numbers that training lacks are meant
def test_tables_from_raw_columns(question, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    for name, (task, columns) in TABLES.items():
        run, source, rows = mixed_run(folder, task, columns)
        model = run_model(run)
        wanted = [run.predict(source)]
        wanted = [wanted[0][:, None]] if task == "numbers" else [*wanted, run.probabilities(source)]
        question.add(name, model, feeds(model, by_column(columns, rows)), *wanted)
    run = cl.fit(cl.nn.mlp(hidden=[8]), "penguins", epochs=3, progress=False)
    model, table = run_model(run), list(csv.reader(PENGUINS.read_text().splitlines()))
    given = feeds(model, by_column(table[0], table[1:]))
    question.add("penguins", model, given, run.predict("penguins"), run.probabilities("penguins"))
    for order, zoned in QUESTIONS:
        question.add(f"times, {order}, {zoned}", *time_question(order, zoned))
    told = question.answers()
    assert len(told) == 6 + len(QUESTIONS)
    require_close(told)


def test_networks(question):
    for name, make in NETWORKS.items():
        model, x = make()
        question.add(name, network_model(model, x), {"x": x}, np.asarray(cl.asarray(model(x))))
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    model = cl.nn.resnet()
    question.add("resnet", network_model(model, x), {"x": x}, np.asarray(cl.asarray(model(x))))
    require_close(question.answers())


def test_operations(question):
    with np.errstate(all="ignore"):
        for name in elementwise.RULES:
            arrays, params = elementwise_arrays(name, np.float32), elementwise_params(name, np.float32)
            add_function(question, name, lambda *xs, p=REGISTRY[name], q=params: p(*xs, **q), arrays)
        for name, cases in CASES.items():
            for number, (f, *arrays) in enumerate(cases):
                add_function(question, f"{name}-{number}", f, arrays)
    grouped = [numbers(ROWS, 2, 3, 6), KERNEL]
    add_function(question, "conv_input-grouped", lambda g, w: conv_input(g, w, size=(6, 5), **STRIDES), grouped)
    require_close(question.answers())


def add_function(question, name, f, arrays):
    want = np.asarray(cl.asarray(f(*map(cl.asarray, arrays))))
    question.add(name, model_of(f, arrays), {f"x{i}": a for i, a in enumerate(arrays)}, want)
