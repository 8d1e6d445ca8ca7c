"""What results stand beside: the constant answer and the linear model, and the sentence about them."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

import clearprop as cl
from clearprop.data.training_data import from_source
from clearprop.train.baselines import baselines_of
from clearprop.train.headline import headline
from clearprop.train.planning import job_for, with_defaults
from clearprop.train.training import train


def beside(source):
    data = from_source(source, None, "auto", validation=0.15, test=0.2, seed=0)
    job = job_for(data, with_defaults({"epochs": 2}, data))
    return data, baselines_of(data, job.loss, job.metrics)


@pytest.mark.parametrize("source", ["iris", "wine", "breast-cancer"])
def test_of_classes_they_are_the_majority_and_logistic_regression(source):
    data, found = beside(source)
    (x, y), (x_test, y_test) = data.train, data.test
    assert found.part == "test"
    assert found.constant["accuracy"] == pytest.approx(np.mean(y_test == np.bincount(y).argmax()))
    model = LogisticRegression(max_iter=2000).fit(x, y)
    assert found.linear["accuracy"] == pytest.approx(model.score(x_test, y_test), abs=1.01 / len(y_test))


def test_of_numbers_they_are_the_mean_and_ridge_regression():
    data, found = beside("diabetes")
    (x, y), (x_test, y_test) = data.train, data.test
    scale = data.preprocessing.target.scale
    assert found.constant["mae"] == pytest.approx(scale * np.abs(y_test - y.mean()).mean(), rel=1e-4)
    model = Ridge(alpha=1.0).fit(x, y[:, 0])
    assert found.linear["r2"] == pytest.approx(model.score(x_test, y_test[:, 0]), abs=1e-4)


def summary_of(source, **asked):
    data = from_source(source, None, "auto", validation=0.15, test=0.2, seed=0)
    settings = with_defaults(asked, data)
    return train(job_for(data, settings, command={"data": source}))


def test_a_run_of_the_command_says_how_good_it_is_and_beside_what(tmp_path):
    run = summary_of("iris", epochs=40)
    assert run.headline.startswith("The class of 'target' is right in ")
    assert "30 test rows; the most frequent class alone would be in" in run.headline
    assert list(run.results) == ["training", "validation", "test", "constant, test", "linear, test"]
    run.save(tmp_path / "run")
    assert cl.load(tmp_path / "run").headline == run.headline


def test_no_better_than_nothing_is_said():
    run = summary_of("diabetes", epochs=1, lr=1e-9)
    assert run.headline.endswith("no better than the mean, so nothing was learned that helps.")


@pytest.mark.parametrize(("loss", "end"), [(0.1, "choose the rare class more often."), (0.19, "learned that helps.")])
def test_probabilities_that_know_more_than_the_most_frequent_class_are_something(loss, end):
    run = summary_of("iris", epochs=1)
    beside = {"part": "test", "constant": {"loss": 0.2, "accuracy": 0.9}, "linear": {"loss": 0.1, "accuracy": 0.9}}
    summary = replace(run.summary, test={"loss": loss, "accuracy": 0.9}, baseline=beside)
    said = headline(summary, run.preprocessing, run.config.data, "cross_entropy")
    assert said.endswith(end)
    found = headline(replace(summary, threshold=0.25), run.preprocessing, run.config.data, "cross_entropy")
    assert found.endswith("The threshold 0.25 was found for another end than this share.")


def test_without_baselines_there_is_no_sentence():
    x = np.arange(8.0).reshape(4, 2)
    run = cl.fit(cl.nn.mlp([2, 1]), (x, x[:, 0]), loss="mse", epochs=1, progress=False)
    assert run.headline is None and headline(run.summary, None, run.config.data, "mse") is None
    assert list(run.results) == ["training"]
