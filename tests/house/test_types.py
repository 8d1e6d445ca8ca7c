"""What an annotation says: the share of parameters that are `Any` alone is a figure of the house."""

import ast

import pytest

from tests.house.layout import says_nothing


@pytest.mark.parametrize(
    ("text", "empty"),
    [("Any", True), ("Sequence[Any] | None", True), ("Value", False), ("Callable[..., Any]", False), ("int", False)],
)
def test_what_says_nothing(text, empty):
    assert says_nothing(ast.parse(text, mode="eval").body) is empty
