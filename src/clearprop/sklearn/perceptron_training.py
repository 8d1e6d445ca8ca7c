"""From the parameters of a perceptron to one training of ours: network, loss, optimizer, and when to stop."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import r2_score

from clearprop import nn, optim
from clearprop.arrays import asarray
from clearprop.data.training_data import prepare
from clearprop.errors import warn_user
from clearprop.nn.losses import binary_cross_entropy, cross_entropy, mse, poisson
from clearprop.optim.hyperparameters import NOT_NEGATIVE, hyper
from clearprop.program.values import raw
from clearprop.rules.elementwise import floor, where
from clearprop.rules.reductions import mean, sum
from clearprop.runs.checkpoints import Standing
from clearprop.runs.events import Event
from clearprop.runs.folder import Forked
from clearprop.runs.settings import Settings
from clearprop.train import Job, Measure, Origin, Run, TrainingInterrupted, job_for, train

SMALLEST_RATE = 1e-6
"""An adaptive learning rate is not divided again below it."""


# ------------------------------------------------------------------------------------------------------ the network
def drawn_layers(
    rng: np.random.RandomState, sizes: Sequence[int], activation: str, dtype: Any
) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Weights and biases, uniform within ±√(6 / (inputs + outputs)), or √2 for `logistic` (Glorot & Bengio 2010).

    They are drawn from NumPy's generator in scikit-learn's order, so that both start from the same network.
    """
    coefs, intercepts = list[NDArray[Any]](), list[NDArray[Any]]()
    for inputs, outputs in itertools.pairwise(sizes):
        bound = math.sqrt((2.0 if activation == "logistic" else 6.0) / (inputs + outputs))
        coefs.append(rng.uniform(-bound, bound, (inputs, outputs)).astype(dtype))
        intercepts.append(rng.uniform(-bound, bound, outputs).astype(dtype))
    return coefs, intercepts


