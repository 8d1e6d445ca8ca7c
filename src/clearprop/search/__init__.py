"""Hyper-parameter search: many trainings with other settings, done side by side, and the best of them.

The way of a sweep: `space` is read and a strategy (`strategies`, `tpe`) asks for trials; the `scheduler` hands them to
the workers of `pools`, each makes a run folder (`trial`) from data that all share (`shared_data`), and `selection` says
which is the best, and how sure that is.

`cross_validation` trains with the same settings on the rows outside of each fold of a table, `members` on others of
its parts for an ensemble: here, or in one of the `rooms` that hand the same data to the same workers.

Open to other folders: `cross_validation`, `members`, `page`, `pools`, `rooms`, `slurm`, `space`,
`sweep_folder`, `sweeping`, `time_limit`, `trial`.
"""

from clearprop.search.cross_validation import cross_validate as cross_validate
from clearprop.search.members import ensemble as ensemble
from clearprop.search.sweeping import sweep as sweep
