"""The executor that runs the printed NumPy source: what is shown is what is executed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clearprop.compiler.captures import Captures
from clearprop.compiler.numpy_source import compile_numpy
from clearprop.compiler.refusals import index_out_of_range
from clearprop.errors import ArgumentError, ClearpropError, user_line
from clearprop.program.ir import Program


class NumpyExecutor:
    """Runs the printed NumPy source of a lowered program."""

    def __init__(self, lowered: Program, name: str, captures: Captures) -> None:
        self.hidden: Sequence[Any] = captures.values
        self.name = name
        self.source, self.function = compile_numpy(lowered, name)

    def bind(self, inputs: Sequence[Any]) -> Callable[..., Sequence[Any]]:
        """What computes the outputs for inputs of these sizes: the same for all."""
        return self._run

    def renew(self, hidden: Sequence[Any]) -> None:
        """Take these arrays for the captured ones from now on."""
        self.hidden = list(hidden)

    def _run(self, inputs: Sequence[Any], give: Callable[[], None] | None = None) -> Sequence[Any]:
        with np.errstate(all="ignore"):
            try:
                results: Sequence[Any] = self.function(*inputs, *self.hidden)
            except ClearpropError:
                raise
            except IndexError:
                raise index_out_of_range() from None
            except (ValueError, OverflowError) as error:  # what depends on data and sizes alone: NumPy sees it first
                raise ArgumentError(
                    f"{self.name} cannot be computed with these values",
                    expected="values for which every operation has a result",
                    got=str(error),
                    where=user_line(),
                    try_="the same call without cl.compile, which names the operation",
                ) from error
            if give is not None:
                give()
            operands = (*inputs, *self.hidden)
            known = {id(_owner(v)) for v in operands if isinstance(v, np.ndarray)}
            return [_own(r, operands, known) for r in results]


def _own(result: Any, operands: Sequence[Any], known: set[int]) -> Any:
    """The result in memory that no operand has: what the caller writes there later changes no result.

    Arrays that NumPy made share memory only by way of their owner; of others the addresses tell.
    """
    if not isinstance(result, np.ndarray):
        return result
    owner = _owner(result)
    shared = id(owner) in known
    if not shared and not owner.flags.owndata:
        shared = any(np.may_share_memory(result, v) for v in operands)
    return result.copy() if shared else result


def _owner(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
