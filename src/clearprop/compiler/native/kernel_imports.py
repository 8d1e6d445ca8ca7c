"""The names that generated kernel modules import."""
# ruff: noqa: F401 - the names are for generated modules

from __future__ import annotations

from math import inf, nan

from numba import njit

from clearprop.compiler.native.intrinsics import (
    FLAGS,
    NoAlias,
    accumulate,
    address,
    atomic_add,
    atomic_load,
    atomic_store,
    call,
    compare_and_swap,
    dgemm,
    fold_maximum,
    fold_minimum,
    invoke,
    maximum,
    minimum,
    now,
    private_dgemm,
    private_sgemm,
    sgemm,
    yield_processor,
)
from clearprop.compiler.native.kernel_abi import entry
from clearprop.compiler.native.math_functions import *  # noqa: F403 - the vocabulary of the spellings
from clearprop.compiler.native.math_functions import f32, f64, i32, i64, u8, u32, u64
from clearprop.compiler.native.special_functions import (
    special_beta,
    special_betainc,
    special_betaln,
    special_erfc,
    special_erfcx,
    special_erfinv,
    special_gammainc,
    special_gammaincc,
    special_i0,
    special_i0e,
    special_i1,
    special_i1e,
    special_inverse_mills,
    special_lgamma,
    special_log_ndtr,
    special_ndtr,
    special_ndtri,
    special_polygamma,
    special_zeta,
)
from clearprop.compiler.native.vectors import (
    add_dots,
    add_dots_first,
    add_each_by,
    add_each_by_first,
    add_outer,
    add_outer_by,
    add_outer_by_first,
    add_outer_first,
    add_rows_by,
    add_tile,
    add_tile_first,
    copy_bytes,
    keep_dots,
    keep_tile,
    keep_tile_first,
    sum_tile,
    sum_tile_first,
    turn_block_f32,
    turn_block_f64,
    zero_bytes,
    zero_tile_f32,
    zero_tile_f64,
)

KERNEL = {
    "_nrt": False,
    "error_model": "numpy",
    "fastmath": FLAGS,
    "no_cpython_wrapper": True,
    "nogil": True,
    "pipeline_class": NoAlias,
}
