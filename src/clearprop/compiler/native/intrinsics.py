"""What kernels are made of below Python: arrays at addresses, flagged arithmetic, calls by address.

Flags are per instruction.  Elementwise code is compiled with `contract` alone, which keeps the sign of zeros;
`accumulate` adds `reassoc` to the additions of a reduction, so that they vectorise, and to nothing else.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.extending import intrinsic

from clearprop.compiler.native import blas
from clearprop.compiler.native.loader import register_blas

FLAGS = {"contract"}

register_blas()  # by name, so that compiled code can be kept

_I64, _I32 = ir.IntType(64), ir.IntType(32)
_INT = ir.IntType(blas.integer_bits())


class NoAlias(CompilerBase):  # type: ignore[misc]  # Numba has no types
    """Array arguments of a kernel never overlap: the plan passes each buffer once."""

    def define_pipelines(self) -> Any:
        """Numba's own pipeline, with the flag set."""
        self.state.flags.noalias = True
        return [DefaultPassBuilder.define_nopython_pipeline(self.state)]


def array_at(context: Any, builder: Any, array: Any, address: Any) -> Any:
    """The array of this type whose data begin at an address; nobody asks for its size."""
    from numba.np import arrayobj

    out = context.make_array(array)(context, builder)
    size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(array.dtype)))
    huge = context.get_constant(types.intp, 1 << 48)
    arrayobj.populate_array(
        out,
        data=builder.inttoptr(address, out.data.type),
        shape=cgutils.pack_array(builder, [huge]),
        strides=cgutils.pack_array(builder, [size]),
        itemsize=size,
        meminfo=None,
    )
    return out._getvalue()


@intrinsic
def address(typing: Any, array: Any) -> Any:
    """The address of an array's data."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ptrtoint(context.make_array(signature.args[0])(context, builder, args[0]).data, _I64)

    return types.uint64(array), generate


def _wider(a: Any, b: Any) -> Any:
    if isinstance(a, types.Float) or isinstance(b, types.Float):
        return types.float64 if types.float64 in (a, b) else types.float32
    return types.int64


@intrinsic
def accumulate(typing: Any, total: Any, x: Any) -> Any:
    """total + x; in floating point the compiler may reorder a chain of these."""
    result = _wider(total, x)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b = (context.cast(builder, v, t, result) for v, t in zip(args, signature.args, strict=True))
        if isinstance(result, types.Float):
            return builder.fadd(a, b, flags=("reassoc", "contract"))
        return builder.add(a, b)

    return result(total, x), generate


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a·b + c with one rounding; float32 if all three are."""
    result = types.float32 if a == b == c == types.float32 else types.float64

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = [context.cast(builder, v, t, result) for v, t in zip(args, signature.args, strict=True)]
        ft = ir.FunctionType(values[0].type, [v.type for v in values])
        name = f"llvm.fma.f{result.bitwidth}"
        return builder.call(cgutils.get_or_insert_function(builder.module, ft, name), values)

    return result(a, b, c), generate


def _extremum(sign: str, fold: str = "") -> Any:
    """The extreme of two, or of a total and one more, which `fold` names: LLVM vectorises a chain of these."""

    @intrinsic
    def choose(typing: Any, a: Any, b: Any) -> Any:
        result = _wider(a, b)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            x, y = (context.cast(builder, v, t, result) for v, t in zip(args, signature.args, strict=True))
            if not isinstance(result, types.Float):
                return builder.select(builder.icmp_signed(sign, x, y), x, y)
            if not fold:  # of two zeros the second, as NumPy has it; NaN wins
                chosen = builder.select(builder.fcmp_ordered(sign, x, y), x, y)
                return builder.select(builder.fcmp_unordered("uno", x, x), x, chosen)
            kind = "f32" if result == types.float32 else "f64"
            signature_ir = ir.FunctionType(x.type, [x.type, x.type])
            f = cgutils.get_or_insert_function(builder.module, signature_ir, f"llvm.{fold}.{kind}")
            return builder.call(f, [x, y], fastmath=("nsz",))  # what is folded holds no −0

        return result(a, b), generate

    return choose


maximum, minimum = _extremum(">"), _extremum("<")
fold_maximum, fold_minimum = _extremum(">", "maximum"), _extremum("<", "minimum")


