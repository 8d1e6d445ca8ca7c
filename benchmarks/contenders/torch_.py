"""PyTorch: eager with fused Adam, `torch.compile` of the loss or of the whole step, `torch.func`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks import workloads as w
from benchmarks.contenders import Door, Runner, torch_layers

VERSION = torch.__version__
ENGINE = [f"{'MKL' if torch.backends.mkl.is_available() else 'its own BLAS'} x{torch.get_num_threads()}"]
B1, B2, EPS = 0.9, 0.999, 1e-8
ACTIVATIONS: dict[str, Callable[..., Any]] = {"relu": torch.relu, "tanh": torch.tanh, "gelu": functional.gelu}


def prepare(row: w.Workload) -> Any:
    torch.manual_seed(0)
    if row.kind in (w.EAGER_CHAIN, w.PAIR_CALL, w.LAYER, w.NET):
        return None
    return *w.dataset(row), w.initial(row), w.order(row)


def build(form: str, row: w.Workload, prepared: Any) -> Runner:
    if row.kind == w.LAYER:
        return torch_layers.Layer(form, row)
    if row.kind == w.NET:
        return Door(row, torch_layers.epochs_of(form, row))
    if row.kind == w.EAGER_CHAIN:
        return Chain(row)
    if row.kind == w.EAGER_LOSS:
        return EagerLoss(row, *prepared)
    if row.kind in w.DOORS:
        return Door(row, epochs_of(form, row, *prepared[:3]))
    if row.kind == w.PAIR_CALL:
        return PairCall(row)
    if row.kind == w.STEP_CALL:
        return StepCall(row, *prepared)
    if row.kind in (w.TRAIN, w.FIRST):
        return WholeStep(row, *prepared) if form == "step" else Training(form, row, *prepared)
    return Functional(form, row, *prepared)


# ---------------------------------------------------------------------------------------------------- models
def parameters(row: w.Workload, weights: Any) -> list[list[torch.Tensor]]:
    """Per layer: weight (outputs, inputs) as PyTorch keeps it, bias, and LayerNorm's two."""
    layers = [[torch.tensor(a.T.copy()), torch.tensor(b)] for a, b in weights]
    for layer in layers[:-1] if row.layer_norm else []:
        layer += [torch.ones_like(layer[1]), torch.zeros_like(layer[1])]
    return layers


def loss_of(row: w.Workload, layers: Any, x: Any, y: Any) -> Any:
    activation = ACTIVATIONS[row.activation]
    for layer in layers[:-1]:
        x = functional.linear(x, layer[0], layer[1])
        if row.layer_norm:
            x = functional.layer_norm(x, x.shape[-1:], layer[2], layer[3], 1e-5)
        x = activation(x)
        if row.dropout:
            x = functional.dropout(x, row.dropout)
    x = functional.linear(x, *layers[-1][:2])
    if row.kind in (w.HVP, w.HESSIAN):
        return ((x - y) ** 2).mean()  # mse_loss has no forward mode over reverse mode
    return functional.mse_loss(x, y) if row.loss == "mse" else functional.cross_entropy(x, y)


