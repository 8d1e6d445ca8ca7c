"""Neural networks: modules, initialisers, losses.

A model is an immutable tree of arrays: `y = model(x)` is inference, `y, model = cl.nn.apply(model, x, rng=key)` a
training pass, and the gradient of a loss has the model's structure.

Open to other folders beside the names here: `argument_checks`, `fields` (the kinds of fields), `losses`
and `loss_text`, `module`, `networks`, `structure` (paths of a tree).
"""

from clearprop.nn.activations import ACTIVATIONS as ACTIVATIONS
from clearprop.nn.activations import Activation as Activation
from clearprop.nn.activations import Function as Function
from clearprop.nn.activations import suited_to as suited_to
from clearprop.nn.context import apply as apply
from clearprop.nn.context import is_training as is_training
from clearprop.nn.context import next_key as next_key
from clearprop.nn.context import remember as remember
from clearprop.nn.fields import parameter as parameter
from clearprop.nn.fields import state as state
from clearprop.nn.fields import static as static
from clearprop.nn.initialisers import INITIALISERS as INITIALISERS
from clearprop.nn.initialisers import glorot as glorot
from clearprop.nn.initialisers import he as he
from clearprop.nn.initialisers import lecun as lecun
from clearprop.nn.initialisers import orthogonal as orthogonal
from clearprop.nn.initialisers import small_random as small_random
from clearprop.nn.layers import Dense as Dense
from clearprop.nn.layers import Dropout as Dropout
from clearprop.nn.layers import PiecewiseLinear as PiecewiseLinear
from clearprop.nn.layers import Sequential as Sequential
from clearprop.nn.layers import SmoothClip as SmoothClip
from clearprop.nn.layers import quantile_edges as quantile_edges
from clearprop.nn.losses import CLASS_LOSSES as CLASS_LOSSES
from clearprop.nn.losses import LOSSES as LOSSES
from clearprop.nn.losses import NUMBER_LOSSES as NUMBER_LOSSES
from clearprop.nn.losses import Penalty as Penalty
from clearprop.nn.losses import binary_cross_entropy as binary_cross_entropy
from clearprop.nn.losses import cross_entropy as cross_entropy
from clearprop.nn.losses import focal as focal
from clearprop.nn.losses import huber as huber
from clearprop.nn.losses import log_cosh as log_cosh
from clearprop.nn.losses import loss_named as loss_named
from clearprop.nn.losses import mae as mae
from clearprop.nn.losses import mse as mse
from clearprop.nn.losses import pinball as pinball
from clearprop.nn.losses import poisson as poisson
from clearprop.nn.losses import tweedie as tweedie
from clearprop.nn.module import Module as Module
from clearprop.nn.module_text import summary as summary
from clearprop.nn.networks import mlp as mlp
from clearprop.nn.norms import BatchNorm as BatchNorm
from clearprop.nn.norms import LayerNorm as LayerNorm
from clearprop.nn.structure import least_rows as least_rows
from clearprop.nn.structure import parameter_count as parameter_count
