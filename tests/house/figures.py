"""The figures that the house keeps: what is measured, where it shall stand, and what it may be at most today."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import clearprop as cl
from benchmarks.calls import count
from tests.house import imports, layout, ways

X = cl.tensor(1.0, requires_grad=True)


@dataclass(frozen=True)
class Figure:
    """A figure is the size of what `measure` finds, or that number; `bound` only ever falls, until it is `goal`."""

    name: str
    measure: Callable[[], Any]
    bound: float
    goal: float

    def value(self) -> float:
        found = self.measure()
        return found if isinstance(found, int | float) else len(found)

    def detail(self) -> str:
        found = self.measure()
        listed = sorted(found) if isinstance(found, set) else found
        return f"{self.name}: {self.value():g}, at most {self.bound:g}: {listed}"


FIGURES = [
    Figure("share of the largest folder, %", lambda: round(100 * max(layout.folder_shares().values()), 1), 13, 13),
    Figure("own imports inside functions", layout.late_imports, 30, 30),
    Figure("own imports inside functions, without a reason", layout.unreasoned_imports, 0, 0),
    Figure("class names that stand for several", layout.repeated_classes, 0, 0),
    Figure("functions of modules named by a bare participle", layout.participles, 0, 0),
    Figure("functions above complexity 12 without a comment", lambda: layout.uncommented(12), 0, 0),
    Figure("public names without an example that runs", layout.without_example, 0, 0),
    Figure("circles of imports, late ones and those for types too", imports.circles, 0, 0),
    Figure("modules of train/ used from outside", lambda: set(imports.used_from_outside("train")), 8, 8),
    Figure("parameters that are Any, in rules/, %", lambda: layout.share_of_any("rules"), 40, 40),
    Figure("parameters that are Any, in autodiff/, %", lambda: layout.share_of_any("autodiff"), 40, 40),
    Figure("parameters that are Any, in arrays/, %", lambda: layout.share_of_any("arrays"), 40, 40),
    Figure("parameters that are Any, in primitives/, %", lambda: layout.share_of_any("primitives"), 40, 40),
    Figure("calls of cl.grad(tanh(2x))(1.0)", lambda: count(lambda: cl.grad(lambda x: cl.tanh(2 * x))(1.0)), 80, 80),
    Figure("calls of cl.relu(x * 2).backward()", lambda: count(lambda: cl.relu(X * 2).backward()), 60, 60),
    Figure("files passed by an explanation of the neuron", ways.by_an_explanation, 25, 25),
    Figure("files passed by a training, to its first native call", ways.by_a_training, 75, 75),
]
