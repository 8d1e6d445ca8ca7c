"""What a network's answers hang on: columns that are shuffled, gradients, and the way from the average row to a row.

It knows networks only as functions of encoded rows; `train` says which function the answer of a run is.
"""

from clearprop.attribution.contributions import Contribution as Contribution
from clearprop.attribution.contributions import PredictionExplanation as PredictionExplanation
from clearprop.attribution.contributions import by_column as by_column
from clearprop.attribution.contributions import path_contributions as path_contributions
from clearprop.attribution.importance import ColumnImportance as ColumnImportance
from clearprop.attribution.importance import Importance as Importance
from clearprop.attribution.importance import gradient_effects as gradient_effects
from clearprop.attribution.importance import html_rows as html_rows
from clearprop.attribution.importance import mean_interval as mean_interval
from clearprop.attribution.importance import permutation_drops as permutation_drops
