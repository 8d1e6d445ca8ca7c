"""The grammar of spaces: what is read, what is refused and how, and what grid and chance make of it."""

import pytest

from clearprop.errors import ArgumentError
from clearprop.search.space import VARIABLE, ChoiceAxis, IntervalAxis, read_space, split_texts
from clearprop.search.strategies import random_trials

READ = {
    "lr=1e-4..1e-1:log": IntervalAxis("lr", 1e-4, 1e-1, log=True),
    "learning-rate=0.1..1": IntervalAxis("lr", 0.1, 1.0),
    "batch-size=16..128": IntervalAxis("batch_size", 16, 128, whole=True),
    "--batch_size=16..128:log": IntervalAxis("batch_size", 16, 128, log=True, whole=True),
    "l2=0..4:int": IntervalAxis("l2", 0, 4, whole=True),
    "l2=0;1e-3;.5": ChoiceAxis("l2", (0.0, 1e-3, 0.5)),
    "lr=auto;1e-3": ChoiceAxis("lr", ("auto", 1e-3)),
    "hidden=32,32;64,64": ChoiceAxis("hidden", ((32, 32), (64, 64))),
    "activation=relu; tanh ;relu": ChoiceAxis("activation", ("relu", "tanh")),
    "optimizer=adam;sgd:momentum=0.9": ChoiceAxis("optimizer", ("adam", "sgd:momentum=0.9")),
    "patience=5": ChoiceAxis("patience", (5,)),
}


@pytest.mark.parametrize("text", READ)
def test_a_text_is_read(text):
    assert read_space(dict(split_texts([text]))).axes == (READ[text],)


HOW_TO_SET = "--set lr=1e-4..1e-1:log for an interval, --set hidden='32,32;64,64' for values"
REFUSED = {
    "lrr=0.1;0.2": ("no setting to vary named 'lrr'", "'lr', the nearest name"),
    "lr": ("--set cannot be 'lr'", HOW_TO_SET),
    "=3": ("--set cannot be '=3'", HOW_TO_SET),
    "lr=": ("--set cannot be 'lr='", HOW_TO_SET),
    "lr=;": ("lr has nothing to choose from", "--set lr=1e-3"),
    "lr=0.1..0.01": ("the interval of lr is empty", "lr=0.01..0.1"),
    "l2=0..1:log": ("l2 has no logarithm at 0", "l2=0..1"),
    "lr=1e-3..200": ("--lr cannot be 200.0", "--lr 1e-3"),
    "lr=1e-3..1:lg": ("no word for an interval of lr named 'lg'", "'log', the nearest name"),
    "epochs=1.5..3": ("epochs takes whole numbers", "epochs=16..256"),
    "dropout=0.1;1.5": ("--dropout cannot be '1.5'", "--dropout 0.1"),
    "hidden=8..64": ("hidden is no number", "--set hidden=64,64, with ; between the values"),
    "hidden=8,x": ("--hidden cannot be '8,x'", "--hidden 64,64"),
    "activation=relu;rellu": ("no activation named 'rellu'", "'relu', the nearest name"),
    "optimizer=adm": ("no optimizer named 'adm'", "'adam', the nearest name"),
    "val=0.1;0.2": ("val cannot vary in a sweep", "--val beside the sweep, the same for all of its trials"),
    "seed=0;1": ("seed cannot vary in a sweep", "--seed beside the sweep, the same for all of its trials"),
    "data=iris;wine": ("data cannot vary in a sweep", "DATA beside the sweep, the same for all of its trials"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_text_is_refused_in_four_parts(text):
    headline, remedy = REFUSED[text]
    with pytest.raises(ArgumentError) as caught:
        read_space(dict(split_texts([text])))
    error = caught.value
    assert (error.headline, error.try_) == (headline, remedy)
    assert error.expected and error.got and error.where


@pytest.mark.parametrize("space", [{}, {"lr": None}, {"lr": 0.1}, {3: "a"}, {"lr": []}, {"lr": [None]}, {"lr": {1: 2}}])
def test_spaces_of_a_program_are_refused(space):
    with pytest.raises(ArgumentError):
        read_space(space)


def test_one_setting_by_two_names_is_refused():
    with pytest.raises(ArgumentError, match="lr twice"):
        read_space({"lr": "0.1;0.2", "learning-rate": "0.3"})


def test_what_says_which_rows_are_held_out_cannot_vary():
    assert not {"data", "target", "val", "test", "split", "seed", "memory"} & set(VARIABLE)
    assert {"lr", "hidden", "dropout", "optimizer", "batch_size", "epochs"} <= set(VARIABLE)


def test_a_grid_takes_every_combination_and_cuts_intervals_evenly():
    space = read_space({"lr": "1e-4..1e-1:log", "hidden": "8;16", "batch_size": "16..18"})
    grid = space.grid(30)
    assert len(grid) == 2 * 3 * 3 and [t["lr"] for t in grid[::6]] == [1e-4, 0.003162, 0.1]
    assert grid[0] == {"lr": 1e-4, "hidden": (8,), "batch_size": 16}
    assert len({tuple(t.values()) for t in grid}) == len(grid)
    with pytest.raises(ArgumentError, match="at least 8 trials: 2 of lr times 2 of hidden times 2 of batch_size"):
        space.grid(7)


@pytest.mark.parametrize("text", ["1e-4..1e-1:log", "0.5..2", "3..7:int"])
def test_chance_stays_within_the_ends_and_is_the_same_for_a_number(text):
    space = read_space({"lr": text})
    (axis,) = space.axes
    few, many = (random_trials(space, n, seed=5) for n in (5, 200))
    assert many[:5] == few != random_trials(space, 5, seed=6)
    values = [t["lr"] for t in many]
    assert axis.low <= min(values) < max(values) <= axis.high
    assert axis.low in values and axis.high in values if axis.whole else len(set(values)) > 150


def test_whole_numbers_are_equally_likely():
    values = [t["epochs"] for t in random_trials(read_space({"epochs": "1..4"}), 400, seed=0)]
    assert all(abs(values.count(n) - 100) < 4 * (400 * 0.25 * 0.75) ** 0.5 for n in (1, 2, 3, 4))


def test_a_finite_space_gives_no_combination_twice():
    space = read_space({"hidden": "8;16;32", "dropout": "0;0.1"})
    found = random_trials(space, 60, seed=0)
    assert len(found) == 6 and sorted(map(str, found)) == sorted(map(str, space.grid(6))) and found != space.grid(6)
