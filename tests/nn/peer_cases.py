"""Layers and losses that PyTorch has too, by the names under which `peers/torch.npz` holds what it computes."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

import clearprop as cl
from clearprop import nn

RECORDED = np.load(Path(__file__).with_name("peers") / "torch.npz")
NAMES = sorted({key.split("/")[0] for key in RECORDED.files})


@dataclass(frozen=True)
class Case:
    """A recorded case: how our layer is made, and how it is called where that is not `layer(*inputs)`."""

    name: str
    layer: object
    call: object = staticmethod(lambda layer, *inputs: layer(*inputs))

    @cached_property
    def arrays(self):
        found = {k.removeprefix(f"{self.name}/"): RECORDED[k] for k in RECORDED.files if k.startswith(f"{self.name}/")}
        assert found, f"no case {self.name!r}"
        return found

    def part(self, prefix):
        return {k.removeprefix(prefix): v for k, v in self.arrays.items() if k.startswith(prefix)}

    @property
    def inputs(self):
        return list(self.part("in").values())

    def model(self, dtype=np.float64):
        """Our layer with the recorded weights, all of which it must have."""
        if not isinstance(self.layer, nn.Module):
            return None
        assert self.layer.parameters().keys() == self.part("weight/").keys()
        return cl.tree_map(lambda v: v.astype(dtype), self.layer).replace(self.part("weight/"))

    def compute(self, model, *inputs):
        return self.call(model if isinstance(model, nn.Module) else self.layer, *inputs)


def _masked(layer, x, mask):
    return layer(x, mask=mask)


def _recurrent(kind):
    """The cases of one recurrent layer: one layer one way, two layers both ways."""
    for n, both in ((1, False), (2, True)):
        made = {output: kind(4, 3, layers=n, bidirectional=both, output=output) for output in ("all", "last")}
        name = f"{kind.__name__}, {n} layers"
        yield Case(name, made["all"])
        yield Case(f"{name}, lengths", made["all"], _masked)
        yield Case(f"{name}, last", made["last"], _masked)
    yield Case(f"{kind.__name__} of one step", kind(4, 3))


LAYERS = [
    Case("embedding", nn.Embedding(5, 3)),
    *(Case(f"bag {m}", nn.EmbeddingBag(5, 3, mode=m, padding=0)) for m in ("mean", "sum", "max")),
    *(Case(f"bag {m} without padding", nn.EmbeddingBag(5, 3, mode=m)) for m in ("mean", "sum", "max")),
    Case("bag weighted", nn.EmbeddingBag(5, 3, mode="sum")),
    Case("attention", nn.MultiHeadAttention(8, 2)),
    Case("attention causal", nn.MultiHeadAttention(8, 4, causal=True)),
    Case("attention lengths", nn.MultiHeadAttention(8, 2), _masked),
    Case("attention across", nn.MultiHeadAttention(6, 3)),
    Case(
        "attention grouped, rotary, causal",
        nn.MultiHeadAttention(8, 4, kv_heads=2, rotary=True, causal=True),
    ),
    Case("attention of one element", nn.MultiHeadAttention(8, 4, kv_heads=1)),
    Case("rotary", nn.rotary),
    Case("block, norm first", nn.TransformerBlock(8, 2, hidden=12)),
    Case("block, norm last", nn.TransformerBlock(8, 2, hidden=12, activation="relu", first=False)),
    Case("group norm, image", nn.GroupNorm(3, 6)),
    Case("group norm, sequence", nn.GroupNorm(3, 6, space=1)),
    Case("group norm, row", nn.GroupNorm(3, 6, space=0)),
    Case("group norm, volume", nn.GroupNorm(3, 6, space=3)),
    Case("instance norm", nn.InstanceNorm(5)),
    Case("instance norm, sequence", nn.InstanceNorm(5, space=1, affine=True, eps=1e-3)),
    Case("rms norm", nn.RMSNorm(6)),
    Case("weight norm", nn.WeightNorm(nn.Dense(4, 3))),
    Case("prelu 1", nn.PReLU()),
    Case("prelu 6", nn.PReLU(6)),
    Case("glu", nn.GLU()),
    Case("swiglu", nn.SwiGLU(4, 6, 3, bias=True)),
    Case("mish", nn.Activation("mish")),
    Case("hardsigmoid", nn.Activation("hard_sigmoid")),
    Case("hardtanh", nn.Activation("hard_tanh")),
    Case("hardswish", nn.Activation("hard_silu")),
    Case("softsign", nn.Activation("softsign")),
    *(case for kind in (nn.RNN, nn.LSTM, nn.GRU) for case in _recurrent(kind)),
    Case("nll", nn.nll),
    Case("kl", nn.kl_divergence),
    Case("hinge", lambda x, y: nn.hinge(x, y, margin=0.7)),
    Case("multi margin", lambda x, y: nn.multi_margin(x, y, margin=0.7)),
    Case("gaussian nll", nn.gaussian_nll),
    Case("cosine distance", nn.cosine_distance),
    Case("contrastive", lambda a, b, alike: nn.contrastive(a, b, alike, margin=2.5)),
    Case("triplet", nn.triplet),
    Case("label smoothing", lambda x, y: nn.cross_entropy(x, y, label_smoothing=0.1)),
    Case("conv1d", nn.Conv1d(3, 5, 4, stride=2, padding=1)),
    Case("conv2d", nn.Conv2d(3, 4, (3, 2))),
    Case("conv2d same", nn.Conv2d(2, 4, 3, padding="same")),
    Case("conv2d strided, dilated", nn.Conv2d(2, 3, (3, 2), stride=(2, 3), padding=(2, 1), dilation=(2, 1))),
    Case("conv2d groups", nn.Conv2d(4, 6, (2, 3), groups=2, padding=1)),
    Case("conv2d depthwise", nn.Conv2d(3, 6, 3, groups=3, padding=1)),
    Case("conv2d of one place", nn.Conv2d(2, 3, 1)),
    Case("conv3d", nn.Conv3d(2, 3, (2, 2, 3), padding=(0, 1, 1))),
    Case("conv transpose 1d", nn.ConvTranspose1d(3, 2, 4, stride=2, padding=1)),
    Case("conv transpose 2d", nn.ConvTranspose2d(2, 3, (3, 2), stride=2, padding=1, output_padding=1, dilation=2)),
    Case("conv transpose groups", nn.ConvTranspose2d(4, 2, 3, stride=(1, 2), groups=2)),
    Case("conv transpose 3d", nn.ConvTranspose3d(2, 1, 2, stride=2)),
    Case("max pool", nn.MaxPool(2)),
    Case("max pool, padded", nn.MaxPool(3, stride=2, padding=1)),
    Case("max pool, dilated", nn.MaxPool(2, space=1, stride=1, dilation=3)),
    Case("max pool of a volume", nn.MaxPool((1, 2, 2), space=3)),
    Case("avg pool", nn.AvgPool((2, 3), stride=1)),
    Case("avg pool, padded", nn.AvgPool(3, stride=2, padding=1)),
    Case("avg pool, padding left out", nn.AvgPool(3, space=1, stride=2, padding=1, count_padding=False)),
    Case("global mean", nn.GlobalPool()),
    Case("global max", nn.GlobalPool("max")),
    Case("adaptive mean", nn.AdaptivePool((3, 2))),
    Case("adaptive max", nn.AdaptivePool(4, mode="max", space=1)),
    Case("upsample", nn.Upsample((2, 3))),
    Case("upsample linear", nn.Upsample(3, mode="linear", space=1)),
    Case("upsample bilinear", nn.Upsample((2, 3), mode="linear")),
]
