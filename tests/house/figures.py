"""The figures that the house keeps: what is measured, where it shall stand, and what it may be at most today."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.house import layout


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
]
