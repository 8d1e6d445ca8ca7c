"""The count of files that a reader passes sees functions and no imports."""

import clearprop as cl
from tests.house.ways import files_entered


def test_the_count_sees_functions_and_no_imports():
    assert files_entered("", "cl.no_grad") == set()
    assert files_entered("", "cl.errors.nearest('a', ['b'])") == {"errors.py"}
    assert cl.errors.__file__.endswith("errors.py")
