"""Prints the figures of the house: `python -m tests.house`; with `--list`, what stands behind each as well."""

import sys

from tests.house.figures import FIGURES

print(f"{'figure':60s} {'now':>6} {'bound':>6} {'goal':>6}")
for figure in FIGURES:
    print(f"{figure.name:60s} {figure.value():6g} {figure.bound:6g} {figure.goal:6g}")
if "--list" in sys.argv:
    for figure in FIGURES:
        print("\n" + figure.detail())
