"""Records what PyTorch's layers and losses compute and which gradients they have, in float64, from given weights.

    pip install torch==2.13.0 numpy && python tests/nn/peers/make.py

writes `torch.npz` beside this file.  For every case: the arrays it is called with (`in0`, …), its weights in
clearprop's layout under clearprop's paths, its output, a cotangent, and the gradients of Σ cotangent · output.
"""

import math
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

torch.set_default_dtype(torch.float64)
RNG = np.random.default_rng(16)
RECORDED = {}


def numbers(*shape):
    return torch.tensor(RNG.normal(size=shape), requires_grad=True)


def record(name, call, inputs, weights=None):
    """`call(*inputs)` with its gradients; weights are `{path: leaf}` of tensors in clearprop's layout."""
    weights = weights or {}
    for leaf in (*inputs, *weights.values()):
        leaf.grad = None
    out = call(*inputs)
    ct = torch.tensor(RNG.normal(size=tuple(out.shape)))
    (out * ct).sum().backward()
    kept = {"out": out, "ct": ct}
    for i, leaf in enumerate(inputs):
        kept |= {f"in{i}": leaf} | ({f"grad/in{i}": leaf.grad} if leaf.requires_grad else {})
    for path, leaf in weights.items():
        kept |= {f"weight/{path}": leaf, f"grad/{path}": leaf.grad}
    assert not any(key in RECORDED for key in (f"{name}/{k}" for k in kept)), name
    RECORDED.update({f"{name}/{key}": value.detach().numpy() for key, value in kept.items() if value is not None})


def dense(*path, shape):
    """Weight and bias of a dense layer: (inputs, outputs) and (outputs,)."""
    prefix = ".".join(path)
    return {f"{prefix}.weight": numbers(*shape), f"{prefix}.bias": numbers(shape[1])}


def whole(*values):
    return torch.tensor(np.array(values))


# ------------------------------------------------------------------------------------------------- embeddings
IDS = whole([1, 3, 0, 2], [4, 0, 0, 1])


def embeddings():
    w = {"weight": numbers(5, 3)}
    record("embedding", lambda x: F.embedding(x, w["weight"]), [IDS], w)
    for mode in ("mean", "sum", "max"):
        w = {"weight": numbers(5, 3)}
        bag = lambda x, w=w, mode=mode: F.embedding_bag(x, w["weight"], mode=mode, padding_idx=0)
        record(f"bag {mode}", bag, [IDS], w)
        w = {"weight": numbers(5, 3)}
        bag = lambda x, w=w, mode=mode: F.embedding_bag(x, w["weight"], mode=mode)
        record(f"bag {mode} without padding", bag, [IDS], w)
    w = {"weight": numbers(5, 3)}
    weighted = lambda x, s: F.embedding_bag(x, w["weight"], mode="sum", per_sample_weights=s)
    record("bag weighted", weighted, [IDS, numbers(2, 4)], w)


# ------------------------------------------------------------------------------------------------- attention
def heads(x, n):
    return x.unflatten(-1, (n, -1)).transpose(-3, -2)


def attention(w, q, k, v, n, prefix="", served=None, mask=None, turn=lambda x: x):
    """`nn.MultiheadAttention` by `F.scaled_dot_product_attention`, which takes grouped heads as well."""
    lin = lambda x, name: x @ w[f"{prefix}{name}.weight"] + w[f"{prefix}{name}.bias"]
    q, k, v = heads(lin(q, "query"), n), heads(lin(k, "key"), served or n), heads(lin(v, "value"), served or n)
    mask = mask.unsqueeze(-3) if mask is not None and mask.dim() > 2 else mask
    y = F.scaled_dot_product_attention(turn(q), turn(k), v, attn_mask=mask, enable_gqa=served is not None)
    return lin(y.transpose(-3, -2).flatten(-2), "output")


def attention_weights(size, inner=None, prefix=()):
    inner = inner or size
    shapes = {"query": (size, size), "key": (size, inner), "value": (size, inner), "output": (size, size)}
    return {p: v for name, shape in shapes.items() for p, v in dense(*prefix, name, shape=shape).items()}


