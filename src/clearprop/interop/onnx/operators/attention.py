"""Attention, rotary positions, causal convolutions and linear attention of language models."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from clearprop.arrays import functions as f
from clearprop.arrays.tensor import asarray
from clearprop.errors import ArgumentError, unknown_name
from clearprop.interop.onnx.graph_values import checked_shape, dtype_of, known_numbers, rank, sizes
from clearprop.interop.onnx.operator_table import operator
from clearprop.interop.onnx.operators.logic import taken_dtype


def _heads(x: Any, heads: int | None) -> Any:
    """From (n, steps, heads·size) to (n, heads, steps, size)."""
    n, steps, width = sizes(x)
    if not heads or heads < 1 or width % heads:
        raise ArgumentError("the heads do not divide the numbers", expected=f"a divisor of {width}", got=str(heads))
    return f.permute_dims(f.reshape(x, (n, steps, heads, width // heads)), (0, 2, 1, 3))


def _without_heads(x: Any) -> Any:
    n, heads, steps, size = sizes(x)
    return f.reshape(f.permute_dims(x, (0, 2, 1, 3)), (n, steps, heads * size))


class _Mask:
    """Which keys a query sees (truth values, (…, queries, keys)), and what is added to its scores."""

    def __init__(self, queries: int, keys: int, kind: np.dtype[Any]) -> None:
        self.kind = kind
        self.rows, self.columns = np.arange(queries)[:, None], np.arange(keys)[None, :]
        self.bias: Any = np.zeros((queries, keys), kind)

    def add(self, mask: Any) -> None:
        """The mask of the model: truth values, or numbers to add; keys that it does not reach are not seen."""
        missing = self.columns.shape[1] - sizes(mask)[-1]
        if missing > 0:
            outside = False if dtype_of(mask).kind == "b" else -math.inf
            block = np.full((*sizes(mask)[:-1], missing), outside, dtype_of(mask))
            mask = f.concat([mask, block], axis=-1)
        if dtype_of(mask).kind == "b":
            self.allow(mask)
        else:
            self.bias = f.add(self.bias, mask)

    def allow(self, seen: Any) -> None:
        """Only what is seen here, too."""
        zero, outside = np.zeros((), self.kind), np.asarray(-math.inf, self.kind)
        self.bias = f.add(self.bias, f.where(seen, zero, outside))

    def blind(self) -> Any:
        """Queries that see no key."""
        return f.equal(f.max(self.bias, axis=-1, keepdims=True), -math.inf)


@operator("Attention", settings=(3, 6))
def attention(
    q: Any,
    k: Any,
    v: Any,
    mask: Any = None,
    past_key: Any = None,
    past_value: Any = None,
    nonpad_kv_seqlen: Any = None,
    *,
    is_causal: int = 0,
    kv_num_heads: int | None = None,
    left_window_size: int = -1,
    q_num_heads: int | None = None,
    qk_matmul_output_mode: int = 0,
    right_window_size: int = -1,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: int | None = None,
    outputs: int,
) -> Any:
    """Y = softmax(scale · Q Kᵀ + mask) V by heads (Vaswani et al. 2017), with grouped heads, caches and windows."""
    flat = rank(q) == 3
    if flat:
        q, k, v = _heads(q, q_num_heads), _heads(k, kv_num_heads), _heads(v, kv_num_heads)
    if past_key is not None:
        k, v = f.concat([past_key, k], axis=2), f.concat([past_value, v], axis=2)
    bias = _Mask(sizes(q)[2], sizes(k)[2], dtype_of(q))
    before = _keys_before(past_key, nonpad_kv_seqlen, sizes(q)[2])
    if mask is not None:
        bias.add(mask)
    if is_causal:
        bias.allow(bias.columns <= bias.rows + before)
    if left_window_size >= 0:
        bias.allow(bias.rows + before - bias.columns <= left_window_size)
    if right_window_size >= 0:
        bias.allow(bias.columns - bias.rows - before <= right_window_size)
    if nonpad_kv_seqlen is not None:
        bias.allow(bias.columns < known_numbers(nonpad_kv_seqlen, "the lengths").reshape(-1, 1, 1, 1))
    y, scores = _attend(q, k, v, bias, scale, softcap, softmax_precision, qk_matmul_output_mode)
    y = _without_heads(y) if flat else y
    return (y, k, v, scores)[:outputs] if outputs > 1 else y


def _keys_before(past_key: Any, lengths: Any, queries: int) -> Any:
    """How many keys stand before the first query: of the cache, or of each example's own."""
    if past_key is not None:
        return sizes(past_key)[2]
    return 0 if lengths is None else known_numbers(lengths, "the lengths").reshape(-1, 1, 1, 1) - queries


def _attend(
    q: Any, k: Any, v: Any, mask: _Mask, scale: float | None, softcap: float, precision: int | None, mode: int
) -> tuple[Any, Any]:
    """The answers, and the scores at the stage that `mode` names."""
    repeats = sizes(q)[1] // max(sizes(k)[1], 1)
    if repeats > 1:
        k, v = (f.repeat(x, repeats, axis=1) for x in (k, v))
    checked_shape([*sizes(q)[:3], sizes(k)[2]], "Attention")
    root = np.asarray(math.sqrt(1 / math.sqrt(sizes(q)[3]) if scale is None else scale), dtype_of(q))
    raw = f.matmul(q * root, f.permute_dims(k, (0, 1, 3, 2)) * root)
    capped = f.tanh(raw / softcap) * softcap if softcap > 0 else raw
    full = capped + mask.bias
    blind, exact = mask.blind(), full if precision is None else f.astype(full, taken_dtype(precision))
    weights = f.softmax(f.where(blind, f.zeros_like(exact), exact), axis=-1)
    weights = f.astype(f.where(blind, f.zeros_like(weights), weights), dtype_of(q))
    return f.matmul(weights, v), (raw if softcap <= 0 else capped, capped, full, weights)[mode]


