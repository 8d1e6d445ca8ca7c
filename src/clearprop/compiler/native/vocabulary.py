"""What the Numba spellings of elementwise primitives may call; known without importing Numba."""

from __future__ import annotations

VOCABULARY = frozenset(
    "abs acos acosh asin asinh atan atan2 atanh b1 ceil cos cosh erf exp expm1 f32 f64 floor i32 i64 isfinite log log10 "
    "log1p log2 maximum minimum normal_quantile power rint sign sin sinh sqrt tan tanh u32 u64 u8 uniform_float32 "
    "uniform_float64".split()
)
