"""The tables that scikit-learn ships, read from its files: to import it takes far longer than to read any of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MEASURES = (
    "radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave points", "symmetry",
    "fractal dimension",
)  # fmt: skip


@dataclass(frozen=True)
class ExampleSet:
    """One of the tables: the loader's name and options, its files, what separates their values, and the columns.

    A file of classes has their names in its first line, behind the numbers of rows and columns; labels are the last
    column, unless they have a file of their own.
    """

    loader: str
    file: str
    columns: tuple[str, ...]
    target: str = ""
    separator: str | None = ","
    named: bool = True
    options: tuple[tuple[str, bool], ...] = ()


EXAMPLES = {
    "digits": ExampleSet(
        "load_digits",
        "digits.csv.gz",
        tuple(f"pixel_{i}_{j}" for i, j in product(range(8), range(8))),
        named=False,
    ),
    "iris": ExampleSet(
        "load_iris",
        "iris.csv",
        ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"),
    ),
    "wine": ExampleSet(
        "load_wine",
        "wine_data.csv",
        (
            "alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids",
            "nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue", "od280/od315_of_diluted_wines",
            "proline",
        ),
    ),
    "breast-cancer": ExampleSet(
        "load_breast_cancer",
        "breast_cancer.csv",
        tuple(
            name
            for form in ("mean {}", "{} error", "worst {}")
            for name in map(form.format, _MEASURES)
        ),
    ),
    "diabetes": ExampleSet(
        "load_diabetes",
        "diabetes_data_raw.csv.gz",
        ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"),
        target="diabetes_target.csv.gz",
        separator=None,
        named=False,
        options=(("scaled", False),),
    ),
}  # fmt: skip
"""The tables by the names that they have here."""

Values = tuple[NDArray[np.float64], NDArray[np.float64], tuple[str, ...]]
"""Numbers `(rows, columns)`, targets `(rows,)`, and the names of the classes, if they have names."""


def read_example(name: str) -> Values:
    """One of `EXAMPLES`.

    >>> x, y, classes = read_example("iris")
    >>> x.shape, int(y.max()), classes
    ((150, 4), 2, ('setosa', 'versicolor', 'virginica'))
    """
    chosen, folder = EXAMPLES[name], _folder()
    files = filter(None, (chosen.file, chosen.target))
    if folder is None or not all((folder / file).is_file() for file in files):
        return load_example(chosen)  # a version that keeps its files elsewhere
    return _read_files(chosen, folder)


def load_example(chosen: ExampleSet) -> Values:
    """The same table from scikit-learn's own loader."""
    from sklearn import datasets

    bunch = partial(getattr(datasets, chosen.loader), **dict(chosen.options))()
    classes = tuple(str(c) for c in bunch.target_names) if chosen.named else ()
    return np.asarray(bunch.data, np.float64), np.asarray(bunch.target, np.float64), classes


def _folder() -> Path | None:
    """Where an installed scikit-learn, which is not imported for that, keeps its tables."""
    found = find_spec("sklearn")
    places = () if found is None else found.submodule_search_locations or ()
    return next((Path(place) / "datasets" / "data" for place in places), None)


def _read_files(chosen: ExampleSet, folder: Path) -> Values:
    read: Any = partial(np.loadtxt, delimiter=chosen.separator, ndmin=2)
    values = read(folder / chosen.file, skiprows=int(chosen.named))
    if chosen.target:
        return values, read(folder / chosen.target)[:, 0], ()
    if not chosen.named:
        return values[:, :-1], values[:, -1], ()
    first = (folder / chosen.file).read_text(encoding="utf-8").partition("\n")[0]
    return values[:, :-1], values[:, -1], tuple(first.strip().split(",")[2:])
