"""Recipes for tables, judged on a development collection beside scikit-learn's models.

python -m benchmarks.recipes                          every table and method; docs/tables/recipes.md and .json
python -m benchmarks.recipes --tables iris,wine --methods plain,boosting --splits 3
python -m benchmarks.recipes --again                  the page from the numbers that docs/tables/recipes.json holds

A table is divided into training rows and a test part of a fifth, at random, 10 times (5 times from 2,000 rows on).  All
contenders get the same columns, encoded by the training rows.  Ours set 15 % of the training rows aside for
validation.  The score is accuracy or R² of the test part.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor

from benchmarks.collection import TABLES, Table, provide_tables
from clearprop.data.parts import split_table
from clearprop.data.preprocessing import Preprocessing
from clearprop.data.table import load_table
from clearprop.data.training_data import Prepared
from clearprop.train.planning import job_for, with_defaults
from clearprop.train.training import train

OUT = Path(__file__).parent.parent / "docs" / "tables" / "recipes.json"
MOST_ROWS = 12_000
OURS: dict[str, dict[str, Any]] = {
    "plain": {"recipe": "plain"},
    "default": {"recipe": "default"},
    "best": {"recipe": "best"},
    "plain, dropout 0": {"recipe": "plain", "dropout": 0.0},
    "plain, dropout 0.1": {"recipe": "plain", "dropout": 0.1},
    "plain, clipped": {"recipe": "plain", "pieces": 1},
    "plain, clipped, dropout 0.1": {"recipe": "plain", "pieces": 1, "dropout": 0.1},
    "best, dropout 0": {"recipe": "best", "dropout": 0.0},
    "best, dropout 0.1": {"recipe": "best", "dropout": 0.1},
}
"""Every configuration of ours that was tried on all tables, as settings of `clearprop train`.

A single piece is clipping alone.  That of `best` with another dropout was measured with the l2 of `plain`, where there
are fewer than 1,000 training rows.
"""
OF_SMALL: dict[str, dict[str, Any]] = {
    "default, l2 0.003": {"l2": 3e-3},
    "default, dropout 0.05": {"dropout": 0.05},
    "default, dropout 0.05, l2 0.003": {"dropout": 0.05, "l2": 3e-3},
    "default, dropout 0": {"dropout": 0.0},
    "default, 128-64, l2 0.003": {"hidden": (128, 64), "l2": 3e-3},
    "default, 128-128": {"hidden": (128, 128)},
    "best, l2 0.003": {"recipe": "best", "l2": 3e-3},
    "best, more dropout": {"recipe": "best", "dropout": 0.3, "l2": 0.01},
}
"""What was tried besides on tables of numbers with 500 to 1,000 training rows."""
SMALL = ("college", "car prices", "sacramento", "concrete")
MEMBERS = 4
OF_ENSEMBLES: dict[str, dict[str, Any]] = {
    f"default, {MEMBERS} members": {"recipe": "default"},
    f"best, {MEMBERS} members": {"recipe": "best"},
}
"""Ensembles, each member with other rows to validate: of few tables and splits, since each is so many trainings."""
ENSEMBLED = ("hitters", "auto", "carseats", "diabetes", "boston", "iris", "wine", "breast cancer")
"""Tables of fewer than 600 rows."""
ENSEMBLE_SPLITS = 3
THEIRS = {
    "linear": (lambda seed: LogisticRegression(max_iter=2000), lambda seed: Ridge()),
    "perceptron": (
        lambda seed: MLPClassifier(random_state=seed),
        lambda seed: MLPRegressor(random_state=seed),
    ),
    "boosting": (
        lambda seed: HistGradientBoostingClassifier(random_state=seed),
        lambda seed: HistGradientBoostingRegressor(random_state=seed),
    ),
}
"""scikit-learn's models with their defaults, for classes and for numbers."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.recipes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--methods", default=",".join([*OURS, *OF_SMALL, *OF_ENSEMBLES, *THEIRS]).replace(", ", ";"))
    parser.add_argument("--splits", type=int, help="so many for every table, in place of 10 or 5")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--again", action="store_true", help="only write the page anew")
    args = parser.parse_args(arguments)
    found = json.loads(args.out.read_text()) if args.out.exists() else []
    if not args.again:
        methods = [name.replace(";", ", ") for name in args.methods.split(",")]
        for row in _measured(args.tables.split(","), methods, args.splits, found):
            found.append(row)
            _write(args.out, found)
    args.out.with_suffix(".md").write_text(page(found), encoding="utf-8")


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n", encoding="utf-8")


