"""Neural networks: modules, initialisers, losses.

A model is an immutable tree of arrays: `y = model(x)` is inference, `y, model = cl.nn.apply(model, x, rng=key)` a
training pass, and the gradient of a loss has the model's structure.  Layers that not every network has are loaded when
they are first asked for.

Open to other folders beside the names here: `alike` (images through compiled layers), `argument_checks`, `fields` (the
kinds of fields), `layers` (an array through a network), `losses` and `loss_text`, `module`, `networks`, `structure`
(paths of a tree).
"""

import typing as _typing

from clearprop.late_faces import homes_of as _homes_of
from clearprop.late_faces import late_face as _late_face
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
from clearprop.nn.losses import binary_cross_entropy as binary_cross_entropy
from clearprop.nn.losses import cross_entropy as cross_entropy
from clearprop.nn.losses import focal as focal
from clearprop.nn.losses import gaussian_nll as gaussian_nll
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
from clearprop.nn.structure import Penalty as Penalty
from clearprop.nn.structure import least_rows as least_rows
from clearprop.nn.structure import parameter_count as parameter_count

if _typing.TYPE_CHECKING:  # for editors and type checkers; when it runs, the table below says the same
    from clearprop.nn.architectures import autoencoder as autoencoder
    from clearprop.nn.architectures import convnet as convnet
    from clearprop.nn.architectures import lenet as lenet
    from clearprop.nn.architectures import lstm_classifier as lstm_classifier
    from clearprop.nn.architectures import resnet as resnet
    from clearprop.nn.architectures import transformer as transformer
    from clearprop.nn.attention import MultiHeadAttention as MultiHeadAttention
    from clearprop.nn.attention import TransformerBlock as TransformerBlock
    from clearprop.nn.augmentation import Augment as Augment
    from clearprop.nn.augmentation import RandomCrop as RandomCrop
    from clearprop.nn.augmentation import RandomFlip as RandomFlip
    from clearprop.nn.augmentation import RandomShift as RandomShift
    from clearprop.nn.cells import GRUCell as GRUCell
    from clearprop.nn.cells import LSTMCell as LSTMCell
    from clearprop.nn.cells import RNNCell as RNNCell
    from clearprop.nn.combinations import Flatten as Flatten
    from clearprop.nn.combinations import Parallel as Parallel
    from clearprop.nn.combinations import Residual as Residual
    from clearprop.nn.combinations import Unflatten as Unflatten
    from clearprop.nn.convolution import Conv1d as Conv1d
    from clearprop.nn.convolution import Conv2d as Conv2d
    from clearprop.nn.convolution import Conv3d as Conv3d
    from clearprop.nn.convolution import ConvTranspose1d as ConvTranspose1d
    from clearprop.nn.convolution import ConvTranspose2d as ConvTranspose2d
    from clearprop.nn.convolution import ConvTranspose3d as ConvTranspose3d
    from clearprop.nn.dropping import Dropout2d as Dropout2d
    from clearprop.nn.dropping import DropPath as DropPath
    from clearprop.nn.embedding import Embedding as Embedding
    from clearprop.nn.embedding import EmbeddingBag as EmbeddingBag
    from clearprop.nn.ensembles import Ensemble as Ensemble
    from clearprop.nn.further_losses import contrastive as contrastive
    from clearprop.nn.further_losses import cosine_distance as cosine_distance
    from clearprop.nn.further_losses import hinge as hinge
    from clearprop.nn.further_losses import kl_divergence as kl_divergence
    from clearprop.nn.further_losses import multi_margin as multi_margin
    from clearprop.nn.further_losses import nll as nll
    from clearprop.nn.further_losses import triplet as triplet
    from clearprop.nn.gates import GLU as GLU
    from clearprop.nn.gates import PReLU as PReLU
    from clearprop.nn.gates import SwiGLU as SwiGLU
    from clearprop.nn.group_norms import GroupNorm as GroupNorm
    from clearprop.nn.group_norms import InstanceNorm as InstanceNorm
    from clearprop.nn.group_norms import RMSNorm as RMSNorm
    from clearprop.nn.group_norms import WeightNorm as WeightNorm
    from clearprop.nn.increasing import Increasing as Increasing
    from clearprop.nn.increasing import NormalInterval as NormalInterval
    from clearprop.nn.masking import Masked as Masked
    from clearprop.nn.masking import MeanOverSteps as MeanOverSteps
    from clearprop.nn.pooling import AdaptivePool as AdaptivePool
    from clearprop.nn.pooling import AvgPool as AvgPool
    from clearprop.nn.pooling import GlobalPool as GlobalPool
    from clearprop.nn.pooling import MaxPool as MaxPool
    from clearprop.nn.pooling import Upsample as Upsample
    from clearprop.nn.positions import LearnedPositions as LearnedPositions
    from clearprop.nn.positions import SinusoidalPositions as SinusoidalPositions
    from clearprop.nn.positions import causal_mask as causal_mask
    from clearprop.nn.positions import length_mask as length_mask
    from clearprop.nn.positions import rotary as rotary
    from clearprop.nn.recurrent import GRU as GRU
    from clearprop.nn.recurrent import LSTM as LSTM
    from clearprop.nn.recurrent import RNN as RNN
else:
    _NAMES = {
        "architectures": "autoencoder convnet lenet lstm_classifier resnet transformer",
        "attention": "MultiHeadAttention TransformerBlock",
        "augmentation": "Augment RandomCrop RandomFlip RandomShift",
        "cells": "GRUCell LSTMCell RNNCell",
        "combinations": "Flatten Parallel Residual Unflatten",
        "convolution": "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d",
        "dropping": "DropPath Dropout2d",
        "embedding": "Embedding EmbeddingBag",
        "ensembles": "Ensemble",
        "further_losses": "contrastive cosine_distance hinge kl_divergence multi_margin nll triplet",
        "gates": "GLU PReLU SwiGLU",
        "group_norms": "GroupNorm InstanceNorm RMSNorm WeightNorm",
        "increasing": "Increasing NormalInterval",
        "masking": "Masked MeanOverSteps",
        "pooling": "AdaptivePool AvgPool GlobalPool MaxPool Upsample",
        "positions": "LearnedPositions SinusoidalPositions causal_mask length_mask rotary",
        "recurrent": "GRU LSTM RNN",
    }
    _HOMES = _homes_of(_NAMES)
    __getattr__, __dir__, __all__ = _late_face(globals(), _HOMES)
