"""Activations: their names, each with the initialiser that suits it, and functions as layers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from clearprop.arrays.functions import FUNCTIONS
from clearprop.errors import ArgumentError, checked_call, unknown_name, user_line
from clearprop.nn.fields import static
from clearprop.nn.module import Module
from clearprop.primitives import REGISTRY
from clearprop.rules.eager import rectify_in_place

LINEAR = "linear"
SUITED = {
    "relu": "he",
    "leaky_relu": "he",
    "relu6": "he",
    "elu": "he",
    "selu": "lecun",
    "gelu": "he",
    "gelu_tanh": "he",
    "silu": "he",
    "mish": "he",
    "hard_silu": "he",
    "tanh": "glorot",
    "hard_tanh": "glorot",
    "sigmoid": "glorot",
    "hard_sigmoid": "glorot",
    "softsign": "glorot",
    "softplus": "glorot",
    "softmax": "he",
    "log_softmax": "he",
    LINEAR: "glorot",
}
"""Every activation with the initialiser for the layer before it: the one place where a name is added."""
ACTIVATIONS = tuple(name for name in SUITED if name != LINEAR)
"""The names of activations; each is a function of `cl` too."""


def _require_activation(name: Any) -> str:
    """The name of an activation.  Raises ArgumentError for anything else."""
    if not isinstance(name, str) or name not in SUITED:
        raise unknown_name("activation", name, SUITED, user_line())
    return name


@checked_call
def suited_to(activation: str) -> str:
    """The name of the initialiser for a layer that the activation follows.

    He for relu, its family, gelu and silu; LeCun for selu; Glorot for tanh, sigmoid, softplus and linear layers.

    activation  one of `cl.nn.ACTIVATIONS`, or "linear"

    Raises ArgumentError for another name, and tells the nearest.

    >>> import clearprop as cl
    >>> cl.nn.suited_to("gelu"), cl.nn.suited_to("tanh")
    ('he', 'glorot')
    """
    return SUITED[_require_activation(activation)]


class Activation(Module):
    """An activation by name, with its parameters: `Activation("leaky_relu", slope=0.1)`.

    name     one of `cl.nn.ACTIVATIONS`, or "linear", which leaves x as it is
    options  what the function of that name takes besides x

    Raises ArgumentError for an unknown name, and tells the nearest.

    >>> import clearprop as cl
    >>> cl.nn.Activation("relu")(cl.tensor([-1.0, 2.0]))
    Tensor([0.0, 2.0])
    """

    name: str = static()
    options: tuple[tuple[str, Any], ...] = static(default=())

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name=_require_activation(name), options=tuple(sorted(options.items())))

    def forward(self, x: Any) -> Any:
        """The function of that name."""
        return x if self.name == LINEAR else FUNCTIONS[self.name](x, **dict(self.options))

    def label(self) -> str:
        """The name, with parameters if any."""
        return self.name + (f"({', '.join(f'{k}={v}' for k, v in self.options)})" if self.options else "")


def array_function(layer: Activation) -> Callable[[NDArray[Any]], Any] | None:
    """What computes it of an array of floats, as one operation; None where that may hang on more than their values.

    So it is where an option is no plain number: a tensor may be tracked, and what is none the layer refuses.

    >>> import numpy as np
    >>> array_function(Activation("leaky_relu", slope=0.5))(np.array([-1.0, 2.0]))
    array([-0.5,  2. ])
    """
    function = REGISTRY.get(layer.name)  # None: of a family that is loaded when it is asked for
    if function is None or function.kind != "elementwise":
        return None
    if any(name not in function.params or type(value) not in (int, float) for name, value in layer.options):
        return None
    return functools.partial(function, **dict(layer.options)) if layer.options else function


def on_own_floats(layer: Activation) -> Callable[[NDArray[Any]], Any] | None:
    """`array_function` for floats that are nobody else's, which it may write over.

    >>> import numpy as np
    >>> on_own_floats(Activation("relu"))(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    function = array_function(layer)
    return rectify_in_place if function is not None and layer.name == "relu" else function


class Function(Module):
    """Any function of one array as a layer.  It is compared by identity and cannot be stored in a file.

    function  from a tensor to a tensor, written with the functions of `cl`

    >>> import clearprop as cl
    >>> cl.nn.Function(cl.square)(cl.tensor([1.0, -2.0]))
    Tensor([1.0, 4.0])
    """

    function: Callable[[Any], Any] = static()

    def __init__(self, function: Callable[[Any], Any]) -> None:
        if not callable(function):
            raise ArgumentError(
                "a layer of this kind is a function",
                expected="a function of one array, such as cl.tanh",
                got=repr(function)[:200],
                where=user_line(),
            )
        super().__init__(function=function)

    def forward(self, x: Any) -> Any:
        """The function."""
        return self.function(x)

    def label(self) -> str:
        """Its name."""
        return getattr(self.function, "__name__", repr(self.function))


def as_layer(layer: Any) -> Module:
    """A module, from a module, the name of an activation, or a function."""
    if isinstance(layer, Module):
        return layer
    if isinstance(layer, str):
        return Activation(layer)
    if not callable(layer) or isinstance(layer, type):
        raise ArgumentError(
            "a layer is a module, the name of an activation, or a function",
            expected='cl.nn.Dense(4, 16), "relu", cl.tanh',
            got=f"the class {layer.__name__}, which is called to make one" if isinstance(layer, type) else repr(layer),
            where=user_line(),
        )
    name = getattr(layer, "__name__", "")
    return Activation(name) if name in ACTIVATIONS and FUNCTIONS[name] is layer else Function(layer)
