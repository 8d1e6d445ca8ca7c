"""How much of the array API standard 2024.12 is as it says: `python -m tests.arrays.conformance`.

The suite of the standard's authors is no package.  In its place stand the cases of the tests here: `array-api-strict`
is the oracle for names, signatures, data types, shapes and values, the sentences of the standard for special cases.
A case is one function with one data type, or one sentence; what the oracle refuses is not counted.
"""

import inspect
import itertools
import sys
from collections import Counter

from tests.arrays import test_array_api, test_array_statistics, test_special_cases
from tests.arrays.test_array_api import OUTSIDE

FAMILIES = {
    "names": ["test_every_name_is_there", "test_the_names_of_linear_algebra"],
    "signatures": ["test_every_signature_takes_the_standard_calls"],
    "elementwise functions": ["test_elementwise_of_one", "test_elementwise_of_two"],
    "special cases": ["test_a_special_case"],
    "promotion": ["test_promotion", "test_kinds_promotion_and_casts"],
    "operators": ["test_operators_and_their_reflected_forms", "test_operators_in_place_rebind"],
    "creation, constants, limits": [
        "test_creation",
        "test_constants",
        "test_limits",
        "test_memory_is_shared_copied_or_refused",
    ],
    "manipulation, sorting, sets": ["test_moves", "test_choosing_and_joining"],
    "statistics, searching": ["test_reductions", "test_places_of_extremes", "test_a_correction"],
    "indexing": ["test_indexing"],
    "linear algebra": ["test_linear_algebra"],
    "Fourier transforms": ["test_transforms"],
    "arrays and the namespace": [
        *("test_what_an_array_says_of_itself", "test_the_namespace_is_found_from_an_array", "test_dlpack_both_ways"),
        *("test_what_the_namespace_says_of_itself", "test_devices"),
    ],
}
"""The tests whose cases are those of the standard, by part of it."""

AT_LEAST = 1250
"""Cases, about as many as the suite of the standard's authors has tests."""


def cases(test):
    """The arguments of every case of a test: those that it is parametrised by, and those that it tries together."""
    marks = [m.args for m in getattr(test, "pytestmark", ()) if m.name == "parametrize"]
    lists = list(getattr(test, "tried_together", ()))
    for names, values in marks:
        names = names.split(",") if isinstance(names, str) else names
        lists.append([dict(zip(names, v if len(names) > 1 else (v,), strict=True)) for v in values])
    for chosen in itertools.product(*lists):
        yield {name: value for part in chosen for name, value in part.items()}


def outcome(test, arguments):
    """`as it says`, `different`, or `outside` of the standard."""
    before = len(OUTSIDE)
    try:
        inspect.unwrap(test)(**arguments)
    except Exception as error:
        print(f"{test.__name__}{arguments}: {type(error).__name__}: {str(error).strip()[:200]}", file=sys.stderr)
        return "different"
    return "outside" if len(OUTSIDE) > before else "as it says"


def figures():
    """`(part, cases as the standard says, cases in it)`."""
    modules = (test_array_api, test_array_statistics, test_special_cases)
    known = {name: value for module in modules for name, value in vars(module).items()}
    for part, tests in FAMILIES.items():
        found = Counter(outcome(known[name], arguments) for name in tests for arguments in cases(known[name]))
        yield part, found["as it says"], found["as it says"] + found["different"]


if __name__ == "__main__":
    rows = list(figures())
    for part, right, every in [*rows, ("all", sum(r[1] for r in rows), sum(r[2] for r in rows))]:
        print(f"{part:<30} {right:>5} of {every:>5}")
    sys.exit(any(right < every for _, right, every in rows) or sum(every for *_, every in rows) < AT_LEAST)
