"""`from_module`: a module of PyTorch as a module of ours."""

from __future__ import annotations

from typing import Any

from clearprop.errors import ArgumentError, checked_call, user_line
from clearprop.interop.torch.model import TorchModel, model_of
from clearprop.interop.torch.operators import refusals
from clearprop.interop.torch.reading import read_module


@checked_call
def from_module(module: Any, example: Any) -> TorchModel:
    """A module of PyTorch as a module of ours: the same outputs and gradients, differentiable, trainable, explained.

    module   an instance of `torch.nn.Module`; it is not changed
    example  what it is called with: a tensor of PyTorch or ours, an array, or a tuple of them.  Two rows or more leave
             the size of the first axis open; PyTorch fixes all other sizes, and a first axis of one row

    `torch.export` makes a graph of the module, each operator of which is computed by a function of ours; arrays keep
    their layout, so inputs and outputs are those of PyTorch (channels first), and names are those of `state_dict`.
    The module's mode goes along: what is in `eval()` neither draws nor changes; what is in `train()` does so in
    `cl.nn.apply(model, x, train=True, rng=0)`, and `model(x)` is its inference.  Parameters without `requires_grad` are
    state.

    Raises ArgumentError where PyTorch is not installed, where it cannot export the module, and for operators that
    clearprop does not have: all of them in one message.

    >>> import clearprop as cl
    >>> cl.torch.from_module(object(), cl.ones((2, 4)))  # doctest: +SKIP
    Traceback (most recent call last):
    ...
    clearprop.errors.ArgumentError: from_module reads a module of PyTorch
      expected  an instance of torch.nn.Module
      got       object
    """
    graph, arrays = read_module(module, example)
    refused = refusals(graph)
    if refused:
        raise ArgumentError(
            f"{graph.name} asks for what clearprop does not have",
            expected="operators of the table on the page docs/pytorch-models.md",
            got="\n".join(refused),
            where=user_line(),
            try_="another layer in their place; or from_module of a part of the module that has none of them",
        )
    return model_of(graph, arrays)