def _measured(
    tables: list[str], methods: list[str], splits: int | None, known: list[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """One row for every table, split and method that is not known yet; a split of every table after another."""
    provide_tables()
    warnings.filterwarnings("ignore")
    done = {(row["table"], row["split"], row["method"]) for row in known}
    loaded = {name: _loaded(TABLES[name]) for name in tables}
    for split in range(splits or 10):
        for name in tables:
            table = loaded[name]
            if splits is None and split >= 5 and len(table) >= 2_000:
                continue
            wanted = [m for m in methods if (name, split, m) not in done and _is_measured(name, split, m)]
            for method, score, seconds in _split_scores(table, split, wanted):
                print(f"{name:14s} {split} {method:20s} {score:.4f} {seconds:6.2f} s", file=sys.stderr, flush=True)
                yield {
                    "table": name, "classes": TABLES[name].classes, "rows": len(table), "split": split,
                    "method": method, "score": round(score, 5), "seconds": round(seconds, 2),
                }  # fmt: skip


def _is_measured(table: str, split: int, method: str) -> bool:
    """Whether a method is measured on a split of a table: some are on few."""
    if method in OF_ENSEMBLES:
        return table in ENSEMBLED and split < ENSEMBLE_SPLITS
    return table in SMALL or method not in OF_SMALL


def _loaded(table: Table) -> Any:
    frame = table.frame()
    if len(frame) > MOST_ROWS:
        frame = frame.sample(MOST_ROWS, random_state=0).reset_index(drop=True)
    return load_table(frame, table.target, "classification" if table.classes else "regression")


def _split_scores(table: Any, split: int, methods: list[str]) -> Iterator[tuple[str, float, float]]:
    parts = split_table(table, 0.0, 0.2, split)
    fitted = Preprocessing.fit(parts.train)
    pair, (x, y) = fitted.transform(parts.train), fitted.transform(parts.test)
    for method in methods:
        began = time.perf_counter()
        asked = {**OURS, **OF_SMALL, **OF_ENSEMBLES}.get(method)
        members = MEMBERS if method in OF_ENSEMBLES else 1
        said = _theirs(method, pair, x, split) if asked is None else _ours(parts, split, asked, fitted.target, members)
        yield method, _score(y, said), time.perf_counter() - began


def _ours(whole: Any, seed: int, asked: dict[str, Any], around: Any, members: int = 1) -> np.ndarray:
    """Labels, or predictions standardised as the others' are: of so many members the mean of their answers."""
    answers = [_answers(whole, seed, asked, member) for member in range(1, members + 1)]
    mean = np.mean(answers, axis=0)
    return mean.argmax(axis=1) if mean.shape[1] > 1 else (mean[:, 0] - around.centre) / around.scale


def _answers(whole: Any, seed: int, asked: dict[str, Any], member: int) -> np.ndarray:
    """Probabilities, or numbers in the target's unit, `(rows, 1)`, of a training that validates by rows of its own."""
    parts = split_table(whole.train, 0.15, 0.0, seed, member)
    fitted = Preprocessing.fit(parts.train)
    data = Prepared(fitted.transform(parts.train), fitted.transform(parts.validation), preprocessing=fitted)
    run = train(job_for(data, with_defaults({"seed": seed + 1000 * (member - 1), **asked}, data)))
    outputs = run.outputs(fitted.transform(whole.test)[0])
    return softmax(outputs, axis=1) if fitted.class_names else run.values(outputs)[:, :1]


def _theirs(method: str, pair: Any, x: np.ndarray, seed: int) -> np.ndarray:
    labels = pair[1].ndim == 1
    model = THEIRS[method][0 if labels else 1](seed)
    return model.fit(pair[0], pair[1] if labels else pair[1][:, 0]).predict(x)


def _score(y: np.ndarray, said: np.ndarray) -> float:
    if y.ndim == 1:
        return float(np.mean(said == y))
    truth = y[:, 0].astype(np.float64)
    return float(1 - np.sum((said - truth) ** 2) / np.sum((truth - truth.mean()) ** 2))


# ----------------------------------------------------------------------------------------------------------- the page
def page(rows: list[dict[str, Any]]) -> str:
    """The tables of the page: means by table, ranks, and what is paired with what."""
    scores: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    seconds: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        scores[row["table"]][row["method"]][row["split"]] = row["score"]
        seconds[row["method"]].append(row["seconds"])
    classes = {row["table"]: row["classes"] for row in rows}
    sizes = {row["table"]: row["rows"] for row in rows}
    methods = [m for m in [*OURS, *THEIRS] if m in seconds]
    text = ["# Recipes on the development collection", "", _command_text(), ""]
    for kind, title in ((False, "Regression: R²"), (True, "Classification: accuracy")):
        tables = [name for name in scores if classes[name] is kind]
        if tables:
            text += [f"## {title}", "", *_by_table(tables, methods, scores, sizes), ""]
            text += [*_paired(tables, methods, scores), ""]
    tried = ["default", "best", *(m for m in OF_SMALL if m in seconds), *THEIRS]
    small = [name for name in SMALL if name in scores]
    text += [
        "## Tried besides, on numbers with 500 to 1,000 training rows: R²",
        "",
        *_by_table(small, tried, scores, sizes),
    ]
    text += ["", *_paired(small, tried, scores), ""]
    tried = ["default", "best", *(m for m in OF_ENSEMBLES if m in seconds), *THEIRS]
    for kind, title in ((False, "R²"), (True, "accuracy")):
        few = [name for name in ENSEMBLED if name in scores and classes[name] is kind]
        text += [f"## Ensembles, on tables of fewer than 600 rows: {title}", "", _OF_MEMBERS, ""]
        text += _by_table(few, tried, scores, sizes)
        text += ["", *_paired(few, tried, scores), ""]
    taken = [f"| {m} | {statistics.mean(s):.2f} |" for m, s in seconds.items()]
    return "\n".join([*text, "## Seconds per training, on the mean", "", "| method | s |", "|---|---|", *taken, ""])


_OF_MEMBERS = (
    f"Of {MEMBERS} members, each with validation rows of its own, the answers are averaged. Measured on the first "
    f"{ENSEMBLE_SPLITS} splits, after all single networks and with the code of a day later; what they are paired with "
    "is of the same splits."
)


def _command_text() -> str:
    return (
        "`python -m benchmarks.recipes` writes this page. A fifth of the rows is the test part, at random, several "
        "times; every contender gets the same encoded columns; ours set 15 % of the training rows aside for "
        f"validation. Of larger tables {MOST_ROWS:,} rows are taken. Scores are means over the splits; scikit-learn's "
        "models have their defaults. Choices were made on these tables alone, and all that was tried is shown; means "
        "are over the splits that all methods have in common. Chosen: `plain` looks at the number of rows alone; "
        "`default` has dropout 0.1 for numbers from 500 training rows on, and an l2 of 0.001 below 1,000, since with "
        "more of either it was behind the perceptron on concrete; `best` cuts numbers into pieces and clips them "
        "smoothly besides."
    )


def _by_table(tables: list[str], methods: list[str], scores: Any, sizes: dict[str, int]) -> list[str]:
    lines = ["| table | rows | splits | " + " | ".join(methods) + " |", "|---" * (len(methods) + 3) + "|"]
    means = {}
    for t in tables:
        known = {m: scores[t][m] for m in methods if scores[t][m]}
        both = set.intersection(*(set(found) for found in known.values()))  # splits that all methods have in common
        means[t] = {m: statistics.mean(found[k] for k in both) for m, found in known.items()} if both else {}
        cells = [f"{means[t][m]:.4f}" if m in means[t] else "" for m in methods]
        lines.append(f"| {t} | {sizes[t]:,} | {len(both)} | " + " | ".join(cells) + " |")
    whole = [t for t in tables if len(means[t]) == len(methods)]
    ranks = {m: [1 + sum(v > means[t][m] for v in means[t].values()) for t in whole] for m in methods}
    overall = [f"{statistics.mean(means[t][m] for t in whole):.4f}" if whole else "" for m in methods]
    lines.append("| **mean** | | | " + " | ".join(overall) + " |")
    lines.append(
        "| **mean rank** | | | " + " | ".join(f"{statistics.mean(r):.2f}" if r else "" for r in ranks.values()) + " |"
    )
    return lines


def _paired(tables: list[str], methods: list[str], scores: Any) -> list[str]:
    """Of ours against theirs: the mean difference, and the tables where ours is behind by more than chance."""
    lines = ["| ours − theirs | mean difference | behind by more than 0.01 + one standard error |", "|---|---|---|"]
    for ours, theirs in itertools.product([m for m in methods if m not in THEIRS], [m for m in methods if m in THEIRS]):
        found = {t: _difference(scores[t][ours], scores[t][theirs]) for t in tables}
        known = {t: d for t, d in found.items() if d is not None}
        if known:
            behind = [f"{t} ({mean:+.3f} ± {error:.3f})" for t, (mean, error) in known.items() if mean < -0.01 - error]
            mean = statistics.mean(mean for mean, _ in known.values())
            lines.append(f"| {ours} − {theirs} | {mean:+.4f} | {', '.join(behind) or 'nowhere'} |")
    return lines


def _difference(a: dict[int, float], b: dict[int, float]) -> tuple[float, float] | None:
    """Mean and standard error of the paired difference; None for a single split, which has no such error."""
    both = [a[k] - b[k] for k in a.keys() & b.keys()]
    if len(both) < 2:
        return None
    return statistics.mean(both), statistics.stdev(both) / len(both) ** 0.5


if __name__ == "__main__":
    main()
