"""One training on many processes: the ranks of an MPI job, how they add, agree, and end together.

Nothing here knows of networks or steps; `train` asks the first rank to decide (`World.lead`) and adds up gradients
(`World.adding`).  mpi4py is imported when a world is joined, and not before.
"""

from clearprop.distributed.world import World as World
from clearprop.distributed.world import join_world as join_world
