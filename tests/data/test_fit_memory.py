"""What `cl.fit` takes beyond the user's own data is about the table of float32 that they are encoded into."""

import pytest

from benchmarks.fit_memory import FILES, FRAMES, in_process
from tests.tiers import later

ROWS, COLUMNS = 200_000, 100
BOUND = 1.5
"""At 80 MB; what does not grow with the data is a fifth of it there."""


@pytest.mark.parametrize(
    "form", ["polars with gaps", *later([f for f in (*FRAMES, *FILES) if f != "polars with gaps"])]
)
def test_a_table_is_held_once(form):
    assert in_process(form, ROWS, COLUMNS) < BOUND