def turned(x):
    """Rotary positions as a product of complex numbers: pairs (i, i + n/2)."""
    n = x.shape[-1] // 2
    angles = torch.arange(x.shape[-2])[:, None] * 10_000.0 ** (-torch.arange(n) / n)
    z = torch.complex(x[..., :n], x[..., n:]) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([z.real, z.imag], dim=-1)


def attentions():
    below = torch.ones(5, 5, dtype=torch.bool).tril()
    lengths = (torch.arange(5) < torch.tensor([[3], [5]]))[:, None, :]
    own = nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        own.in_proj_bias.normal_()
        own.out_proj.bias.normal_()
    w = attention_weights(8)
    with torch.no_grad():  # the peer's own layer, whose weights are (outputs, inputs), three of them in one
        for name, matrix, bias in zip(
            ("query", "key", "value"), own.in_proj_weight.chunk(3), own.in_proj_bias.chunk(3), strict=True
        ):
            w[f"{name}.weight"].copy_(matrix.T)
            w[f"{name}.bias"].copy_(bias)
        w["output.weight"].copy_(own.out_proj.weight.T)
        w["output.bias"].copy_(own.out_proj.bias)
    x = numbers(2, 5, 8)
    record("attention", lambda x: attention(w, x, x, x, 2), [x], w)
    assert torch.allclose(own(x, x, x)[0], attention(w, x, x, x, 2), atol=1e-12)
    assert torch.allclose(own(x, x, x, attn_mask=~below)[0], attention(w, x, x, x, 2, mask=below), atol=1e-12)
    w = attention_weights(8)
    record("attention causal", lambda x: attention(w, x, x, x, 4, mask=below), [numbers(2, 5, 8)], w)
    w = attention_weights(8)
    record("attention lengths", lambda x, m: attention(w, x, x, x, 2, mask=m), [numbers(2, 5, 8), lengths], w)
    w = attention_weights(6)
    three = [numbers(3, 4, 6), numbers(3, 7, 6), numbers(3, 7, 6)]
    record("attention across", lambda q, k, v: attention(w, q, k, v, 3), three, w)
    w = attention_weights(8, 4)
    call = lambda x: attention(w, x, x, x, 4, served=2, mask=below, turn=turned)
    record("attention grouped, rotary, causal", call, [numbers(2, 5, 8)], w)
    w = attention_weights(8, 2)
    record("attention of one element", lambda x: attention(w, x, x, x, 4, served=1), [numbers(1, 1, 8)], w)
    record("rotary", turned, [numbers(3, 4, 6)])


def blocks():
    for name, first, act in (("first", True, "gelu"), ("last", False, "relu")):
        w = attention_weights(8, prefix=("attention",))
        w |= {f"norm{i}.{p}": numbers(8) for i in (1, 2) for p in ("scale", "offset")}
        w |= dense("feed.layers[0]", shape=(8, 12)) | dense("feed.layers[2]", shape=(12, 8))
        peer = nn.TransformerEncoderLayer(8, 2, 12, 0.0, act, batch_first=True, norm_first=first)
        state = {
            "self_attn.in_proj_weight": torch.cat([w[f"attention.{n}.weight"].T for n in ("query", "key", "value")]),
            "self_attn.in_proj_bias": torch.cat([w[f"attention.{n}.bias"] for n in ("query", "key", "value")]),
            "self_attn.out_proj.weight": w["attention.output.weight"].T,
            "self_attn.out_proj.bias": w["attention.output.bias"],
            "linear1.weight": w["feed.layers[0].weight"].T,
            "linear1.bias": w["feed.layers[0].bias"],
            "linear2.weight": w["feed.layers[2].weight"].T,
            "linear2.bias": w["feed.layers[2].bias"],
            "norm1.weight": w["norm1.scale"],
            "norm1.bias": w["norm1.offset"],
            "norm2.weight": w["norm2.scale"],
            "norm2.bias": w["norm2.offset"],
        }
        call = lambda x, peer=peer, state=state: torch.func.functional_call(peer, state, (x,))
        record(f"block, norm {name}", call, [numbers(2, 5, 8)], w)


