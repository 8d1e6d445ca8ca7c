"""What does not fit is told before anything is written: every message is compared whole."""

import sys
from pathlib import Path

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import ArgumentError, ClearpropError
from clearprop.train.metrics import METRICS

X = np.arange(12.0).reshape(6, 2)
Y = np.array([0, 1, 0, 1, 0, 1])
pytestmark = pytest.mark.usefixtures("eager")


def net(outputs=2):
    return cl.nn.mlp([2, 3, outputs])


def fit(data=(X, Y), model=None, **options):
    return cl.fit(model or net(), data, **{"epochs": 1, "out": "run", **options})  # the line


LINES = Path(__file__).read_text(encoding="utf-8").splitlines()
NUMBER = next(i for i, line in enumerate(LINES) if line.endswith("# the line"))
HERE = f"test_fit_messages.py:{NUMBER + 1}  {LINES[NUMBER].strip()}"


def vector(outputs, y):
    return cl.nn.mse(outputs, outputs, reduction="none")


def of_three(outputs, y, scale):
    return cl.nn.mse(outputs, y) * scale


CASES = {
    "a loss of three": (
        lambda: fit(loss=of_three),
        f"""\
of_three cannot be called with outputs and targets
  expected  a function of two arrays: what the network computed, and what is right
  got       of_three(outputs, y, scale): missing a required argument: 'scale'
  where     {HERE}
  try       lambda outputs, y: …, which calls it with what else it needs""",
    ),
    "a metric of one": (
        lambda: fit(metrics=[lambda outputs: outputs]),
        f"""\
<lambda> cannot be called with outputs and targets
  expected  a function of two arrays: what the network computed, and what is right
  got       <lambda>(outputs): too many positional arguments
  where     {HERE}
  try       lambda outputs, y: …, which calls it with what else it needs""",
    ),
    "a loss of ours that takes more": (
        lambda: fit(loss=cl.nn.contrastive),
        f"""\
contrastive cannot be called with outputs and targets
  expected  a function of two arrays: what the network computed, and what is right
  got       contrastive(a, b, alike, *, margin=1.0, reduction='mean', sample_weight=None): missing a required \
argument: 'alike'
  where     {HERE}
  try       loss=lambda z, alike: cl.nn.contrastive(z[:, 0], z[:, 1], alike), for outputs in pairs""",
    ),
    "no network": (
        lambda: fit(model=lambda x: x),
        f"""\
fit trains a network
  expected  a module of cl.nn with parameters
  got       function
  where     {HERE}
  try       cl.nn.mlp(hidden=[64, 64])""",
    ),
    "no parameters": (
        lambda: fit(model=cl.nn.Dropout(0.5)),
        f"""\
fit trains a network
  expected  a module of cl.nn with parameters
  got       Dropout without parameters
  where     {HERE}
  try       cl.nn.mlp(hidden=[64, 64])""",
    ),
    "no data": (
        lambda: fit(X),
        f"""\
this is nothing to train on
  expected  a pair (x, y) of arrays, a data frame, the path of a file, or an iterable of batches (x, y)
  got       ndarray
  where     {HERE}
  try       cl.fit(model, (x, y)), or cl.fit(model, 'houses.csv')""",
    ),
    "three arrays": (
        lambda: fit((X, Y, Y)),
        f"""\
data must be a pair (x, y)
  expected  (x, y)
  got       tuple of 3
  where     {HERE}""",
    ),
    "lengths": (
        lambda: fit((X, Y[:4])),
        f"""\
x and y of data do not fit together
  expected  at least one row, and as many rows in y as in x
  got       x (6, 2) and y (4,)
  where     {HERE}
  try       check that both come from the same rows""",
    ),
    "text in x": (
        lambda: fit((X.astype(str), Y)),
        f"""\
x of data must hold numbers
  expected  an array of integers, truth values, float32 or float64
  got       dtype <U32
  where     {HERE}
  try       encode text as integers 0, 1, …; .astype(np.float32) for other floats; lists must not be ragged""",
    ),
    "text with gaps": (
        lambda: fit((X, np.array(["a", "b", None] * 2, dtype=object))),
        f"""\
y of data cannot be used as labels
  expected  text in every row, or numbers in every row
  got       None beside text; 2 rows without text
  where     {HERE}
  try       leave those rows out, or name what is missing: 'unknown'""",
    ),
    "outputs": (
        lambda: fit((X, ["a", "b", "c"] * 2)),
        f"""\
the outputs of the network are not as many as the classes
  expected  3 outputs, one for each class
  got       2 for 3 classes: a, b, c
  where     {HERE}
  try       a last layer of 3, or cl.nn.mlp(hidden=[64, 64]), which takes its sizes from the data""",
    ),
    "class of the validation part": (
        lambda: fit((X, ["a", "b"] * 3), validation=(X, ["a", "c"] * 3)),
        """\
the target 'y' holds a class that training did not have
  expected  one of: a, b
  got       'c'
  where     y of validation, row 1
  try       leave those rows out, or train again with them""",
    ),
    "not finite": (
        lambda: fit((np.where(X == 5, np.nan, X), Y)),
        f"""\
x of data holds values that are not finite
  expected  finite numbers
  got       nan at x[2, 1]; 1 in all
  where     {HERE}
  try       leave those rows out, or fill the gaps in: np.nan_to_num""",
    ),
    "width": (
        lambda: fit((X[:, :1], Y)),
        f"""\
Dense(2 → 3) cannot take an input of shape (2, 1)
  expected  2 numbers in the last axis
  got       1
  where     {HERE}
  try       check the columns of the data and the sizes of the layers before""",
    ),
    "labels": (
        lambda: fit((X, 5 * Y + np.arange(len(Y)))),
        f"""\
cross_entropy got a label outside its range
  expected  labels from 0 to 1
  got       label 6 at index 1
  where     {HERE}
  try       count classes from 0, and give the last layer one output per class""",
    ),
    "labels of the validation part": (
        lambda: fit(validation=(X, Y + 1)),
        f"""\
cross_entropy got a label outside its range
  expected  labels from 0 to 1
  got       label 2 at index 1
  where     {HERE}
  try       count classes from 0, and give the last layer one output per class""",
    ),
    "loss of shape": (
        lambda: fit((X, Y), loss=vector),
        f"""\
grad needs a scalar loss
  expected  shape ()
  got       shape (2, 2)
  where     {HERE}
  try       cl.mean(loss) or cl.sum(loss); cl.jacobian for the derivative of every element""",
    ),
    "loss": (
        lambda: fit(loss="cross_entropi"),
        f"""\
no loss named 'cross_entropi'
  expected  one of: binary_cross_entropy, cross_entropy, focal, gaussian_nll, huber, log_cosh, mae, mse, pinball, \
poisson, tweedie
  got       'cross_entropi'
  where     {HERE}
  try       'cross_entropy', the nearest name""",
    ),
    "metric": (
        lambda: fit(metrics=("acuracy",)),
        f"""\
no metric named 'acuracy'
  expected  one of: {", ".join(sorted(METRICS))}
  got       'acuracy'
  where     {HERE}
  try       'accuracy', the nearest name""",
    ),
    "metrics": (
        lambda: fit(metrics="accuracy"),
        f"""\
metrics is a list of names and functions
  expected  such as ("accuracy",)
  got       'accuracy'
  where     {HERE}
  try       metrics=('accuracy',)""",
    ),
    "metric twice": (
        lambda: fit(metrics=("accuracy", "accuracy")),
        f"""\
two metrics are called 'accuracy'
  expected  a name of its own for every metric, and none called 'loss'
  got       accuracy, accuracy
  where     {HERE}
  try       give the function another __name__""",
    ),
    "optimizer": (
        lambda: fit(optimizer=0.1),
        f"""\
this is no optimizer
  expected  a transform of cl.optim, or its name, such as "adam"
  got       0.1
  where     {HERE}
  try       optimizer=cl.optim.adam(1e-3)""",
    ),
    "epochs": (
        lambda: fit(epochs=0),
        f"""\
fit cannot work with this epochs
  expected  a whole number epochs >= 1 and < 9.22337e+18
  got       epochs = 0
  where     {HERE}
  try       epochs=100""",
    ),
    "batch size": (
        lambda: fit(batch_size=2.5),
        f"""\
fit cannot work with this batch_size
  expected  a whole number batch_size >= 1 and < 9.22337e+18
  got       batch_size = 2.5
  where     {HERE}
  try       batch_size=32""",
    ),
    "penalty": (
        lambda: fit(l2=float("nan")),
        f"""\
fit cannot work with this l2
  expected  a number l2 >= 0
  got       l2 = nan
  where     {HERE}
  try       l2=0.0""",
    ),
    "patience": (
        lambda: fit(patience=3),
        f"""\
patience needs validation data
  expected  validation=0.2 or validation=(x, y): patience counts epochs without a better validation loss
  got       validation=None
  where     {HERE}
  try       validation=0.2, patience=3""",
    ),
    "validation": (
        lambda: fit(validation=1.5),
        f"""\
validation must leave rows on both sides
  expected  a fraction between 0 and 1 of the rows, or a pair (x, y)
  got       validation=1.5 of 6 rows
  where     {HERE}
  try       validation=0.2""",
    ),
    "seed": (
        lambda: fit(seed=-(2**70)),
        """\
a seed is an integer of up to 64 bits
  expected  0 <= seed < 2**64
  got       -1180591620717411303424
  try       seed=0""",
    ),
    "iterator": (
        lambda: fit(iter([(X, Y)]), epochs=2),
        """\
an iterator is used up after one epoch
  expected  an iterable that starts anew each time, such as a list or an object with __iter__
  got       list_iterator, and epochs = 2
  try       epochs=1, or list(batches)""",
    ),
    "batches": (
        lambda: fit([X, Y]),
        """\
an iterable of batches must give pairs (x, y)
  expected  a pair (x, y) of arrays with one row per example
  got       ndarray
  where     batch 0
  try       yield x, y""",
    ),
    "no batch": (
        lambda: fit([]),
        """\
the iterable gives no batch
  expected  at least one batch (x, y)
  got       none""",
    ),
    "fraction of an iterable": (
        lambda: fit([(X, Y)], validation=0.5),
        f"""\
a fraction cannot be cut from an iterable of batches
  expected  validation=(x, y), or None
  got       validation=0.5
  where     {HERE}""",
    ),
    "out and resume": (
        lambda: fit(resume="other"),
        f"""\
a resumed run stays in its folder
  expected  resume= alone
  got       resume='other', out='run'
  where     {HERE}
  try       resume='other'""",
    ),
    "resume nothing": (
        lambda: fit(out=None, resume="other"),
        """\
'other' is no run folder
  expected  a folder that `clearprop train` or `cl.fit(..., out=)` wrote
  got       no such folder
  where     other
  try       check the name; runs are under runs/ unless --out was given""",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_message(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    action, message = CASES[case]
    with pytest.raises(ClearpropError) as caught:
        action()
    assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []


def test_out_not_empty(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(ClearpropError) as caught:
        cl.fit(net(), (X, Y), out=tmp_path / "run")
    assert (
        str(caught.value).replace(str(tmp_path), "T")
        == """\
the run folder 'T/run' is not empty
  expected  a new folder, or an empty one
  got       a folder that holds 'notes.txt' and possibly more
  where     --out T/run
  try       another name, or --resume to continue the run in it"""
    )
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["notes.txt"]


def test_a_run_without_a_written_loss_says_what_to_do(tmp_path):
    def own(outputs, y):
        return cl.mean(outputs**2)

    cl.fit(net(), (X, Y), loss=own, epochs=1, out=tmp_path / "run")
    run = cl.load(tmp_path / "run")
    with pytest.raises(ClearpropError) as caught:
        run.evaluate(X, Y)
    assert (
        str(caught.value)
        == """\
this run was trained with a loss of its own, which no file holds
  expected  one of the losses of cl.nn
  got       own
  try       run = cl.fit(..., resume=folder), which brings the loss along"""
    )
    with pytest.raises(ClearpropError) as caught:
        run.probabilities(X)
    assert "this run has no probabilities" in str(caught.value)
    with pytest.raises(ClearpropError) as caught:
        run.encode(X)
    assert (
        str(caught.value)
        == """\
this run was trained on arrays as they are
  expected  an array like x of the training
  got       ndarray
  try       run.predict(x)"""
    )
    with pytest.raises(ClearpropError, match="the data of this run are not at hand"):
        run.replay(1)


def test_what_needs_packages_that_are_not_installed_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ArgumentError) as caught:
        fit({"a": X[:, 0], "b": Y}, model=cl.nn.mlp("auto"))
    assert caught.value.headline == "fit needs packages that are not installed"
    assert caught.value.got == "no module named 'polars'" and caught.value.where == HERE
    assert caught.value.try_ == "pip install 'clearprop[cli]'"


@pytest.mark.parametrize("package", ["polars", "surely_not_there"])
def test_what_the_users_own_code_imports_is_not_ours(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)

    def loss(outputs, y):
        __import__(package)

    with pytest.raises(ModuleNotFoundError):
        fit(loss=loss)


def test_words_of_ensembles_and_folds_name_who_takes_them():
    for word, remedy in (
        ("time", "cl.ensemble(data, time='60s')"),
        ("members", "cl.ensemble"),
        ("folds", "cl.cross_validate"),
    ):
        with pytest.raises(ArgumentError) as caught:
            cl.fit("iris", **{word: 3})
        assert caught.value.try_.startswith(remedy)


@pytest.mark.parametrize("number", [10, -1])
@pytest.mark.parametrize("validation", [None, 0.25, "given"])
@pytest.mark.parametrize("layer", ["Embedding", "EmbeddingBag"])
def test_a_number_that_an_embedding_does_not_know_is_told_with_its_place_in_the_data(layer, validation, number):
    x = np.arange(120).reshape(40, 3) % 10
    wrong, y = x.copy(), np.arange(40) % 2
    wrong[17, 2] = number
    last = [cl.nn.Flatten(), cl.nn.Dense(12, 2)] if layer == "Embedding" else [cl.nn.Dense(4, 2)]
    network = cl.nn.Sequential(cl.nn.Sequential(getattr(cl.nn, layer)(10, 4)), *last)
    given = (wrong, y) if validation == "given" else validation
    with pytest.raises(ArgumentError, match=rf"Embedding.* has no row {number}") as caught:
        cl.fit(network, (x if validation == "given" else wrong, y), epochs=1, validation=given)
    assert caught.value.got == f"{number} in row 17, column 2"
    assert caught.value.expected == "whole numbers from 0 to 9 in x"


MEANT = {
    "lr": "cl.optim.adam(0.001)", "learning_rate": "cl.optim.adam(0.001)", "weight_decay": "adamw", "momentum": "sgd",
    "scheduler": "cosine", "max_grad_norm": "clip_by_norm", "criterion": "loss=", "loss_fn": "loss=", "device": "CPU",
    "y": "(x, y)", "monitor": "metric=", "n_epochs": "epochs", "validation_split": "validation", "random_state": "seed",
}  # fmt: skip


@pytest.mark.parametrize("word", MEANT)
def test_names_of_other_libraries_lead_to_ours(word):
    x = np.zeros((4, 2), np.float32)
    with pytest.raises(cl.errors.ArgumentError) as caught:
        cl.fit(cl.nn.mlp([2, 1]), (x, x[:, 0]), progress=False, **{word: 0.1})
    assert MEANT[word] in str(caught.value).split("  try ")[1]
