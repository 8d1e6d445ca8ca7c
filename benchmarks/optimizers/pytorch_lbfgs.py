"""PyTorch's LBFGS on arrays from a file: `python pytorch_lbfgs.py start.npz TARGET…` prints seconds and evaluations."""

import contextlib
import json
import sys
import time

import numpy as np
import torch


class Reached(Exception):
    """The loss is low enough."""


def main(path: str, targets: list[float]) -> None:
    data = np.load(path)
    x, y = torch.from_numpy(data["x"]), torch.from_numpy(data["y"])
    weights = [torch.from_numpy(data[f"p{i}"]).requires_grad_() for i in range(len(data.files) - 2)]
    optimizer = torch.optim.LBFGS(
        weights, max_iter=500, max_eval=1000, history_size=10, tolerance_grad=0, tolerance_change=0,
        line_search_fn="strong_wolfe",
    )  # fmt: skip
    reached, count, began = {}, 0, 0.0

    def closure() -> torch.Tensor:
        nonlocal count
        optimizer.zero_grad()
        h = x
        for i in range(0, len(weights), 2):
            h = h @ weights[i] + weights[i + 1]
            h = torch.relu(h) if i + 2 < len(weights) else h
        loss = torch.nn.functional.cross_entropy(h, y)
        loss.backward()
        count += 1
        for target in targets:
            if loss.item() <= target:
                reached.setdefault(target, (time.perf_counter() - began, count))
        if len(reached) == len(targets):
            raise Reached
        return loss

    closure()  # threads and memory as in the middle of a run
    count, began = 0, time.perf_counter()
    with contextlib.suppress(Reached):
        optimizer.step(closure)
    print(json.dumps(reached))


if __name__ == "__main__":
    main(sys.argv[1], [float(t) for t in sys.argv[2:]])