def _bitcast(source: Any, target: Any) -> Any:
    @intrinsic
    def cast(typing: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(
                context.cast(builder, args[0], signature.args[0], source), context.get_data_type(target)
            )

        return target(x), generate

    return cast


bits_of_f32, f32_of_bits = _bitcast(types.float32, types.int32), _bitcast(types.int32, types.float32)
bits_of_f64, f64_of_bits = _bitcast(types.float64, types.int64), _bitcast(types.int64, types.float64)


def _gemm(symbol: str, real: Any) -> Any:
    @intrinsic
    def gemm(
        typing: Any, ta: Any, tb: Any, m: Any, n: Any, k: Any, a: Any, lda: Any, b: Any, ldb: Any, c: Any, ldc: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            ta, tb, m, n, k, a, lda, b, ldb, c, ldc = args
            width = lambda v: v if _INT == _I64 else builder.trunc(v, _INT)  # noqa: E731 - two words of IR
            flag = lambda v: builder.add(_I32(111), builder.trunc(v, _I32))  # noqa: E731 - 111 no, 112 transposed
            ft = ir.FunctionType(
                ir.VoidType(), [_I32, _I32, _I32, _INT, _INT, _INT, real, _I64, _INT, _I64, _INT, real, _I64, _INT]
            )
            f = cgutils.get_or_insert_function(builder.module, ft, symbol)
            row_major = _I32(101)
            builder.call(
                f,
                [
                    row_major,
                    flag(ta),
                    flag(tb),
                    width(m),
                    width(n),
                    width(k),
                    real(1.0),
                    a,
                    width(lda),
                    b,
                    width(ldb),
                    real(0.0),
                    c,
                    width(ldc),
                ],
            )
            return context.get_dummy_value()

        return types.void(*([types.uint64] * 11)), generate

    return gemm


sgemm, dgemm = _gemm("clearprop_sgemm", ir.FloatType()), _gemm("clearprop_dgemm", ir.DoubleType())
private_sgemm = _gemm("clearprop_private_sgemm", ir.FloatType())
private_dgemm = _gemm("clearprop_private_dgemm", ir.DoubleType())


@intrinsic
def call(typing: Any, function: Any, row: Any) -> Any:
    """Call `void f(uint64)` at an address."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        ft = ir.FunctionType(ir.VoidType(), [_I64])
        builder.call(builder.inttoptr(args[0], ft.as_pointer()), [args[1]])
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64), generate


@intrinsic
def invoke(typing: Any, function: Any, a: Any, b: Any, c: Any) -> Any:
    """Call a function of the C library at an address with up to three words; the int that it returns."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        ft = ir.FunctionType(_I32, [_I64] * 3)
        return builder.call(builder.inttoptr(args[0], ft.as_pointer()), list(args[1:]))

    return types.int32(*([types.uint64] * 4)), generate


@intrinsic
def atomic_add(typing: Any, where: Any, value: Any) -> Any:
    """Add to an int64 at an address, atomically; the old value."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", builder.inttoptr(args[0], _I64.as_pointer()), args[1], "seq_cst")

    return types.int64(types.uint64, types.int64), generate


@intrinsic
def atomic_load(typing: Any, where: Any) -> Any:
    """Read an int64 at an address, ordered after what other threads wrote before it."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(builder.inttoptr(args[0], _I64.as_pointer()), "acquire", 8)

    return types.int64(types.uint64), generate


@intrinsic
def atomic_store(typing: Any, where: Any, value: Any) -> Any:
    """Write an int64 at an address, for other threads to see after what was written before it."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[1], builder.inttoptr(args[0], _I64.as_pointer()), "release", 8)
        return context.get_dummy_value()

    return types.void(types.uint64, types.int64), generate


@intrinsic
def compare_and_swap(typing: Any, where: Any, old: Any, new: Any) -> Any:
    """Replace an int64 at an address if it is `old`, atomically; whether it was."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = builder.inttoptr(args[0], _I64.as_pointer())
        return builder.extract_value(builder.cmpxchg(at, args[1], args[2], "seq_cst"), 1)

    return types.boolean(types.uint64, types.int64, types.int64), generate


@intrinsic
def now(typing: Any, clock: Any, where: Any) -> Any:
    """Nanoseconds of a clock that only goes on, by `clock_gettime`, which writes them at an address; 1 without one."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        ft = ir.FunctionType(_I32, [_I32, _I64])
        with builder.if_else(builder.icmp_unsigned("!=", args[0], _I64(0))) as (there, absent):
            with there:
                builder.call(builder.inttoptr(args[0], ft.as_pointer()), [_I32(1), args[1]])
                seconds = builder.load(builder.inttoptr(args[1], _I64.as_pointer()))
                rest = builder.load(builder.inttoptr(builder.add(args[1], _I64(8)), _I64.as_pointer()))
                found, from_there = builder.add(builder.mul(seconds, _I64(10**9)), rest), builder.block
            with absent:
                from_absent = builder.block
        result = builder.phi(_I64)
        result.add_incoming(found, from_there)
        result.add_incoming(_I64(1), from_absent)
        return result

    return types.int64(types.uint64, types.uint64), generate


@intrinsic
def yield_processor(typing: Any) -> Any:
    """Let another thread run."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        f = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_I32, []), "sched_yield")
        builder.call(f, [])
        return context.get_dummy_value()

    return types.void(), generate
