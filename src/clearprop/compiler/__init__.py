"""From a traced function to one native call: lowering, fusion, buffers, sources, executors.

The way of a program: `compiled_function` takes the arguments, `specialisation` traces and lowers (`lowering`), the plan
(`memory_plan`) resolves views to strides (`array_access`), orders operations into nests (`schedule`) and writes their
loops (`kernels`); `binding` puts in numbers, `executable` makes the table that native code reads, and `native/` holds
what needs Numba; `row_products` are what predictions are made of.
Open to other folders beside the names here: `epoch_loop`, which loads Numba, `native.blas`, and what variables around
code of the user's hold: `surroundings`, `fixed_values`.
"""

from clearprop.compiler.compiled_function import Compiled as Compiled
from clearprop.compiler.compiled_function import compile as compile
from clearprop.compiler.executor_choice import ExecutorWarning as ExecutorWarning
from clearprop.compiler.executor_choice import expect_training as expect_training
from clearprop.compiler.executor_choice import native_obstacle as native_obstacle
from clearprop.compiler.executor_choice import numba_obstacle as numba_obstacle
from clearprop.compiler.executor_choice import warn_user as warn_user
from clearprop.compiler.helper_text import closed_helpers as closed_helpers
from clearprop.compiler.helper_text import helper_source as helper_source
from clearprop.compiler.lowering import lower as lower
from clearprop.compiler.numpy_source import NumpySource as NumpySource
from clearprop.compiler.row_products import row_products as row_products
from clearprop.compiler.threads import get_threads as get_threads
from clearprop.compiler.threads import pool_asleep as pool_asleep
from clearprop.compiler.threads import set_threads as set_threads
from clearprop.compiler.threads import thread_count as thread_count
from clearprop.compiler.threads import threads_asked as threads_asked
from clearprop.compiler.threads import threads_meanwhile as threads_meanwhile