@operator("RotaryEmbedding")
def rotary_embedding(
    x: Any,
    cos: Any,
    sin: Any,
    positions: Any = None,
    *,
    interleaved: int = 0,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
) -> Any:
    """Pairs of numbers turned by an angle that grows with the position (Su et al. 2021)."""
    flat = rank(x) == 3
    wide = f.permute_dims(_heads(x, num_heads) if flat else x, (0, 2, 1, 3))
    size = rotary_embedding_dim or sizes(wide)[3]
    if positions is not None:
        shape = sizes(positions)
        rows = f.reshape(positions, (-1,))
        cos, sin = (f.reshape(f.take(c, rows, axis=0), (*shape, sizes(c)[-1])) for c in (cos, sin))
    cos, sin = (f.expand_dims(c, axis=-2) for c in (cos, sin))
    turned, rest = asarray(wide)[..., :size], asarray(wide)[..., size:]
    first, second = (turned[..., ::2], turned[..., 1::2]) if interleaved else f.split(turned, 2, axis=-1)
    real, imaginary = cos * first - sin * second, sin * first + cos * second
    if interleaved:
        joined = f.reshape(f.stack([real, imaginary], axis=-1), sizes(turned))
    else:
        joined = f.concat([real, imaginary], axis=-1)
    y = f.permute_dims(f.concat([joined, rest], axis=-1), (0, 2, 1, 3))
    return _without_heads(y) if flat else y


@operator("CausalConvWithState")
def causal_conv_with_state(
    x: Any, w: Any, b: Any = None, past: Any = None, *, activation: str = "none", outputs: int = 1
) -> Any:
    """Each channel convolved with its own kernel over the steps before, which may come from an earlier call."""
    n, channels, _ = sizes(x)
    before = sizes(w)[2] - 1
    whole = f.concat([np.zeros((n, channels, before), dtype_of(x)) if past is None else past, x], axis=2)
    kernel = f.permute_dims(w, (2, 1, 0))
    y = f.permute_dims(f.conv(f.permute_dims(whole, (0, 2, 1)), kernel, groups=channels), (0, 2, 1))
    y = y if b is None else y + f.reshape(b, (-1, 1))
    if activation not in ("none", "silu", "swish"):
        raise unknown_name("activation", activation, ("none", "silu", "swish"))
    y = y if activation == "none" else f.silu(y)
    return y, asarray(whole)[:, :, sizes(whole)[2] - before :]


_RULES = {"linear": (False, False), "gated": (True, False), "delta": (False, True), "gated_delta": (True, True)}
"""Of each update of linear attention: whether the state decays, and whether it is corrected."""


@operator("LinearAttention")
def linear_attention(
    q: Any,
    k: Any,
    v: Any,
    past: Any = None,
    decay: Any = None,
    beta: Any = None,
    *,
    chunk_size: int = 64,
    kv_num_heads: int,
    q_num_heads: int,
    scale: float = 0.0,
    update_rule: str = "gated_delta",
) -> Any:
    """Attention as a state S that each step writes to and reads from: S ← e^g S + k (β (v - Sᵀk))ᵀ, y = scale · Sᵀq.

    Without decay g is 0; without correction what is written is k vᵀ (Katharopoulos et al. 2020; Yang et al. 2024).
    """
    if update_rule not in _RULES:
        raise unknown_name("update rule", update_rule, _RULES)
    gated, corrected = _RULES[update_rule]
    kind = dtype_of(q)
    queries, keys, values = _heads(q, q_num_heads), _heads(k, kv_num_heads), _heads(v, kv_num_heads)
    n, _, steps, size = sizes(queries)
    state = np.zeros((n, kv_num_heads, size, sizes(values)[3]), kind) if past is None else past
    decays = f.exp(_heads(decay, kv_num_heads)) if gated else None
    rates = f.expand_dims(f.permute_dims(beta, (0, 2, 1)), axis=-1) if corrected else None
    groups, answers = q_num_heads // kv_num_heads, []
    for i in range(steps):
        state = state if decays is None else state * f.expand_dims(asarray(decays)[:, :, i], axis=-1)
        key, value = f.expand_dims(asarray(keys)[:, :, i], axis=-1), asarray(values)[:, :, i]
        if rates is not None:
            value = asarray(rates)[:, :, i] * (value - f.sum(state * key, axis=2))
        state = state + key * f.expand_dims(value, axis=-2)
        read = f.repeat(state, groups, axis=1) if groups > 1 else state
        answers.append(f.sum(read * f.expand_dims(asarray(queries)[:, :, i], axis=-1), axis=2))
    y = f.stack(answers, axis=2) * (scale or 1 / math.sqrt(size))
    return f.astype(_without_heads(y), kind), state
