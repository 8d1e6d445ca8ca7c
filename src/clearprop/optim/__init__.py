"""Optimizers: composable, pure transforms from gradients to updates, and learning-rate schedules."""

from clearprop.optim.first_order import adam as adam
from clearprop.optim.first_order import adamw as adamw
from clearprop.optim.first_order import sgd as sgd
from clearprop.optim.hyper import by_name as by_name
from clearprop.optim.hyper import from_config as from_config
from clearprop.optim.hyper import optimizers as optimizers
from clearprop.optim.links import add_weight_decay as add_weight_decay
from clearprop.optim.links import clip_by_norm as clip_by_norm
from clearprop.optim.links import clip_by_value as clip_by_value
from clearprop.optim.links import scale as scale
from clearprop.optim.links import scale_by_adam as scale_by_adam
from clearprop.optim.links import scale_by_learning_rate as scale_by_learning_rate
from clearprop.optim.links import trace_momentum as trace_momentum
from clearprop.optim.schedules import Schedule as Schedule
from clearprop.optim.schedules import constant as constant
from clearprop.optim.schedules import cosine as cosine
from clearprop.optim.schedules import step as step
from clearprop.optim.schedules import warmup as warmup
from clearprop.optim.transform import Transform as Transform
from clearprop.optim.transform import apply_updates as apply_updates
from clearprop.optim.transform import chain as chain