# ----------------------------------------------------------------------------------- normalisation and gates
def channels_first(f):
    return lambda x: f(x.movedim(-1, 1)).movedim(1, -1)


def affine(size):
    return {"scale": numbers(size), "offset": numbers(size)}


def norms():
    for name, shape in (("image", (2, 3, 4, 6)), ("sequence", (2, 5, 6)), ("row", (3, 6)), ("volume", (2, 1, 2, 3, 6))):
        w = affine(6)
        norm = lambda x, w=w: F.group_norm(x, 3, w["scale"], w["offset"], eps=1e-5)
        record(f"group norm, {name}", channels_first(norm), [numbers(*shape)], w)
    record("instance norm", channels_first(lambda x: F.instance_norm(x, eps=1e-5)), [numbers(2, 3, 4, 5)])
    w = affine(5)
    norm = lambda x: F.instance_norm(x, weight=w["scale"], bias=w["offset"], eps=1e-3)
    record("instance norm, sequence", channels_first(norm), [numbers(2, 3, 5)], w)
    w = {"scale": numbers(6)}
    record("rms norm", lambda x: F.rms_norm(x, (6,), w["scale"], eps=1e-6), [numbers(2, 3, 6)], w)
    w = {"scale": numbers(3), "layer.weight": numbers(4, 3), "layer.bias": numbers(3)}
    normed = lambda x: F.linear(x, torch._weight_norm(w["layer.weight"].T, w["scale"][:, None], 0), w["layer.bias"])
    record("weight norm", normed, [numbers(5, 4)], w)


def gates():
    for size in (1, 6):
        w = {"slope": numbers(size)}
        prelu = lambda x, w=w: F.prelu(x.reshape(-1, 6), w["slope"]).reshape(x.shape)
        record(f"prelu {size}", prelu, [numbers(2, 3, 6)], w)
    record("glu", F.glu, [numbers(2, 6)])
    w = dense("gate", shape=(4, 6)) | dense("value", shape=(4, 6)) | dense("output", shape=(6, 3))
    lin = lambda x, name: x @ w[f"{name}.weight"] + w[f"{name}.bias"]
    record("swiglu", lambda x: lin(F.silu(lin(x, "gate")) * lin(x, "value"), "output"), [numbers(2, 4)], w)
    spread = torch.tensor(np.linspace(-7.3, 7.1, 24).reshape(4, 6), requires_grad=True)
    for name in ("mish", "hardtanh", "hardswish", "softsign"):
        record(name, getattr(F, name), [spread])
    record("hardsigmoid", lambda x: F.relu6(x + 3) / 6, [spread])  # F.hardsigmoid's slope is a sixth in float32


# ------------------------------------------------------------------------------------------------ recurrent
def recurrent_weights(kind, inputs, size, layers, ways):
    """Our weights and what the peer calls them: it has (outputs, inputs), and two biases for our one."""
    parts, ours, peers = {"RNN": 1, "LSTM": 4, "GRU": 3}[kind], {}, {}
    for i in range(layers * ways):
        taken = inputs if i < ways else ways * size
        w = {
            "weight": numbers(taken, parts * size),
            "recurrent": numbers(size, parts * size),
            "bias": numbers(parts * size),
        }
        hidden = torch.zeros(parts * size)
        if kind == "GRU":
            w["hidden_bias"] = numbers(size)
            hidden = torch.cat([torch.zeros(2 * size), w["hidden_bias"]])
        end = f"l{i // ways}" + ("_reverse" if i % ways else "")
        peers |= {f"weight_ih_{end}": w["weight"].T, f"weight_hh_{end}": w["recurrent"].T}
        peers |= {f"bias_ih_{end}": w["bias"], f"bias_hh_{end}": hidden}
        ours |= {f"cells[{i}].{name}": value for name, value in w.items()}
    return ours, peers


