"""Training: the loop, what it needs, and what it gives.

The way of a run: `fitting` (`cl.fit`) or the command line come to a `job` by `planning`; `training` tries it, opens its
folder and lets the `training_loop` take `batches` through the `step`, run by an `executor`; `run` is what is left, and
`loading` brings it back.

Open to other folders beside the names here: `ensembles`, which a single run does without, and
`text_writing`.
"""

from clearprop.train.answers import class_probabilities as class_probabilities
from clearprop.train.answers import importance_of as importance_of
from clearprop.train.answers import require_choice as require_choice
from clearprop.train.batches import ArrayFeed as ArrayFeed
from clearprop.train.batches import BlockFeed as BlockFeed
from clearprop.train.batches import batch_at as batch_at
from clearprop.train.compiled_executor import choose_executor as choose_executor
from clearprop.train.fitting import fit as fit
from clearprop.train.forking import starting_from as starting_from
from clearprop.train.gradient_check import Checked as Checked
from clearprop.train.gradient_check import check_objective as check_objective
from clearprop.train.gradient_check import check_run as check_run
from clearprop.train.interrupts import TrainingInterrupted as TrainingInterrupted
from clearprop.train.job import Job as Job
from clearprop.train.job import Origin as Origin
from clearprop.train.job import fit_to_model as fit_to_model
from clearprop.train.job import require_suitable as require_suitable
from clearprop.train.loading import as_in_training as as_in_training
from clearprop.train.loading import command_of as command_of
from clearprop.train.loading import load as load
from clearprop.train.loading import require_kept as require_kept
from clearprop.train.metrics import Measure as Measure
from clearprop.train.metrics import higher_is_better as higher_is_better
from clearprop.train.metrics import outputs_as_predicted as outputs_as_predicted
from clearprop.train.metrics import outputs_of as outputs_of
from clearprop.train.metrics import suitable_measures as suitable_measures
from clearprop.train.metrics import target_unit as target_unit
from clearprop.train.narration import Narrator as Narrator
from clearprop.train.planning import AUTO as AUTO
from clearprop.train.planning import job_for as job_for
from clearprop.train.planning import network_for as network_for
from clearprop.train.planning import tested_rate as tested_rate
from clearprop.train.planning import transform_asked as transform_asked
from clearprop.train.planning import with_defaults as with_defaults
from clearprop.train.rate_range import lr_range_test as lr_range_test
from clearprop.train.replayed import before_step as before_step
from clearprop.train.run import Run as Run
from clearprop.train.scores import shares_of_rows as shares_of_rows
from clearprop.train.step import make_objective as make_objective
from clearprop.train.step import make_step as make_step
from clearprop.train.step import supplies as supplies
from clearprop.train.target_choice import settled_data as settled_data
from clearprop.train.target_choice import settled_table as settled_table
from clearprop.train.thresholds import LEAST_COST as LEAST_COST
from clearprop.train.thresholds import Choice as Choice
from clearprop.train.thresholds import chosen_by as chosen_by
from clearprop.train.thresholds import shift_by as shift_by
from clearprop.train.training import evaluate_test as evaluate_test
from clearprop.train.training import train as train
from clearprop.train.training_loop import Callback as Callback
from clearprop.train.training_loop import Decide as Decide
from clearprop.train.training_loop import Plan as Plan
from clearprop.train.training_loop import decide_alone as decide_alone
from clearprop.train.training_loop import replay_steps as replay_steps
from clearprop.train.warm_start import begin_with as begin_with
from clearprop.train.warm_start import with_weights_of as with_weights_of
