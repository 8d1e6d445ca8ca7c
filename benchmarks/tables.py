"""The accuracy table of the docs: `python -m benchmarks.tables` trains everything and writes docs/tables/accuracy.md.

Digits: five seeds of `clearprop train digits` with every default.  Iris, wine, breast cancer, diabetes: five times
five-fold cross-validation on identical folds and identically standardised features, paired with scikit-learn's
multi-layer perceptron and its linear model.
"""

from __future__ import annotations

import platform
import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold, train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

import clearprop as cl
from clearprop.data.training_data import from_source
from clearprop.runs.settings import Settings
from clearprop.train.planning import job_for, recipe, with_defaults
from clearprop.train.training import train

OUT = Path(__file__).parent.parent / "docs" / "tables" / "accuracy.md"
SEEDS, FOLDS, REPEATS = 5, 5, 5
SETS = {
    "iris": (datasets.load_iris, "accuracy", -0.02),
    "wine": (datasets.load_wine, "accuracy", -0.01),
    "breast-cancer": (datasets.load_breast_cancer, "accuracy", -0.01),
    "diabetes": (datasets.load_diabetes, "R²", -0.02),
}


def network(x, y, classes, seed):
    """Our defaults for data of this size: the network, trained with a part of the rows held out to stop by."""
    chosen = recipe(len(x), classes=bool(classes))
    held = train_test_split(x, y, test_size=0.15, random_state=seed, stratify=y if classes else None)
    xt, xv, yt, yv = held
    model = cl.nn.mlp([x.shape[1], *chosen.hidden, classes or 1], chosen.activation, seed=seed, dropout=chosen.dropout)
    rule = cl.optim.by_name(chosen.optimizer, learning_rate=chosen.lr)
    return cl.fit(
        model, (xt, yt), loss="cross_entropy" if classes else "mse", optimizer=rule, epochs=chosen.epochs,
        batch_size=chosen.batch_size, validation=(xv, yv), l2=chosen.l2, patience=chosen.patience, seed=seed,
    )  # fmt: skip


def ours(x, y, x_test, classes, seed):
    """Predictions of our defaults; a regression's target is standardised and brought back."""
    if classes:
        return network(x, y, classes, seed).predict(x_test)
    mean, scale = y.mean(), y.std()
    run = network(x, ((y - mean) / scale).astype(np.float32)[:, None], 0, seed)
    return run.outputs(x_test)[:, 0] * scale + mean


def peers(classes, seed):
    """scikit-learn's perceptron and its linear model, with their defaults."""
    if classes:
        return {"MLP": MLPClassifier(max_iter=2000, random_state=seed), "linear": LogisticRegression(max_iter=5000)}
    return {"MLP": MLPRegressor(max_iter=5000, random_state=seed), "linear": Ridge()}


def cross_validated(name):
    """Scores by fold: ours, scikit-learn's perceptron, its linear model."""
    load, _, _ = SETS[name]
    x, y = load(return_X_y=True)
    classes = 0 if name == "diabetes" else int(y.max()) + 1
    score = accuracy_score if classes else r2_score
    folds = (RepeatedStratifiedKFold if classes else RepeatedKFold)(n_splits=FOLDS, n_repeats=REPEATS, random_state=0)
    scores = {"ours": [], "MLP": [], "linear": []}
    for seed, (a, b) in enumerate(folds.split(x, y)):
        scaler = StandardScaler().fit(x[a])
        xa, xb = (scaler.transform(x[i]).astype(np.float32) for i in (a, b))
        scores["ours"].append(score(y[b], ours(xa, y[a], xb, classes, seed)))
        for peer, model in peers(classes, seed).items():
            scores[peer].append(score(y[b], model.fit(xa, y[a]).predict(xb)))
    return {k: np.array(v) for k, v in scores.items()}


def digits():
    """Test accuracies of `clearprop train digits`, one per seed, through the code that the command runs."""
    found = []
    for seed in range(SEEDS):
        settings = Settings(seed=seed)
        data = from_source("digits", None, "auto", settings.val, settings.test, seed)
        run = train(job_for(data, with_defaults({"seed": seed}, data)))
        found.append(run.summary.test["accuracy"])
    return np.array(found)


def page(found, tables):
    """The page, from the scores."""
    lines = [
        "# Accuracy",
        "",
        f"Written by `python -m benchmarks.tables` (part of `make verify`); Python {platform.python_version()}, "
        f"{platform.machine()}.",
        "",
        f"`clearprop train digits` with every default, {SEEDS} seeds: mean test accuracy **{found.mean():.4f}** "
        f"({', '.join(f'{v:.4f}' for v in found)}).",
        "",
        f"{REPEATS} × {FOLDS}-fold cross-validation on identical folds and features; ± is the standard error of "
        "the mean of paired differences to the better peer.",
        "",
        "| data | score | clearprop | scikit-learn MLP | linear model | difference to the better |",
        "|---|---|---|---|---|---|",
    ]
    for name, scores in tables.items():
        best = max(("MLP", "linear"), key=lambda k: scores[k].mean())
        gap = scores["ours"] - scores[best]
        cells = [f"{scores[k].mean():.4f}" for k in ("ours", "MLP", "linear")]
        error = gap.std(ddof=1) / np.sqrt(len(gap))
        lines.append(f"| {name} | {SETS[name][1]} | {' | '.join(cells)} | {gap.mean():+.4f} ± {error:.4f} ({best}) |")
    lines += ["", "The linear model is logistic regression, for diabetes ridge regression.", ""]
    return "\n".join(lines)


def main():
    """Measure, write, and fail if a promise is broken."""
    warnings.simplefilter("ignore", ConvergenceWarning)  # the perceptron's own limit counts, as it would for its user
    found = digits()
    print(f"digits {found.mean():.4f}", flush=True)
    tables = {}
    for name in SETS:
        tables[name] = cross_validated(name)
        print(name, {k: round(float(v.mean()), 4) for k, v in tables[name].items()}, flush=True)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(page(found, tables), encoding="utf-8")
    broken = ["digits"] if found.mean() < 0.97 else []
    for name, scores in tables.items():
        reference = scores["linear"] if name == "diabetes" else max(scores["MLP"], scores["linear"], key=np.mean)
        if (scores["ours"] - reference).mean() < SETS[name][2]:
            broken.append(name)
    sys.exit(f"below what is promised: {', '.join(broken)}" if broken else 0)


if __name__ == "__main__":
    main()