def recurrents():
    lengths = torch.tensor([3, 5, 1])
    mask = torch.arange(5) < lengths[:, None]
    pad = nn.utils.rnn.pad_packed_sequence

    def packed(x):
        return nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)

    for kind in ("RNN", "LSTM", "GRU"):
        for layers, ways in ((1, 1), (2, 2)):
            w, state = recurrent_weights(kind, 4, 3, layers, ways)
            peer = getattr(nn, kind)(4, 3, layers, batch_first=True, bidirectional=ways == 2)
            call = lambda x, peer=peer, state=state: torch.func.functional_call(peer, state, (x,))
            record(f"{kind}, {layers} layers", lambda x, call=call: call(x)[0], [numbers(2, 5, 4)], w)
            all_of_it = lambda x, _, call=call: pad(call(packed(x))[0], batch_first=True, total_length=5)[0]
            record(f"{kind}, {layers} layers, lengths", all_of_it, [numbers(3, 5, 4), mask], w)

            def last(x, _, call=call, ways=ways, kind=kind):
                state = call(packed(x))[1]
                return torch.cat(list((state[0] if kind == "LSTM" else state)[-ways:]), dim=-1)

            record(f"{kind}, {layers} layers, last", last, [numbers(3, 5, 4), mask], w)
        w, state = recurrent_weights(kind, 4, 3, 1, 1)
        peer = getattr(nn, kind)(4, 3, batch_first=True)
        call = lambda x, peer=peer, state=state: torch.func.functional_call(peer, state, (x,))
        record(f"{kind} of one step", lambda x, call=call: call(x)[0], [numbers(1, 1, 4)], w)


# ---------------------------------------------------------------------------------------------------- losses
def losses():
    labels, pairs = whole(2, 0, 1, 1), whole(1, 0, 1, 0)
    record("nll", lambda x, y: F.nll_loss(x, y), [numbers(4, 3), labels])
    target = torch.softmax(torch.tensor(RNG.normal(size=(4, 3))), dim=-1).requires_grad_()
    kl = lambda x, p: F.kl_div(x, p, reduction="batchmean")
    record("kl", kl, [numbers(4, 3), target])
    record("hinge", lambda x, y: F.relu(0.7 - (2 * y - 1) * x).mean(), [numbers(4), pairs])
    record("multi margin", lambda x, y: F.multi_margin_loss(x, y, margin=0.7), [numbers(4, 3), labels])
    variance = torch.tensor(RNG.uniform(0.2, 3, size=(4, 2)), requires_grad=True)
    record("gaussian nll", F.gaussian_nll_loss, [numbers(4, 2), numbers(4, 2), variance])
    cosine = lambda a, b: (1 - F.cosine_similarity(a, b)).mean()
    record("cosine distance", cosine, [numbers(4, 3), numbers(4, 3)])

    def contrastive(a, b, alike):
        d = F.pairwise_distance(a, b)
        return (alike * d**2 + (1 - alike) * F.relu(2.5 - d) ** 2).mean()

    record("contrastive", contrastive, [numbers(4, 3), numbers(4, 3), pairs])
    record("triplet", F.triplet_margin_loss, [numbers(4, 3), numbers(4, 3), numbers(4, 3)])
    smooth = lambda x, y: F.cross_entropy(x, y, label_smoothing=0.1)
    record("label smoothing", smooth, [numbers(4, 3), labels])


