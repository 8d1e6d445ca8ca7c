"""PyTorch's DistributedDataParallel over gloo: `torch_ddp RANK SIZE BATCH`, in which rank 0 prints seconds a step."""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise
from statistics import median

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from benchmarks.ranks import EPOCHS, RATE, ROWS, SIZES, table


def main(rank: int, size: int, batch: int) -> None:
    """Train by the loop of its tutorial, with fused Adam; the median epoch counts, as it does for ours."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", rank=rank, world_size=size)
    x, y = (torch.tensor(array) for array in table())

    def train(epochs: int) -> list[float]:
        torch.manual_seed(0)
        layers = [nn.Linear(a, b) for a, b in pairwise(SIZES)]
        net = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
        model, loss = DistributedDataParallel(net), nn.CrossEntropyLoss()
        optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
        distributed.barrier()
        ends = []
        for _ in range(epochs):
            for rows in torch.randperm(ROWS).split(batch):
                own = rows[rank::size]
                optimizer.zero_grad()
                loss(model(x[own]), y[own]).backward()
                optimizer.step()
            ends.append(time.perf_counter())
        return [end - begin for begin, end in pairwise(ends)]

    train(1)
    found = train(1 + EPOCHS)
    if rank == 0:
        print(json.dumps(median(found) / (ROWS // batch)))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