_LAYERS = {"identity": None, "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}
ACTIVATIONS = tuple(_LAYERS)
"""The activations of hidden layers, by scikit-learn's names."""


def network_of(coefs: Sequence[Any], intercepts: Sequence[Any], activation: str) -> nn.Sequential:
    """The network of these weights and biases, whose memory it shares."""
    between, (like, whole) = _activation(activation), _examples()
    layers: list[Any] = []
    for weight, bias in zip(coefs, intercepts, strict=True):
        dense = like.with_fields(weight=asarray(np.asarray(weight)), bias=asarray(np.asarray(bias)))
        layers += [dense, between]
    network: nn.Sequential = whole.with_fields(layers=tuple(layer for layer in layers[:-1] if layer is not None))
    return network


@functools.cache
def _examples() -> tuple[nn.Dense, nn.Sequential]:
    """What layers and network are copies of: one row is predicted in less time than they are made in anew.

    Made when they are needed: where this module is loaded, somebody's function may be traced.
    """
    dense = nn.Dense(1, 1)
    return dense, nn.Sequential(dense)


@functools.cache
def _activation(name: str) -> nn.Activation | None:
    between = _LAYERS[name]
    return None if between is None else nn.Activation(between)


def layers_of(network: Any) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """The weights and biases of a network, as arrays of their own."""
    arrays = [np.array(value) for value in network.parameters().values()]
    return arrays[::2], arrays[1::2]


def sum_of_squares(network: nn.Sequential) -> float:
    """Σ w² over all weights, the biases left out; read where they are, since an epoch may last a millisecond."""
    weights: list[NDArray[Any]] = [raw(layer.weight).ravel() for layer in network.layers if isinstance(layer, nn.Dense)]
    return float(np.add.reduce([np.dot(weight, weight) for weight in weights]))


# --------------------------------------------------------------------------------------------------------- the loss
def _mean_by_weight(values: Any, sample_weight: Any) -> Any:
    """The mean of one value a row, or of the values times weights whose mean is 1."""
    return mean(values if sample_weight is None else values * sample_weight)


def log_loss_of_labels(outputs: Any, y: Any, sample_weight: Any = None) -> Any:
    """The cross-entropies of several labels, each 0 or 1, summed for a row; the mean over the rows."""
    return _mean_by_weight(sum(binary_cross_entropy(outputs, y, reduction="none"), axis=-1), sample_weight)


def half_squared_error(outputs: Any, y: Any, sample_weight: Any = None) -> Any:
    """½·(ŷ − y)², summed over the outputs; the mean over the rows."""
    return _mean_by_weight(0.5 * sum(mse(outputs, y, reduction="none"), axis=-1), sample_weight)


def poisson_loss(outputs: Any, y: Any, sample_weight: Any = None) -> Any:
    """exp(z) − y·z for the logarithm z of what is expected, summed over the outputs; the mean over the rows."""
    return _mean_by_weight(sum(poisson(outputs, y, reduction="none"), axis=-1), sample_weight)


LOSSES: Mapping[str, Callable[..., Any]] = {
    "softmax": cross_entropy,
    "logistic": binary_cross_entropy,
    "labels": log_loss_of_labels,
    "identity": half_squared_error,
    "exp": poisson_loss,
}
"""The loss for what the outputs are; that of scikit-learn."""


def share_right(outputs: Any, y: Any, sample_weight: Any = None) -> float:
    """The share of rows whose class is found, or all of whose labels are."""
    if y.ndim == 1:
        right = outputs.argmax(axis=-1) == y
    else:
        right = np.all((outputs > 0) == (y > 0.5), axis=-1)
    return float(np.average(right, weights=sample_weight)) if np.isfinite(outputs).all() else math.nan


def explained_share(outputs: Any, y: Any, sample_weight: Any = None) -> float:
    """R², the mean over the outputs."""
    return float(r2_score(y, outputs, sample_weight=sample_weight)) if np.isfinite(outputs).all() else math.nan


def explained_share_of_counts(outputs: Any, y: Any, sample_weight: Any = None) -> float:
    """R² of exp(outputs)."""
    return explained_share(np.exp(outputs), y, sample_weight)


def score_for(kind: str) -> Measure:
    """What `score` measures, as a metric that chooses the best epoch."""
    function = {"identity": explained_share, "exp": explained_share_of_counts}.get(kind, share_right)
    return Measure("score", function, by_batch=False, higher=True, outside=True)


# ---------------------------------------------------------------------------------------------------- the optimizer
class inverse_scaling(optim.Schedule):
    """η_t = value / (rows seen before the epoch + 1)^power, and `value` in the first epoch: scikit-learn's invscaling.

    value    η in the first epoch
    power    how fast it falls
    rows     the rows of an epoch
    batches  the batches of an epoch
    before   the rows seen before step 0, counted in epochs of so many rows
    goes_on  whether the first epoch was trained before
    """

    value: float = hyper(default=1e-3, within=NOT_NEGATIVE)
    power: float = hyper(default=0.5, within=NOT_NEGATIVE)
    rows: float = hyper(default=1.0, within=NOT_NEGATIVE)
    batches: float = hyper(default=1.0, within=NOT_NEGATIVE)
    before: float = 0.0
    goes_on: bool = False

    def at(self, t: Any) -> Any:
        """The formula."""
        epoch = floor(t / self.batches)
        seen = self.before + epoch * self.rows
        return self.value * ((seen if self.goes_on else where(epoch > 0, seen, 0.0)) + 1.0) ** -self.power


def optimizer_of(estimator: Any, rate: float, rows: int, batch: int, standing: Standing | None) -> Any:
    """The optimizer of an estimator, at a learning rate, as it goes on from where training stands."""
    if estimator.solver == "adam":
        return optim.adam(rate, float(estimator.beta_1), float(estimator.beta_2), float(estimator.epsilon))
    momentum = float(estimator.momentum)
    schedule: Any = rate
    if estimator.learning_rate == "invscaling":
        batches = -(-rows // batch)
        done = 0 if standing is None else standing.state.step // batches * rows
        before, goes_on = float(estimator.t_ - done), standing is not None
        schedule = inverse_scaling(rate, float(estimator.power_t), float(rows), float(batches), before, goes_on)
    if not momentum:
        return optim.sgd(schedule)
    # the rate comes before the average here, which differs from `optim.sgd` where the rate changes
    average = optim.trace_momentum(momentum, bool(estimator.nesterovs_momentum))
    return optim.chain(optim.scale_by_learning_rate(schedule), average)


# --------------------------------------------------------------------------------------------------- when to stop
@dataclass
class Watch:
    """What scikit-learn's rule of stopping has seen: a callback of the training.

    Training stops after more than `most` epochs in a row that are not better by `tol` than the best before them: in
    the loss of training, penalty included, or where `by_score` in the score of the rows set aside.
    """

    only_looks: ClassVar[bool] = True
    tol: float
    most: float
    by_score: bool
    l2: float
    verbose: bool
    curve: list[float]
    scores: list[float] | None
    best: float
    waited: int = 0
    epochs: int = field(default=0, init=False)
    asked: bool = field(default=False, init=False)

    def __call__(self, event: Event, state: Any) -> object:
        """Take an epoch in; "stop" where it was the last."""
        if event["event"] != "epoch":
            return None
        self.epochs += 1
        penalty = self.l2 * sum_of_squares(state.model)
        self.curve.append(event["train"]["loss"] + penalty)
        if self.verbose:
            print(f"Iteration {self.epochs}, loss = {self.curve[-1]:.8f}")  # noqa: T201 - what `verbose` asks for
        value = -self.curve[-1]
        if self.scores is not None and self.by_score:
            value = float(event["validation"]["score"])
            self.scores.append(value)
        self.waited = 0 if value >= self.best + self.tol else self.waited + 1
        self.best = max(self.best, value)
        self.asked = self.waited > self.most
        return "stop" if self.asked else None


@dataclass(frozen=True)
class Task:
    """What is to be trained: a network, rows with targets and weights, and rows set aside (or None)."""

    network: Any
    kind: str
    rows: tuple[Any, ...]
    aside: tuple[Any, ...] | None
    seed: int
    batch: int


def train_perceptron(
    estimator: Any, task: Task, watch: Watch, standing: Standing | None, rate: float, epochs: int
) -> tuple[Run, float]:
    """Train for so many epochs more, or until the watch says stop; an adaptive rate is divided by 5 there at first.

    Gives the run, and the rate that it ended with.
    """
    history: list[Event] = []
    last = (0 if standing is None else standing.state.epoch) + epochs
    while True:
        job = _job(estimator, task, optimizer_of(estimator, rate, len(task.rows[0]), task.batch, standing), watch, last)
        if standing is not None:
            job = replace(job, origin=Origin(standing, history, Forked(None, standing.state.step, {})))
        run = _train(job)
        assert run.workings is not None
        standing, history = run.workings.standing, run.history
        again = watch.asked and estimator.solver == "sgd" and estimator.learning_rate == "adaptive"
        if not again or rate <= SMALLEST_RATE or standing is None:
            return run, rate
        rate, watch.waited, watch.asked = rate / 5, 0, False
        if standing.state.epoch >= last:
            return run, rate


def _job(estimator: Any, task: Task, optimizer: Any, watch: Watch, epochs: int) -> Job:
    x, y, *weight = task.rows
    score = score_for(task.kind) if task.aside is not None else None
    settings = Settings(
        epochs=epochs,
        batch_size=task.batch,
        l2=watch.l2,
        metric="loss" if score is None else score.name,
        shuffle=bool(estimator.shuffle),
        seed=task.seed,
    )
    loss = Measure(LOSSES[task.kind].__name__, LOSSES[task.kind])
    return job_for(
        prepare((x, y), task.aside, None, task.seed, None, "auto", weight=weight[0] if weight else None),
        settings,
        task.network,
        optimizer=optimizer,
        loss=loss,
        metrics=() if score is None else (score,),
        callbacks=(watch,),
        baseline=False,
    )


def _train(job: Job) -> Run:
    try:
        return train(job)
    except TrainingInterrupted as stop:
        warn_user("Training interrupted by user.", UserWarning)
        run: Run = stop.run
        return run
