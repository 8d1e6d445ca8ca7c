"""Every mistake is one message on stderr and exit code 2, and nothing is written."""

from pathlib import Path

import numpy as np
import pytest

FEW = "size,kind\n1,a\n2,b\n"
GOOD = "size,kind\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(40))
TABLE = ("train", "data.csv")


def csv(text):
    return lambda: Path("data.csv").write_bytes(text if isinstance(text, bytes) else text.encode())


def npz(**arrays):
    return lambda: np.savez("data.npz", **arrays)


def taken():
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine")


def toml(text):
    return lambda: Path("train.toml").write_text(text)


def nothing():
    pass


CASES = {
    "missing file": (
        nothing, ("train", "houses.csv"), """\
no file and no bundled data set named 'houses.csv'
  expected  a CSV, Parquet, JSON lines, Excel, Arrow, NPY or NPZ file, or one of: digits, iris, wine, \
breast-cancer, diabetes, penguins, spirals
  got       'houses.csv'
  try       check the path, or use one of the names above"""),
    "bundled set misspelt": (
        nothing, ("train", "digit"), """\
no file and no bundled data set named 'digit'
  expected  a CSV, Parquet, JSON lines, Excel, Arrow, NPY or NPZ file, or one of: digits, iris, wine, \
breast-cancer, diabetes, penguins, spirals
  got       'digit'
  try       'digits', the nearest name"""),
    "no data": (
        nothing, ("train",), """\
there is nothing to train on
  expected  DATA: a CSV, Parquet, JSON lines, Excel, Arrow, NPY or NPZ file, or one of: digits, iris, wine, \
breast-cancer, diabetes, penguins, spirals
  got       no DATA
  try       clearprop train digits"""),
    "empty file": (
        csv(""), TABLE, """\
'data.csv' is empty
  expected  a header line and rows below it
  got       no text at all
  where     data.csv
  try       check that the file was written out whole"""),
    "unreadable file": (
        csv(bytes(range(256))), TABLE, """\
cannot read 'data.csv': it is not a text file
  expected  text in UTF-8, or a CSV, Parquet, JSON lines, Excel, Arrow, NPY or NPZ file
  got       bytes that are not UTF-8 text
  where     data.csv
  try       save the table as CSV with the encoding UTF-8"""),
    "header only": (
        csv("size,price\n"), TABLE, """\
'data.csv' has a header but no rows
  expected  a header line and at least one row below it
  got       the header size, price
  where     data.csv
  try       check that the table was written out whole"""),
    "no such target": (
        csv(GOOD), (*TABLE, "--target", "kid"), """\
no column named 'kid'
  expected  one of: size, kind
  got       'kid'
  where     data.csv
  try       --target 'kind', the nearest name"""),
    "one class": (
        csv("size,kind\n1,a\n2,a\n"), TABLE, """\
the target 'kind' has one class only
  expected  at least two classes
  got       'a' in all 2 rows
  where     data.csv, column 'kind'
  try       choose another target, or add the rows that are missing"""),
    "text for numbers": (
        csv(GOOD), (*TABLE, "--task", "regression"), """\
the target 'kind' of a regression must hold numbers
  expected  a number in every row
  got       the text 'a'
  where     data.csv:2, column 'kind'
  try       correct the value, or --task classification"""),
    "text among numbers": (
        csv(GOOD.replace("7,b", "seven,b", 1)), TABLE, """\
column 'size' holds text among its numbers
  expected  numbers, and an empty cell where one is missing
  got       'seven' among 39 numbers
  where     data.csv:9, column 'size'
  try       correct it or leave it empty, or --missing 'seven'; --kind size=category takes all as words"""),
    "infinite": (
        csv(GOOD.replace("7,b", "inf,b", 1)), TABLE, """\
column 'size' holds an infinite value
  expected  finite numbers; an empty cell where a number is missing
  got       inf; 1 infinite value in the column
  where     data.csv:9, column 'size'
  try       correct the value, or leave it empty"""),
    "duplicate columns": (
        csv("size,size,kind\n1,2,a\n3,4,b\n"), TABLE, """\
'data.csv' has two columns of one name
  expected  a name of its own for every column
  got       'size' 2 times
  where     data.csv:1
  try       rename one of them"""),
    "ragged rows": (
        csv("size,kind\n1,a\n2,b,c\n"), TABLE, """\
'data.csv' is ragged: a row does not fit the header
  expected  2 fields, as in the header
  got       3 fields: 2, b, c
  where     data.csv:3
  try       put a field that contains the separator in quotes, fill the row up, or delete a title or a note"""),
    "objects": (
        npz(x=np.array([1, None], dtype=object), y=np.arange(2)), ("train", "data.npz"), """\
'data.npz' holds objects, which are not read
  expected  arrays of numbers, or of text for y
  got       x of dtype object: loading it could run code
  where     data.npz, array x
  try       x = np.array(x.tolist()) before saving"""),
    "shapes": (
        npz(x=np.zeros((4, 2)), y=np.zeros(3)), ("train", "data.npz"), """\
x and y differ in length
  expected  4 values in y, one for each row of x
  got       3
  where     data.npz
  try       check that both come from the same rows"""),
    "too few rows": (
        csv(FEW), TABLE, """\
too few rows: the validation part would be empty
  expected  at least one row in every part
  got       2 rows, of which 0.15 make none
  where     data.csv
  try       more rows, or --val 0 to do without"""),
    "negative learning rate": (
        csv(GOOD), (*TABLE, "--lr", "-0.1"), """\
--lr cannot be '-0.1'
  expected  a number above 0 and at most 100, or auto
  got       '-0.1'
  where     --lr
  try       --lr 1e-3"""),
    "NaN learning rate": (
        csv(GOOD), (*TABLE, "--lr", "nan"), """\
--lr cannot be 'nan'
  expected  a number above 0 and at most 100, or auto
  got       'nan'
  where     --lr
  try       --lr 1e-3"""),
    "no number": (
        csv(GOOD), (*TABLE, "--epochs", "many"), """\
--epochs cannot be 'many'
  expected  a whole number from 1 up to 2**63 - 1
  got       'many'
  where     --epochs
  try       --epochs 100"""),
    "unknown activation": (
        csv(GOOD), (*TABLE, "--activation", "rellu"), """\
no activation named 'rellu'
  expected  one of: elu, gelu, gelu_tanh, hard_sigmoid, hard_silu, hard_tanh, leaky_relu, linear, mish, relu, relu6, selu, sigmoid, silu, softplus, softsign, tanh
  got       'rellu'
  where     --activation
  try       'relu', the nearest name"""),  # noqa: E501 - the message is one line
    "unknown task": (
        csv(GOOD), (*TABLE, "--task", "cluster"), """\
no task named 'cluster'
  expected  one of: auto, classification, regression
  got       'cluster'
  where     --task
  try       one of the names above"""),
    "impossible size": (
        csv(GOOD), (*TABLE, "--hidden", "64,0"), """\
--hidden cannot be '64,0'
  expected  sizes from 1 to 65,536, with commas between them
  got       '64,0'
  where     --hidden
  try       --hidden 64,64"""),
    "too large": (
        csv(GOOD), (*TABLE, "--hidden", "65536,65536"), """\
the network would be too large
  expected  at most 500,000,000 parameters
  got       4,295,294,978 with the layers 1 → 65536 → 65536 → 2
  where     --hidden
  try       --hidden 128,64"""),
    "shares": (
        csv(GOOD), (*TABLE, "--val", "0.6", "--test", "0.5"), """\
validation and test leave nothing to train on
  expected  --val and --test with a sum below 1
  got       0.6 + 0.5 = 1.1
  where     --val, --test
  try       --val 0.15 --test 0.15"""),
    "share": (
        csv(GOOD), (*TABLE, "--val", "1.5"), """\
--val cannot be '1.5'
  expected  a share of the rows from 0 up to, but not including, 1
  got       '1.5'
  where     --val
  try       --val 0.15"""),
    "out not empty": (
        taken, ("train", "iris", "--out", "mine"), """\
the run folder 'mine' is not empty
  expected  a new folder, or an empty one
  got       a folder that holds 'notes.txt' and possibly more
  where     --out mine
  try       another name, or --resume to continue the run in it"""),
    "resume nothing": (
        nothing, ("train", "--resume", "runs/x"), """\
'runs/x' is no run folder
  expected  a folder that `clearprop train` or `cl.fit(..., out=)` wrote
  got       no such folder
  where     runs/x
  try       check the name; runs are under runs/ unless --out was given"""),
    "resume otherwise": (
        nothing, ("train", "--resume", "runs/x", "--lr", "1", "--out", "y"), """\
a resumed run keeps its settings
  expected  --resume with at most --epochs and --patience
  got       --lr, --out
  where     --resume runs/x
  try       clearprop train --resume runs/x, or a new run with --lr"""),
    "unknown option": (
        nothing, ("train", "iris", "--epoch", "1"), """\
no option named '--epoch'
  expected  one of: --accumulate, --activation, --augment, --batch-size, --buckets, --calibration, --class-weight, \
--config, --context, --costs, --decimal, --delimiter, --drop, --dropout, --ema, --encoding, --epochs, --folds, --fork, \
--freeze, --grad-shards, --group, --header, --hidden, --initial-weights, --json, --kind, --l1, --l2, --learning-rate, \
--loss, --lr, --member, --members, --memory, --metric, --missing, --model, --on, --only, --optimizer, --out, \
--param-groups, --patience, --pieces, --quantiles, --rank-timeout, --recipe, --reduce, --repeats, --resume, \
--schedule, --seed, --sequence, --size, --split, --target, --target-transform, --task, --test, --threads, \
--threshold, --time, --unit, --val, --weight, --world
  got       '--epoch'
  where     clearprop train
  try       '--epochs', the nearest name"""),
    "unknown command": (
        nothing, ("trian",), """\
no such command 'trian'. Did you mean 'train'?
  expected  clearprop [OPTIONS] COMMAND [ARGS]...
  where     clearprop
  try       clearprop --help"""),
    "missing argument": (
        nothing, ("predict",), """\
missing argument 'RUN'
  expected  clearprop predict [OPTIONS] {RUN} {DATA}
  where     clearprop predict
  try       clearprop predict --help"""),
    "no config": (
        nothing, ("train", "iris", "--config", "train.toml"), """\
no config file 'train.toml'
  expected  a TOML or JSON file
  got       no such file
  where     --config
  try       clearprop config > train.toml"""),
    "broken config": (
        toml("lr = = 1"), ("config", "train.toml"), """\
the config 'train.toml' cannot be read
  expected  TOML, such as: lr = 0.001
  got       Invalid value (at line 1, column 6)
  where     train.toml
  try       clearprop config shows how it looks"""),
    "unknown key": (
        toml("hiden = [3]"), ("config", "train.toml"), """\
no setting named 'hiden'
  expected  one of: accumulate, activation, augment, batch_size, buckets, calibration, class_weight, context, costs, \
data, decimal, delimiter, drop, dropout, ema, encoding, epochs, freeze, grad_shards, group, header, hidden, kind, \
l1, l2, loss, lr, member, memory, metric, missing, model, only, optimizer, param_groups, patience, pieces, quantiles, \
recipe, reduce, schedule, seed, sequence, size, split, target, target_transform, task, test, threshold, unit, val, \
weight
  got       'hiden'
  where     train.toml
  try       'hidden', the nearest name"""),
    "value in a config": (
        toml("seed = -1"), ("train", "iris", "--config", "train.toml"), """\
seed cannot be -1
  expected  a whole number from 0 up to 2**64 - 1
  got       -1
  where     train.toml, key seed
  try       seed = 0"""),
    "a batch beyond all numbers": (
        csv(GOOD), (*TABLE, "--batch-size", str(2**70)), """\
--batch-size cannot be '1180591620717411303424'
  expected  a whole number from 1 up to 2**63 - 1
  got       '1180591620717411303424'
  where     --batch-size
  try       --batch-size 32"""),
    "a member beyond all numbers": (
        csv(GOOD), (*TABLE, "--member", str(2**64)), """\
--member cannot be '18446744073709551616'
  expected  a whole number from 1 up to 2**64 - 1
  got       '18446744073709551616'
  where     --member
  try       --member 2"""),
    "rows to check": (
        nothing, ("check", "runs/x", "--rows", "0"), """\
--rows cannot be 0
  expected  a whole number, 1 or more
  got       0
  where     --rows
  try       --rows 20"""),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_message(case, command):
    prepare, args, message = CASES[case]
    prepare()
    before = {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()}
    result = command(*args)
    assert result.err == message + "\n"
    assert (result.code, result.out) == (2, "")
    assert {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()} == before
    assert not Path("runs").exists()


def test_unknown_optimizer_names_the_nearest(command):
    result = command("train", "iris", "--optimizer", "adamm")
    assert result.code == 2
    assert result.err.startswith("no optimizer named 'adamm'\n  expected  one of: ")
    assert result.err.endswith("\n  got       'adamm'\n  where     --optimizer\n  try       'adam', the nearest name\n")


def test_our_own_fault_is_no_mistake_of_the_user(command, monkeypatch):
    from clearprop.cli import train_session

    monkeypatch.setattr(train_session, "from_source", lambda *_: 1 / 0)
    result = command("train", "iris")
    assert result.code == 1
    assert "ZeroDivisionError: division by zero" in result.err
    assert result.err.endswith("This is a fault of clearprop, not yours: please report it with the lines above.\n")


def test_interrupted_before_training(command, monkeypatch):
    from clearprop.cli import train_session

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(train_session, "from_source", stop)
    assert command("train", "iris").code == 130
