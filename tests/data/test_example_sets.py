"""The sets of scikit-learn are read from its files as its own loaders read them."""

import subprocess
import sys

import numpy as np
import pytest

from clearprop.data.readers import example_sets
from clearprop.data.readers.example_sets import EXAMPLES, load_example, read_example
from clearprop.data.readers.sources import read


@pytest.mark.parametrize("name", EXAMPLES)
def test_files_hold_what_the_loaders_give(name, monkeypatch):
    from sklearn import datasets

    x, y, classes = load_example(EXAMPLES[name])
    found = read_example(name)
    assert np.array_equal(found[0], x) and np.array_equal(found[1], y) and found[2] == classes
    bunch = getattr(datasets, EXAMPLES[name].loader)()
    assert read(name).names == (*map(str, bunch.feature_names), "target")
    monkeypatch.setattr(example_sets, "_folder", lambda: None)
    assert np.array_equal(read_example(name)[0], x)


def test_scikit_learn_is_not_imported_for_them():
    code = "import sys; from clearprop.data.readers.sources import read; read('iris'); print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