# ---------------------------------------------------------------------------------------- convolutions and pools
def convolutions():
    rows = {
        "conv1d": ((2, 9, 3), (4,), 5, {"stride": 2, "padding": 1}),
        "conv2d": ((2, 6, 7, 3), (3, 2), 4, {}),
        "conv2d same": ((2, 5, 7, 2), (3, 3), 4, {"padding": "same"}),
        "conv2d strided, dilated": ((1, 9, 8, 2), (3, 2), 3, {"stride": (2, 3), "padding": (2, 1), "dilation": (2, 1)}),
        "conv2d groups": ((2, 5, 5, 4), (2, 3), 6, {"groups": 2, "padding": 1}),
        "conv2d depthwise": ((2, 5, 5, 3), (3, 3), 6, {"groups": 3, "padding": 1}),
        "conv2d of one place": ((1, 1, 1, 2), (1, 1), 3, {}),
        "conv3d": ((1, 3, 4, 5, 2), (2, 2, 3), 3, {"padding": (0, 1, 1)}),
    }
    for name, (shape, kernel, outputs, options) in rows.items():
        groups = options.get("groups", 1)
        w = {"weight": numbers(*kernel, shape[-1] // groups, outputs), "bias": numbers(outputs)}
        peer = getattr(F, f"conv{len(kernel)}d")
        call = lambda x, w=w, peer=peer, o=options: peer(x, w["weight"].movedim((-1, -2), (0, 1)), w["bias"], **o)
        record(name, channels_first(call), [numbers(*shape)], w)
    rows = {
        "conv transpose 1d": ((2, 5, 3), (4,), 2, {"stride": 2, "padding": 1}),
        "conv transpose 2d": ((2, 3, 4, 2), (3, 2), 3, {"stride": 2, "padding": 1, "output_padding": 1, "dilation": 2}),
        "conv transpose groups": ((1, 3, 4, 4), (3, 3), 2, {"stride": (1, 2), "groups": 2}),
        "conv transpose 3d": ((1, 2, 2, 3, 2), (2, 2, 2), 1, {"stride": 2}),
    }
    for name, (shape, kernel, outputs, options) in rows.items():
        w = {"weight": numbers(*kernel, outputs // options.get("groups", 1), shape[-1]), "bias": numbers(outputs)}
        peer = getattr(F, f"conv_transpose{len(kernel)}d")
        call = lambda x, w=w, peer=peer, o=options: peer(x, w["weight"].movedim((-1, -2), (0, 1)), w["bias"], **o)
        record(name, channels_first(call), [numbers(*shape)], w)


def pools():
    rows = {
        "max pool": (F.max_pool2d, {"kernel_size": 2}, (2, 6, 7, 3)),
        "max pool, padded": (F.max_pool2d, {"kernel_size": 3, "stride": 2, "padding": 1}, (2, 5, 6, 3)),
        "max pool, dilated": (F.max_pool1d, {"kernel_size": 2, "stride": 1, "dilation": 3}, (2, 9, 3)),
        "max pool of a volume": (F.max_pool3d, {"kernel_size": (1, 2, 2)}, (1, 2, 4, 4, 2)),
        "avg pool": (F.avg_pool2d, {"kernel_size": (2, 3), "stride": 1}, (2, 4, 5, 2)),
        "avg pool, padded": (F.avg_pool2d, {"kernel_size": 3, "stride": 2, "padding": 1}, (2, 5, 5, 2)),
        "avg pool, padding left out": (
            F.avg_pool1d, {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}, (2, 6, 2)
        ),
        "global mean": (lambda x: x.mean((-1, -2), keepdim=True), {}, (2, 3, 4, 2)),
        "global max": (lambda x: x.amax((-1, -2), keepdim=True), {}, (2, 3, 4, 2)),
        "adaptive mean": (F.adaptive_avg_pool2d, {"output_size": (3, 2)}, (2, 7, 5, 2)),
        "adaptive max": (F.adaptive_max_pool1d, {"output_size": 4}, (2, 6, 2)),
        "upsample": (F.interpolate, {"scale_factor": (2, 3), "mode": "nearest"}, (2, 3, 2, 2)),
        "upsample linear": (F.interpolate, {"scale_factor": 3, "mode": "linear"}, (2, 4, 2)),
        "upsample bilinear": (F.interpolate, {"scale_factor": (2, 3), "mode": "bilinear"}, (2, 3, 4, 2)),
    }  # fmt: skip
    for name, (pool, options, shape) in rows.items():
        call = channels_first(lambda x, pool=pool, options=options: pool(x, **options))
        flat = (lambda x, call=call: call(x)[:, 0, 0]) if name.startswith("global") else call
        record(name, flat, [numbers(*shape)])


for family in (embeddings, attentions, blocks, norms, gates, recurrents, losses, convolutions, pools):
    family()
np.savez_compressed(Path(__file__).with_name("torch.npz"), **RECORDED)
print(
    len({name.split("/")[0] for name in RECORDED}),
    "cases;",
    math.ceil(sum(v.nbytes for v in RECORDED.values()) / 1024),
    "KB",
)