def epochs_of(form: str, row: w.Workload, x: Any, y: Any, weights: Any) -> Callable[[int], float]:
    """The loop of its tutorials, batches by `randperm`; eager, or with gather and loss compiled; fused Adam."""
    x, y = torch.tensor(x), torch.tensor(y)

    def loss(layers: Any, rows: Any) -> Any:
        return loss_of(row, layers, x.index_select(0, rows), y.index_select(0, rows))

    if form == "fit_compiled":
        loss = torch.compile(loss)
    rule = torch.optim.AdamW if row.optimizer == "adamw" else torch.optim.Adam

    def train(epochs: int) -> float:
        layers = [[p.requires_grad_() for p in layer] for layer in parameters(row, weights)]
        flat = [p for layer in layers for p in layer]
        optimizer = rule(flat, lr=row.rate, weight_decay=row.weight_decay, fused=True)
        for _ in range(epochs):
            total = torch.zeros(())
            for rows in torch.randperm(row.rows).split(row.batch):
                optimizer.zero_grad()
                value = loss(layers, rows)
                value.backward()
                if row.clip:
                    torch.nn.utils.clip_grad_norm_(flat, row.clip)
                optimizer.step()
                total += value.detach()
            mean = float(total) / (row.rows // row.batch)
        return mean

    return train


class Training(Runner):
    """Eager, or with the gather and the loss compiled; fused Adam either way."""

    def __init__(self, form: str, row: w.Workload, x: Any, y: Any, weights: Any, order: Any) -> None:
        self.clip = row.clip
        self.layers = [[p.requires_grad_() for p in layer] for layer in parameters(row, weights)]
        self.flat = [p for layer in self.layers for p in layer]
        rule = torch.optim.AdamW if row.optimizer == "adamw" else torch.optim.Adam
        self.optimizer = rule(self.flat, lr=row.rate, weight_decay=row.weight_decay, fused=True)
        self.x, self.y, self.rows = torch.tensor(x), torch.tensor(y), list(torch.tensor(order))

        def loss(x: Any, y: Any, rows: Any) -> Any:
            return loss_of(row, self.layers, x.index_select(0, rows), y.index_select(0, rows))

        self.loss = torch.compile(loss) if form == "compile" else loss

    def first(self) -> None:
        self.check = self.run()

    def run(self) -> float:
        for rows in self.rows:
            self.optimizer.zero_grad()
            loss = self.loss(self.x, self.y, rows)
            loss.backward()
            if self.clip:
                torch.nn.utils.clip_grad_norm_(self.flat, self.clip)
            self.optimizer.step()
        return float(loss.detach())

    def call(self) -> None:
        self.run()


class WholeStep(Runner):
    """Gather, loss, gradients, clipping and Adam in one compiled function that updates in place."""

    def __init__(self, row: w.Workload, x: Any, y: Any, weights: Any, order: Any) -> None:
        self.x, self.y, self.rows = torch.tensor(x), torch.tensor(y), list(torch.tensor(order))
        layers = parameters(row, weights)
        m, v = ([[torch.zeros_like(p) for p in layer] for layer in layers] for _ in range(2))
        self.state = (layers, m, v, torch.zeros(()))

        def step(layers: Any, m: Any, v: Any, t: Any, x: Any, y: Any, rows: Any) -> Any:
            x, y = x.index_select(0, rows), y.index_select(0, rows)
            grads, value = torch.func.grad_and_value(lambda p: loss_of(row, p, x, y))(layers)
            scale: Any = 1.0
            if row.clip:
                norm = torch.sqrt(sum((g * g).sum() for layer in grads for g in layer))
                scale = row.clip / torch.clamp(norm, min=row.clip)
            t.add_(1)
            c1, c2 = row.rate / (1 - B1**t), 1 / (1 - B2**t)
            keep = 1 - row.rate * row.weight_decay
            for layer in zip(layers, m, v, grads, strict=True):
                for p, a, b, g in zip(*layer, strict=True):
                    g = g * scale
                    a.copy_(B1 * a + (1 - B1) * g)
                    b.copy_(B2 * b + (1 - B2) * g * g)
                    p.copy_(keep * p - c1 * a / ((b * c2).sqrt() + EPS))
            return value

        self.step = torch.compile(step, fullgraph=True)

    def first(self) -> None:
        self.check = self.run()

    def run(self) -> float:
        with torch.no_grad():
            for rows in self.rows:
                value = self.step(*self.state, self.x, self.y, rows)
        return float(value.detach())

    def call(self) -> None:
        self.run()


class StepCall(Runner):
    """The whole step compiled, called again and again with the same batch."""

    def __init__(self, row: w.Workload, x: Any, y: Any, weights: Any, order: Any) -> None:
        self.whole, self.steps = WholeStep(row, x, y, weights, order), row.steps
        self.rows = self.whole.rows[0]

    def call(self) -> None:
        whole = self.whole
        with torch.no_grad():
            for _ in range(self.steps):
                value = whole.step(*whole.state, whole.x, whole.y, self.rows)
        self.check = float(value)


class PairCall(Runner):
    def __init__(self, row: w.Workload) -> None:
        self.f, self.steps = torch.compile(lambda x, y: x * y + x), row.steps
        self.pair = [torch.tensor(a) for a in w.PAIR]

    def call(self) -> None:
        for _ in range(self.steps):
            out = self.f(*self.pair)
        self.check = float(out.sum())


class Functional(Runner):
    """Second derivatives and per-example gradients by `torch.func`, eager or compiled."""

    def __init__(self, form: str, row: w.Workload, x: Any, y: Any, weights: Any, order: Any) -> None:
        layers, x, y = parameters(row, weights), torch.tensor(x), torch.tensor(y)
        f, self.args = getattr(self, row.kind)(row, layers, x, y)
        self.f = torch.compile(f) if form == "func" else f

    def hvp(self, row: w.Workload, layers: Any, x: Any, y: Any) -> Any:
        def product(p: Any, vector: Any, x: Any, y: Any) -> Any:
            return torch.func.jvp(torch.func.grad(lambda q: loss_of(row, q, x, y)), (p,), (vector,))[1]

        return product, (layers, parameters(row, w.direction(row)), x, y)

    def hessian(self, row: w.Workload, layers: Any, x: Any, y: Any) -> Any:
        shapes = [[p.shape for p in layer] for layer in layers]
        flat = torch.cat([p.reshape(-1) for layer in layers for p in layer])

        def loss(theta: Any, x: Any, y: Any) -> Any:
            parts, at = [], 0
            for layer in shapes:
                parts.append([])
                for shape in layer:
                    parts[-1].append(theta[at : at + shape.numel()].reshape(shape))
                    at += shape.numel()
            return loss_of(row, parts, x, y)

        return torch.func.hessian(loss), (flat, x, y)

    def per_example(self, row: w.Workload, layers: Any, x: Any, y: Any) -> Any:
        one = torch.func.grad(lambda p, x, y: loss_of(row, p, x, y))
        return torch.func.vmap(one, in_dims=(None, 0, 0)), (layers, x, y)

    def first(self) -> None:
        out = self.f(*self.args)
        leaves = [out] if isinstance(out, torch.Tensor) else [p for layer in out for p in layer]
        self.check = float(sum((v.detach().double() ** 2).sum() for v in leaves))

    def call(self) -> None:
        self.f(*self.args)


# ----------------------------------------------------------------------------------------------------- eager
class EagerLoss(Runner):
    def __init__(self, row: w.Workload, x: Any, y: Any, weights: Any, order: Any) -> None:
        self.row, self.x, self.y = row, torch.tensor(x[order[0]]), torch.tensor(y[order[0]])
        self.layers = [[p.requires_grad_() for p in layer] for layer in parameters(row, weights)]
        self.flat = [p for layer in self.layers for p in layer]

    def call(self) -> float:
        start = time.perf_counter()
        loss = loss_of(self.row, self.layers, self.x, self.y)
        middle = time.perf_counter()
        loss.backward()
        end = time.perf_counter()
        self.check = float(sum(np.sum(np.square(p.grad.numpy(), dtype=np.float64)) for p in self.flat))
        for p in self.flat:
            p.grad = None
        return end - (start if self.row.whole else middle)


class Chain(Runner):
    def __init__(self, row: w.Workload) -> None:
        self.row = row
        self.start = torch.tensor(w.CHAIN_START, requires_grad=True)
        self.scale = torch.tensor(1.0, requires_grad=True)

    def call(self) -> float:
        start = time.perf_counter()
        x, s = self.start, self.scale
        for _ in range(w.CHAIN_LINKS):
            x = x * 1.01
            x = x + 0.001
            x = torch.tanh(x)
            x = x * s
        middle = time.perf_counter()
        x.backward()
        end = time.perf_counter()
        self.check = float(self.start.grad) + float(self.scale.grad)
        self.start.grad = self.scale.grad = None
        return end - (start if self.row.whole else middle)
