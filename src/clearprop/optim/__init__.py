"""Optimizers: composable, pure transforms from gradients to updates, and learning-rate schedules.

`state = opt.init(params)`; `updates, state = opt.update(grads, state, params)`; `params = apply_updates(params,
updates)`.  An optimizer is a chain of links, so that each part of an update can be told.  Each is loaded when it is
first asked for.

Open to other folders beside the names here: `transform` (what a rule of one's own needs), `basic_transforms`,
`factored`, `hyperparameters`, `inspection`, `schedules`; `objective` to benchmarks.
"""

import typing as _typing

from clearprop.late_faces import late_face as _late_face
from clearprop.optim.hyperparameters import HOMES as _HOMES
from clearprop.optim.hyperparameters import by_name as by_name
from clearprop.optim.hyperparameters import from_config as from_config
from clearprop.optim.hyperparameters import optimizers as optimizers
from clearprop.optim.schedules import Schedule as Schedule
from clearprop.optim.schedules import constant as constant
from clearprop.optim.schedules import cosine as cosine
from clearprop.optim.schedules import exponential as exponential
from clearprop.optim.schedules import inverse_power as inverse_power
from clearprop.optim.schedules import one_cycle as one_cycle
from clearprop.optim.schedules import step as step
from clearprop.optim.schedules import warmup as warmup
from clearprop.optim.transform import Transform as Transform
from clearprop.optim.transform import apply_updates as apply_updates
from clearprop.optim.transform import chain as chain
from clearprop.optim.transform import scale_by_learning_rate as scale_by_learning_rate

if _typing.TYPE_CHECKING:  # for editors and type checkers; when it runs, the table of homes says the same
    from clearprop.optim.accumulation import accumulate as accumulate
    from clearprop.optim.adaptive import scale_by_adagrad as scale_by_adagrad
    from clearprop.optim.adaptive import scale_by_adam as scale_by_adam
    from clearprop.optim.adaptive import scale_by_lion as scale_by_lion
    from clearprop.optim.adaptive import scale_by_nadam as scale_by_nadam
    from clearprop.optim.adaptive import scale_by_nradam as scale_by_nradam
    from clearprop.optim.adaptive import scale_by_radam as scale_by_radam
    from clearprop.optim.adaptive import scale_by_rms as scale_by_rms
    from clearprop.optim.adaptive import scale_by_rprop as scale_by_rprop
    from clearprop.optim.averages import asgd as asgd
    from clearprop.optim.averages import average as average
    from clearprop.optim.averages import lookahead as lookahead
    from clearprop.optim.averages import schedule_free as schedule_free
    from clearprop.optim.basic_transforms import add_weight_decay as add_weight_decay
    from clearprop.optim.basic_transforms import clip_adaptive as clip_adaptive
    from clearprop.optim.basic_transforms import clip_by_norm as clip_by_norm
    from clearprop.optim.basic_transforms import clip_by_value as clip_by_value
    from clearprop.optim.basic_transforms import freeze as freeze
    from clearprop.optim.basic_transforms import scale as scale
    from clearprop.optim.basic_transforms import trace_momentum as trace_momentum
    from clearprop.optim.diagonal import diag_newton as diag_newton
    from clearprop.optim.diagonal import scale_by_clipped_curvature as scale_by_clipped_curvature
    from clearprop.optim.diagonal import scale_by_curvature as scale_by_curvature
    from clearprop.optim.factored import adafactor as adafactor
    from clearprop.optim.factored import clip_by_rms as clip_by_rms
    from clearprop.optim.factored import decay_weights as decay_weights
    from clearprop.optim.factored import scale_by_factored_rms as scale_by_factored_rms
    from clearprop.optim.factored import scale_by_parameter_rms as scale_by_parameter_rms
    from clearprop.optim.factored import scale_by_relative_rate as scale_by_relative_rate
    from clearprop.optim.first_order import adagrad as adagrad
    from clearprop.optim.first_order import adam as adam
    from clearprop.optim.first_order import adamw as adamw
    from clearprop.optim.first_order import lion as lion
    from clearprop.optim.first_order import rmsprop as rmsprop
    from clearprop.optim.first_order import rprop as rprop
    from clearprop.optim.first_order import sgd as sgd
    from clearprop.optim.fractional import caputo as caputo
    from clearprop.optim.fractional import cfgd as cfgd
    from clearprop.optim.fractional import fractional_memory as fractional_memory
    from clearprop.optim.further_adaptive import adadelta as adadelta
    from clearprop.optim.further_adaptive import adamax as adamax
    from clearprop.optim.further_adaptive import nadam as nadam
    from clearprop.optim.further_adaptive import radam as radam
    from clearprop.optim.further_adaptive import scale_by_adadelta as scale_by_adadelta
    from clearprop.optim.further_adaptive import scale_by_adamax as scale_by_adamax
    from clearprop.optim.gauss_newton import levenberg_marquardt as levenberg_marquardt
    from clearprop.optim.group_settings import vary_by_group as vary_by_group
    from clearprop.optim.hybrid import memetic as memetic
    from clearprop.optim.hybrid import relay as relay
    from clearprop.optim.limited_memory import lbfgs as lbfgs
    from clearprop.optim.limited_memory import scale_by_lbfgs as scale_by_lbfgs
    from clearprop.optim.methods import Method as Method
    from clearprop.optim.methods import Progress as Progress
    from clearprop.optim.methods import Result as Result
    from clearprop.optim.minimisation import minimize as minimize
    from clearprop.optim.newton import newton_cg as newton_cg
    from clearprop.optim.objective import Evaluations as Evaluations
    from clearprop.optim.orthogonal import muon as muon
    from clearprop.optim.orthogonal import scale_by_muon as scale_by_muon
    from clearprop.optim.parameter_groups import groups as groups
    from clearprop.optim.parameter_groups import masked as masked
    from clearprop.optim.quasi_newton_methods import quasi_newton as quasi_newton
    from clearprop.optim.rates import armijo as armijo
    from clearprop.optim.rates import hypergradient as hypergradient
    from clearprop.optim.rates import polyak as polyak
    from clearprop.optim.rates import reduce_on_plateau as reduce_on_plateau
    from clearprop.optim.sharpness import sam as sam
    from clearprop.optim.sums_of_squares import least_squares as least_squares
    from clearprop.optim.switching import after_steps as after_steps
    from clearprop.optim.switching import on_plateau as on_plateau
    from clearprop.optim.switching import projection_settles as projection_settles
    from clearprop.optim.switching import swats as swats
    from clearprop.optim.switching import switch as switch
    from clearprop.optim.uncertainty import Estimate as Estimate
else:
    __getattr__, __dir__, __all__ = _late_face(globals(), _HOMES)
