"""clearprop: backpropagation in the clear.

Networks that train fast on a CPU, and gradients that can be opened: the chain-rule factors as formulas and as
numbers, multiplied out, summed and checked.  Everything public is a name of this module.
"""

from clearprop import errors as errors
from clearprop import nn as nn
from clearprop import optim as optim
from clearprop.arrays import Tensor as Tensor
from clearprop.arrays import asarray as asarray
from clearprop.arrays import tensor as tensor
from clearprop.arrays.functions import *  # noqa: F403 - made from the registry; functions.pyi lists them
from clearprop.autodiff.batching import vmap as vmap
from clearprop.autodiff.custom import custom_rule as custom_rule
from clearprop.autodiff.derivative_check import check_grads as check_grads
from clearprop.autodiff.transforms import grad as grad
from clearprop.autodiff.transforms import hessian as hessian
from clearprop.autodiff.transforms import hvp as hvp
from clearprop.autodiff.transforms import jacobian as jacobian
from clearprop.autodiff.transforms import jvp as jvp
from clearprop.autodiff.transforms import per_example_grad as per_example_grad
from clearprop.autodiff.transforms import value_and_grad as value_and_grad
from clearprop.autodiff.transforms import vjp as vjp
from clearprop.autodiff.trees import tree_map as tree_map
from clearprop.compiler import ExecutorWarning as ExecutorWarning
from clearprop.compiler import compile as compile
from clearprop.compiler import get_threads as get_threads
from clearprop.compiler import set_threads as set_threads
from clearprop.errors import ClearpropError as ClearpropError
from clearprop.explanation import explain as explain
from clearprop.explanation import explain_update as explain_update
from clearprop.exporting import export as export
from clearprop.primitives import Zero as Zero
from clearprop.primitives import composite as composite
from clearprop.primitives import primitive as primitive
from clearprop.program.ir import Program as Program
from clearprop.program.typechecking import typecheck as typecheck
from clearprop.program.values import no_grad as no_grad
from clearprop.rules import random as random
from clearprop.runs.tensorboard import TensorBoard as TensorBoard
from clearprop.train import Run as Run
from clearprop.train import TrainingInterrupted as TrainingInterrupted
from clearprop.train import fit as fit
from clearprop.train import load as load
from clearprop.train import lr_range_test as lr_range_test

__version__ = "0.2.0.dev0"
