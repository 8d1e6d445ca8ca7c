"""PyTorch's layers: eager in channels-last form, or compiled; fused Adam."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks import layers
from benchmarks import workloads as w
from benchmarks.contenders import Runner

LAST = torch.channels_last


def images(x: Any) -> Any:
    """(rows, height, width, channels) as PyTorch has them: channels second, last in memory."""
    return torch.tensor(x).permute(0, 3, 1, 2)


class Layer(Runner):
    """A layer's value and its gradients for a cotangent."""

    def __init__(self, form: str, row: w.Workload) -> None:
        given, cotangent = layers.layer_arrays(row)
        self.given = [images(given[0])]
        if len(given) > 1:
            self.given.append(torch.tensor(given[1]).permute(3, 2, 0, 1).contiguous(memory_format=LAST))
        self.given = [a.requires_grad_() for a in self.given]
        self.cotangent, groups = images(cotangent), row.sizes[-1]

        def f(x: Any, *kernel: Any) -> Any:
            if not kernel:
                return functional.max_pool2d(x, 2)
            return functional.conv2d(x, *kernel, padding=kernel[0].shape[-1] // 2, groups=groups)

        self.f = torch.compile(f) if form == "layer_compiled" else f

    def first(self) -> None:
        self.check = sum(float((a.detach().double() ** 2).sum()) for a in self._run())

    def _run(self) -> Any:
        y = self.f(*self.given)
        return (y, *torch.autograd.grad(y, self.given, self.cotangent))

    def call(self) -> None:
        self._run()


def dense(weight: Any, bias: Any) -> nn.Linear:
    """A dense layer with these arrays."""
    made = nn.Linear(*weight.shape)
    made.weight.data, made.bias.data = torch.tensor(weight.T.copy()), torch.tensor(bias)
    return made


def convolution(weight: Any, bias: Any) -> nn.Conv2d:
    """A convolution with these arrays."""
    k, _, inputs, outputs = weight.shape
    made = nn.Conv2d(inputs, outputs, k, padding=k // 2)
    made.weight.data, made.bias.data = torch.tensor(weight.transpose(3, 2, 0, 1).copy()), torch.tensor(bias)
    return made.to(memory_format=LAST)


def recurrent(weight: Any, again: Any, bias: Any) -> nn.LSTM:
    """LSTM cells with these arrays; of PyTorch's two biases one is 0."""
    made = nn.LSTM(*(weight.shape[0], again.shape[0]), batch_first=True)
    made.weight_ih_l0.data, made.weight_hh_l0.data = torch.tensor(weight.T.copy()), torch.tensor(again.T.copy())
    made.bias_ih_l0.data, made.bias_hh_l0.data = torch.tensor(bias), torch.zeros(len(bias))
    return made


class Images(nn.Module):
    def __init__(self, weights: Any) -> None:
        super().__init__()
        self.a, self.b, self.c = convolution(*weights[:2]), convolution(*weights[2:4]), None
        rows = weights[4].reshape(7, 7, 32, 10).transpose(2, 0, 1, 3).reshape(1568, 10)
        self.c = dense(rows, weights[5])

    def forward(self, x: Any) -> Any:
        x = functional.relu(functional.max_pool2d(self.a(x), 2))
        x = functional.relu(functional.max_pool2d(self.b(x), 2))
        return self.c(x.flatten(1))


class Cells(nn.Module):
    def __init__(self, weights: Any) -> None:
        super().__init__()
        self.cells, self.out = recurrent(*weights[:3]), dense(*weights[3:])

    def forward(self, x: Any) -> Any:
        return self.out(self.cells(x)[0][:, -1])


class Block(nn.Module):
    """Query, key and value as one dense layer, which is faster than three; attention by the function made for it."""

    def __init__(self, weights: Any, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal, size = heads, causal, weights[0].shape[0]
        self.qkv = dense(np.concatenate(weights[0:6:2], axis=1), np.concatenate(weights[1:6:2]))
        self.out, self.up, self.down = dense(*weights[6:8]), dense(*weights[12:14]), dense(*weights[14:16])
        self.norm1, self.norm2 = nn.LayerNorm(size), nn.LayerNorm(size)

    def forward(self, x: Any) -> Any:
        rows, length, size = x.shape
        parts = self.qkv(self.norm1(x)).view(rows, length, 3, self.heads, size // self.heads).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(*parts, is_causal=self.causal)
        x = x + self.out(seen.transpose(1, 2).reshape(rows, length, size))
        return x + self.down(functional.gelu(self.up(self.norm2(x))))


class Letters(nn.Module):
    def __init__(self, weights: Any) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.tensor(weights[0]))
        self.by_cells = len(weights) < 16
        if self.by_cells:
            self.cells, self.out = recurrent(*weights[1:4]), dense(*weights[4:])
            return
        self.places, self.out = nn.Parameter(torch.tensor(weights[1])), dense(*weights[-2:])
        blocks = [weights[2 + 16 * k : 18 + 16 * k] for k in range(layers.BLOCKS)]
        self.blocks = nn.Sequential(*(Block(b, layers.HEADS, True) for b in blocks))
        self.norm = nn.LayerNorm(layers.WIDTH)

    def forward(self, x: Any) -> Any:
        h = functional.embedding(x, self.table)
        return self.out(self.cells(h)[0] if self.by_cells else self.norm(self.blocks(h + self.places)))


NETS: dict[str, Callable[[Any], nn.Module]] = {
    "images": Images, "cells": Cells, "block": lambda weights: Block(weights, 4, False),
    "letters by cells": Letters, "letters": Letters,
}  # fmt: skip


def epochs_of(form: str, row: w.Workload) -> Callable[[int], float]:
    """The loop of its tutorials, batches by `randperm`; eager, or with the network compiled."""
    x, y = layers.net_data(row)
    data = images(x) if row.source == "images" else torch.tensor(x)
    wanted, model = (
        torch.tensor(y).to(torch.float32 if row.loss == "mse" else torch.int64),
        NETS[row.source](layers.net_weights(row)),
    )
    start = {name: value.clone() for name, value in model.state_dict().items()}
    run = torch.compile(model) if form == "fit_compiled" else model

    def loss(outputs: Any, y: Any) -> Any:
        if row.loss == "mse":
            return functional.mse_loss(outputs, y)
        return functional.cross_entropy(outputs.flatten(0, -2), y.flatten())

    def train(epochs: int) -> float:
        model.load_state_dict(start)
        optimizer = torch.optim.Adam(model.parameters(), lr=row.rate, fused=True)
        for _ in range(epochs):
            total = torch.zeros(())
            for rows in torch.randperm(row.rows).split(row.batch):
                optimizer.zero_grad()
                value = loss(run(data[rows]), wanted[rows])
                value.backward()
                optimizer.step()
                total += value.detach()
            mean = float(total) / (row.rows // row.batch)
        return mean

    return train
