"""Hyper-parameter search: many trainings with other settings, done side by side, and the best of them.

The way of a sweep: `space` is read and a strategy (`strategies`, `tpe`) asks for trials; the `scheduler` hands them to
the workers of `pools`, each makes a run folder (`trial`) from data that all share (`shared_data`), and `selection` says
which is the best, and how sure that is.

Open to other folders: `page`, `pools`, `record`, `shared_data`, `slurm`, `space`, `sweeping`,
`trial`.
"""

from clearprop.search.sweeping import sweep as sweep
