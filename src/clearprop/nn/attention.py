"""Attention: `MultiHeadAttention`, and the block of a transformer around it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from clearprop.arrays.tensor import asarray
from clearprop.errors import ArgumentError, ShapeError, require_flag, unknown_name, user_line
from clearprop.nn.activations import as_layer
from clearprop.nn.argument_checks import require_fraction, require_size
from clearprop.nn.fields import static
from clearprop.nn.group_norms import RMSNorm
from clearprop.nn.initialisers import as_key
from clearprop.nn.layers import Dense, Dropout, Sequential
from clearprop.nn.module import Module
from clearprop.nn.norms import LayerNorm
from clearprop.nn.positions import causal_mask, rotary
from clearprop.rules import random
from clearprop.rules.elementwise import logical_and, where
from clearprop.rules.linear import matmul
from clearprop.rules.reductions import any, softmax
from clearprop.rules.structural import expand_dims, matrix_transpose, reshape, swapaxes
from clearprop.shapes import broadcast, same

_NORMS = {"layer": LayerNorm, "rms": RMSNorm}


class MultiHeadAttention(Module):
    """y = concat over heads of softmax(Q·Kᵀ/√d)·V, through a dense layer (Vaswani et al. 2017).

    query (…, queries, size), key and value (…, keys, size), y (…, queries, size); d = size/heads.  Q, K and V are dense
    layers of query, key and value, cut into heads; `layer(x)` attends to itself.

    size      the size of the last axes
    heads     how many heads there are; they divide size
    kv_heads  how many heads K and V have; each serves heads/kv_heads heads of Q (Ainslie et al. 2023).  None: heads
    causal    whether query i sees only the keys 0 … i
    rotary    whether Q and K are turned by their positions (`cl.nn.rotary`)
    dropout   the rate of `Dropout` of the attention weights, in training
    bias      whether the dense layers have one
    rng       a key of `cl.random` or a seed, from which the weights are drawn
    dtype     of all arrays

    `layer(query, key, value, mask=…)`: truth values of a shape that broadcasts to (…, queries, keys), the same for all
    heads; True: the query sees the key (`cl.nn.length_mask`, `cl.nn.causal_mask`).  What is masked has the weight 0 and
    gets no gradient; a key that no query sees may be anything, NaN too; a query that sees no key at all gets 0 from
    every head.

    Raises ArgumentError where the heads do not divide, ShapeError for other shapes and masks.

    >>> import clearprop as cl
    >>> layer = cl.nn.MultiHeadAttention(8, 2, causal=True)
    >>> layer
    MultiHeadAttention(
      query   Dense(8 → 8)  weight (8, 8), bias (8,)  72
      key     Dense(8 → 8)  weight (8, 8), bias (8,)  72
      value   Dense(8 → 8)  weight (8, 8), bias (8,)  72
      output  Dense(8 → 8)  weight (8, 8), bias (8,)  72
      288 parameters, float32
    )
    >>> layer(cl.ones((3, 5, 8))).shape
    (3, 5, 8)
    """

    query: Dense
    key: Dense
    value: Dense
    output: Dense
    size: int = static()
    heads: int = static()
    kv_heads: int = static()
    causal: bool = static(default=False)
    rotary: bool = static(default=False)
    dropout: float = static(default=0.0)

    def __init__(
        self,
        size: int,
        heads: int,
        *,
        kv_heads: int | None = None,
        causal: bool = False,
        rotary: bool = False,
        dropout: float = 0.0,
        bias: bool = True,
        rng: Any = 0,
        dtype: Any = np.float32,
    ) -> None:
        owner = "MultiHeadAttention"
        size, heads = require_size(owner, "size", size), require_size(owner, "heads", heads)
        served = heads if kv_heads is None else require_size(owner, "kv_heads", kv_heads)
        _require_heads(size, heads, served, rotary=require_flag(owner, "rotary", rotary))
        keys = [random.fold_in(as_key(rng), i) for i in range(4)]
        inner = size // heads * served
        super().__init__(
            query=Dense(size, size, bias=bias, rng=keys[0], dtype=dtype),
            key=Dense(size, inner, bias=bias, rng=keys[1], dtype=dtype),
            value=Dense(size, inner, bias=bias, rng=keys[2], dtype=dtype),
            output=Dense(size, size, bias=bias, rng=keys[3], dtype=dtype),
            size=size,
            heads=heads,
            kv_heads=served,
            causal=require_flag(owner, "causal", causal),
            rotary=rotary,
            dropout=require_fraction(owner, "dropout", dropout, 0.0),
        )

    def forward(self, query: Any, key: Any = None, value: Any = None, *, mask: Any = None) -> Any:
        """What each query reads from the values."""
        query = asarray(query)
        key = query if key is None else asarray(key)
        value = key if value is None else asarray(value)
        self._require_sequences(query, key, value)
        visible = self._visible(query, key, mask)
        if mask is not None:
            key, value = _without_hidden(mask, key, value)
        q = self._in_heads(self.query(query), self.heads)
        k, v = (self._in_heads(y, self.kv_heads) for y in (self.key(key), self.value(value)))
        if self.rotary:
            q, k = rotary(q), rotary(k)
        scores = self._for_queries(q * math.sqrt(self.heads / self.size), matrix_transpose(k))
        weights = Dropout(self.dropout)(self._weights(scores, visible))
        y = swapaxes(self._for_queries(weights, v), -3, -2)
        return self.output(reshape(y, (*y.shape[:-2], self.size)))

    def _in_heads(self, x: Any, heads: int) -> Any:
        """(…, length, heads·d) as (…, heads, length, d)."""
        return swapaxes(reshape(x, (*x.shape[:-1], heads, self.size // self.heads)), -3, -2)

    def _for_queries(self, a: Any, b: Any) -> Any:
        """The product of each head of the queries with the head of keys or values that serves it."""
        if self.kv_heads == self.heads:
            return matmul(a, b)
        grouped = reshape(a, (*a.shape[:-3], self.kv_heads, self.heads // self.kv_heads, *a.shape[-2:]))
        y = matmul(grouped, expand_dims(b, -3))
        return reshape(y, (*y.shape[:-4], self.heads, *y.shape[-2:]))

    def _weights(self, scores: Any, visible: Any) -> Any:
        """Softmax over the keys that are seen; selected once more, since softmax of nothing would be uniform."""
        if visible is None:
            return softmax(scores, axis=-1)
        seen = softmax(where(visible, scores, np.finfo(scores.dtype).min), axis=-1)
        return where(visible, seen, 0.0)

    def _visible(self, query: Any, key: Any, mask: Any) -> Any:
        """Which keys each query sees, for all heads; None for all."""
        shape = (query.shape[-2], key.shape[-2])
        causal = causal_mask(*shape) if self.causal else None
        if mask is None:
            return causal
        mask = asarray(mask)
        if mask.dtype.kind != "b":
            raise ArgumentError(
                f"{self.label()} takes truth values as its mask",
                expected="True where a query sees a key",
                got=f"{mask.dtype.name} of shape {mask.shape}",
                where=user_line(),
                try_="mask == 1; mask > -1, where what is added to the scores was meant",
            )
        if not _broadcasts(mask.shape, (*query.shape[:-2], *shape)):
            raise ShapeError(
                f"{self.label()} cannot use a mask of shape {mask.shape}",
                expected=f"a shape that broadcasts to {(*query.shape[:-2], *shape)}: (…, queries, keys)",
                got=f"shape {mask.shape}",
                where=user_line(),
                try_="cl.nn.length_mask(lengths, keys)[..., None, :]",
            )
        mask = mask if len(mask.shape) < 3 else expand_dims(mask, -3)
        return mask if causal is None else logical_and(mask, causal)

    def _require_sequences(self, *inputs: Any) -> None:
        query, key, value = (x.shape for x in inputs)
        fits = min(len(query), len(key), len(value)) >= 2 and len(query) == len(key) == len(value)
        if not fits or not all(map(same, key[:-1], value[:-1])) or not all(map(same, query[:-2], key[:-2])):
            raise ShapeError(
                f"{self.label()} cannot relate inputs of shapes {query}, {key} and {value}",
                expected="query (…, queries, size), key and value (…, keys, size), equal in all other axes",
                got=f"query {query}, key {key}, value {value}",
                where=user_line(),
            )
        if same(key[-2], 0):
            raise ShapeError(
                f"{self.label()} has nothing to read",
                expected="one key and value at the least; of hidden ones a query reads 0",
                got=f"key {key}, value {value}",
                where=user_line(),
                try_="a mask that hides what is not there",
            )

    def label(self) -> str:
        """`MultiHeadAttention(64, 4 heads)`."""
        served = f", {self.kv_heads} for keys" if self.kv_heads != self.heads else ""
        return f"MultiHeadAttention({self.size}, {self.heads} heads{served})"


class TransformerBlock(Module):
    """h = x + attention(norm₁(x)), y = h + feed(norm₂(h)), feed two dense layers (Vaswani et al. 2017).

    It is the form of Xiong et al. (2020).  With `first=False` normalisation stands behind the sums, as in the first
    transformers: h = norm₁(x + attention(x)), y = norm₂(h + feed(h)).  x and y (…, length, size).

    size        the size of x's last axis
    heads       how many heads the attention has
    hidden      the size between the two dense layers; None: 4·size
    activation  between them: a name of `cl.nn.ACTIVATIONS`, a module or a function
    norm        "layer" or "rms"
    first       whether normalisation stands before attention and feed
    dropout     the rate of `Dropout` of the attention weights, and of what is added to x and h
    kv_heads, causal, rotary, bias, rng, dtype  as in `MultiHeadAttention`

    >>> import clearprop as cl
    >>> block = cl.nn.TransformerBlock(16, 4, causal=True)
    >>> block(cl.ones((2, 5, 16))).shape, cl.nn.parameter_count(block)
    ((2, 5, 16), 3280)
    """

    attention: MultiHeadAttention
    norm1: Module
    norm2: Module
    feed: Sequential
    first: bool = static(default=True)
    dropout: float = static(default=0.0)

    def __init__(
        self,
        size: int,
        heads: int,
        *,
        hidden: int | None = None,
        activation: Any = "gelu",
        norm: str = "layer",
        first: bool = True,
        dropout: float = 0.0,
        kv_heads: int | None = None,
        causal: bool = False,
        rotary: bool = False,
        bias: bool = True,
        rng: Any = 0,
        dtype: Any = np.float32,
    ) -> None:
        owner = "TransformerBlock"
        size = require_size(owner, "size", size)
        hidden = 4 * size if hidden is None else require_size(owner, "hidden", hidden)
        if not isinstance(norm, str) or norm not in _NORMS:
            raise unknown_name("normalisation", norm, _NORMS, user_line())
        keys = [random.fold_in(as_key(rng), i) for i in range(3)]
        super().__init__(
            attention=MultiHeadAttention(
                size,
                heads,
                kv_heads=kv_heads,
                causal=causal,
                rotary=rotary,
                dropout=dropout,
                bias=bias,
                rng=keys[0],
                dtype=dtype,
            ),
            norm1=_NORMS[norm](size, dtype=dtype),
            norm2=_NORMS[norm](size, dtype=dtype),
            feed=Sequential(
                Dense(size, hidden, bias=bias, rng=keys[1], dtype=dtype),
                as_layer(activation),
                Dense(hidden, size, bias=bias, rng=keys[2], dtype=dtype),
            ),
            first=require_flag(owner, "first", first),
            dropout=float(dropout),
        )

    def forward(self, x: Any, *, mask: Any = None) -> Any:
        """The sequence after attention and feed."""
        x, drop = asarray(x), Dropout(self.dropout)
        if self.first:
            h = x + drop(self.attention(self.norm1(x), mask=mask))
            return h + drop(self.feed(self.norm2(h)))
        h = self.norm1(x + drop(self.attention(x, mask=mask)))
        return self.norm2(h + drop(self.feed(h)))


def _require_heads(size: int, heads: int, served: int, *, rotary: bool) -> None:
    if size % heads or heads % served:
        raise ArgumentError(
            "the heads of an attention do not divide",
            expected="heads that divide size, and kv_heads that divide heads",
            got=f"size = {size}, heads = {heads}" + (f", kv_heads = {served}" if served != heads else ""),
            where=user_line(),
        )
    if rotary and size // heads % 2:
        raise ArgumentError(
            "rotary positions turn pairs of numbers",
            expected="size/heads an even number",
            got=f"size = {size}, heads = {heads}: {size // heads} numbers in a head",
            where=user_line(),
        )


def _without_hidden(mask: Any, key: Any, value: Any) -> tuple[Any, Any]:
    """Keys and values with 0 for those that no query sees: the weight 0 times NaN would be NaN."""
    mask = asarray(mask)
    seen = expand_dims(mask if len(mask.shape) < 2 else any(mask, axis=-2), -1)
    held = where(seen, key, False)
    return held, held if value is key else where(seen, value, False)


def _broadcasts(shape: Any, to: Any) -> bool:
    """Whether the shape broadcasts to the other one, without making it larger."""
    if len(shape) > len(to):
        return False
    try:
        joint = broadcast(shape, to)
    except ValueError:
        return False
    return all(map(same, joint, to))
