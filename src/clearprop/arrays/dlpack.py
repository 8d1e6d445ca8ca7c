"""Arrays of other libraries through DLPack."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.arrays.data_types import require_cpu
from clearprop.arrays.tensor import Tensor, asarray
from clearprop.errors import ArgumentError, checked_call, user_line


@checked_call
def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """A tensor of the numbers of any array that speaks DLPack, in its memory where that can be.

    x       an array with `__dlpack__`
    device  "cpu" or None
    copy    True: memory of its own; False: refused if it must be copied

    >>> import clearprop as cl
    >>> import numpy as np
    >>> cl.from_dlpack(np.array([1.0, 2.0]))
    Tensor([1.0, 2.0])
    """
    require_cpu(device)
    try:
        return asarray(np.from_dlpack(x, copy=copy))
    except (BufferError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise ArgumentError(
            "from_dlpack cannot read this",
            expected="an array in the memory of this processor",
            got=str(error) or type(x).__name__,
            where=user_line(),
            try_="cl.asarray(x)",
        ) from None
