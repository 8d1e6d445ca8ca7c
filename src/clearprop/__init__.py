"""clearprop: backpropagation in the clear.

Networks that train fast on a CPU, and gradients that can be opened: the chain-rule factors as formulas and as
numbers, multiplied out, summed and checked.  Everything public is a name of this module.  What stands on the engine
(networks, training, explanations, the compiler) is loaded when it is first asked for.
"""

import importlib as _importlib
import typing as _typing

from clearprop import errors as errors
from clearprop.arrays import Tensor as Tensor
from clearprop.arrays import asarray as asarray
from clearprop.arrays import functions as _functions
from clearprop.arrays import tensor as tensor
from clearprop.arrays.functions import *  # noqa: F403 - made from the registry; functions.pyi lists them
from clearprop.autodiff.custom import custom_rule as custom_rule
from clearprop.autodiff.transforms import grad as grad
from clearprop.autodiff.transforms import hvp as hvp
from clearprop.autodiff.transforms import jacobian as jacobian
from clearprop.autodiff.transforms import jvp as jvp
from clearprop.autodiff.transforms import per_example_grad as per_example_grad
from clearprop.autodiff.transforms import value_and_grad as value_and_grad
from clearprop.autodiff.transforms import vjp as vjp
from clearprop.autodiff.transforms import vmap as vmap
from clearprop.autodiff.trees import tree_map as tree_map
from clearprop.errors import ClearpropError as ClearpropError
from clearprop.late_faces import homes_of as _homes_of
from clearprop.primitives import Zero as Zero
from clearprop.primitives import composite as composite
from clearprop.primitives import primitive as primitive
from clearprop.program.ir import Program as Program
from clearprop.program.processes import without_collector as _without_collector
from clearprop.program.typechecking import typecheck as typecheck
from clearprop.program.values import no_grad as no_grad

if _typing.TYPE_CHECKING:  # for editors and type checkers; when it runs, the table below says the same
    from clearprop import nn as nn
    from clearprop import optim as optim
    from clearprop import sklearn as sklearn
    from clearprop.autodiff.derivative_check import check_grads as check_grads
    from clearprop.autodiff.linear_maps import fisher_vp as fisher_vp
    from clearprop.autodiff.linear_maps import ggn_vp as ggn_vp
    from clearprop.autodiff.linear_maps import hessian as hessian
    from clearprop.autodiff.linear_maps import jacfwd as jacfwd
    from clearprop.autodiff.linear_maps import jacrev as jacrev
    from clearprop.autodiff.linear_maps import linearize as linearize
    from clearprop.compiler import ExecutorWarning as ExecutorWarning
    from clearprop.compiler import compile as compile
    from clearprop.compiler import get_threads as get_threads
    from clearprop.compiler import set_threads as set_threads
    from clearprop.control import associative_scan as associative_scan
    from clearprop.control import cond as cond
    from clearprop.control import fixed_point as fixed_point
    from clearprop.control import fori_loop as fori_loop
    from clearprop.control import map as map
    from clearprop.control import odeint as odeint
    from clearprop.control import remat as remat
    from clearprop.control import root as root
    from clearprop.control import scan as scan
    from clearprop.control import switch as switch
    from clearprop.control import while_loop as while_loop
    from clearprop.explanation import explain as explain
    from clearprop.explanation import explain_update as explain_update
    from clearprop.exporting import export as export
    from clearprop.interop import onnx as onnx
    from clearprop.interop import torch as torch
    from clearprop.runs.mlflow import MLflow as MLflow
    from clearprop.runs.tensorboard import TensorBoard as TensorBoard
    from clearprop.search import cross_validate as cross_validate
    from clearprop.search import ensemble as ensemble
    from clearprop.search import sweep as sweep
    from clearprop.train import Run as Run
    from clearprop.train import TrainingInterrupted as TrainingInterrupted
    from clearprop.train import fit as fit
    from clearprop.train import load as load
    from clearprop.train import lr_range_test as lr_range_test
else:
    _NAMES = {
        "nn": "nn",
        "optim": "optim",
        "sklearn": "sklearn",
        "autodiff.derivative_check": "check_grads",
        "compiler": "ExecutorWarning compile get_threads set_threads",
        "autodiff.linear_maps": "fisher_vp ggn_vp hessian jacfwd jacrev linearize",
        "control": "associative_scan cond fixed_point fori_loop map odeint remat root scan switch while_loop",
        "explanation": "explain explain_update",
        "exporting": "export",
        "interop": "onnx torch",
        "runs.mlflow": "MLflow",
        "runs.tensorboard": "TensorBoard",
        "search": "cross_validate ensemble sweep",
        "train": "Run TrainingInterrupted fit load lr_range_test",
    }
    _HOMES = _homes_of(_NAMES)
    _OWN = {name for name, value in globals().items() if name[0] != "_" and not isinstance(value, type(errors))}
    __all__ = sorted(_OWN | {"errors", "random"} | _HOMES.keys())  # no folders, which imports leave here

    def __getattr__(name: str) -> object:
        """A name that is asked for the first time, from its home (PEP 562); from then on it is an ordinary name."""
        if name not in _HOMES:
            return _functions.late_name(name, __dir__)  # of a family that is loaded now, a dtype, a constant
        try:
            with _without_collector():
                if name == "fit":  # while all that trains is loaded, another process may load Numba
                    _importlib.import_module(f"{__name__}.compiler").expect_training()
                module = _importlib.import_module(f"{__name__}.{_HOMES[name]}")
        except ModuleNotFoundError as missing:
            if errors.lacks_package(missing):
                raise errors.package_error(missing, f"cl.{name}", errors.user_line()) from None
            raise
        return globals().setdefault(name, module if _HOMES[name] == name else getattr(module, name))

    def __dir__() -> list[str]:
        return sorted({*__all__, *_functions.late_names(), "__version__"})


__version__ = "0.2.0.dev0"
