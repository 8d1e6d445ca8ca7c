"""What `cl.fit` takes beyond the user's own data is about the table of float32 that they are encoded into."""

import pytest

from benchmarks.fit_memory import FILES, FRAMES, in_process
from tests.tiers import later

ROWS, COLUMNS = 200_000, 100
BOUND = 1.5
"""At 80 MB; what does not grow with the data is a fifth of it there."""


OF_FILES = 1.7
"""Of a file readers hold a piece, too, and what they took for it."""


@pytest.mark.parametrize("form", ["polars with gaps", *later([f for f in FRAMES if f != "polars with gaps"])])
def test_a_table_is_held_once(form):
    assert in_process(form, ROWS, COLUMNS) < BOUND


@pytest.mark.parametrize("form", later(FILES))
def test_a_file_is_held_once(form):
    assert in_process(form, ROWS, COLUMNS) < OF_FILES
