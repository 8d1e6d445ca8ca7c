"""A kernel as a C function of one address: that of a row of words, which hold the kernel's arguments.

Numba compiles the loop; the few instructions that read the row are put beside it, into the same unit, and the loop is
inlined into them.  A second compiled function for them (`numba.cfunc`) would cost as much time as the loop itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import callconv, compiler, fastmathpass, funcdesc, registry, targetconfig
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import register_pass
from numba.core.lowering import Lower
from numba.core.runtime import rtsys
from numba.core.typed_passes import NativeLowering

from clearprop.compiler.native.direct_lowering import KnownOperations, LeftToNumba, write_kernel
from clearprop.compiler.native.intrinsics import FLAGS, array_at

WORDS: dict[str, Any] = {
    "word": types.uint64,
    "f32": types.float32,
    "f64": types.float64,
    "i64": types.int64,
    "i32": types.int32,
    "u32": types.uint32,
    "u64": types.uint64,
    "u8": types.uint8,
    "b1": types.boolean,
}
"""What a word of the row holds: a whole number, or the address of an array of this dtype.

`number f32` is a number of this dtype itself, by its bits.
"""

OPTIONS: dict[str, Any] = {
    "_nrt": False,
    "error_model": "numpy",
    "fastmath": FLAGS,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": False,
    "nogil": True,
}


TEXT = "__text__"
"""The name by which a kernel module knows its own text."""


class CompiledKernel:
    """A compiled kernel.

    `address` is where it starts, `symbol` its name in `code`, the object file; `calls` are the functions that it needs
    from elsewhere.
    """

    def __init__(self, library: Any, symbol: str) -> None:
        self.library, self.symbol = library, symbol
        self.address = int(library.get_pointer_to_function(symbol))

    @property
    def calls(self) -> list[str]:
        """The names of the functions that the code calls and does not hold."""
        return [f.name for f in self.library._final_module.functions if f.is_declaration]  # Numba has no public name

    @property
    def code(self) -> bytes:
        """The object file."""
        return bytes(self.library._get_compiled_object())


def entry(*words: str, shared: bool = False) -> Callable[[Callable[..., None]], CompiledKernel]:
    """Decorator: compile a kernel whose arguments lie in a row of words of these kinds.

    Unless `shared`, no two arrays overlap, and nothing that the kernel calls writes into them.
    """
    arguments = tuple(map(_argument, words))

    def compiled(kernel: Callable[..., None]) -> CompiledKernel:
        with global_compiler_lock, _lean(registry.cpu_target.target_context):
            return _compile_with_entry(kernel, arguments, shared)

    return compiled


def _argument(word: str) -> Any:
    """The type of the kernel's argument that a word gives."""
    kind, _, number = word.rpartition(" ")
    if kind == "number":
        return WORDS[number]
    return WORDS[word] if word == "word" else types.Array(WORDS[word], 1, "C")


@contextmanager
def _lean(context: Any) -> Iterator[None]:
    """Before it compiles, Numba loads all that it knows, with SciPy's linear algebra; kernels need little of that.

    What others compile afterwards finds everything, since the context looks again each time.
    """

    def load() -> None:
        from numba.core import inline_closurecall, optional  # noqa: F401 - importing is what declares
        from numba.cpython import (  # noqa: F401 - likewise
            builtins,
            iterators,
            mathimpl,
            numbers,
            rangeobj,
            slicing,
            tupleobj,
        )
        from numba.np import arrayobj, npyimpl  # noqa: F401 - likewise

        rtsys.initialize(context)
        for declared in (npyimpl.registry, mathimpl.registry):
            context.install_registry(declared)

    context.load_additional_registries = load
    try:
        yield
    finally:
        del context.load_additional_registries


def load() -> None:
    """Load what compiling needs, which takes Numba longer than a kernel."""
    with global_compiler_lock, _lean(registry.cpu_target.target_context):
        _refresh()


def _refresh() -> None:
    registry.cpu_target.typing_context.refresh()
    registry.cpu_target.target_context.refresh()


def _compile_with_entry(kernel: Callable[..., None], arguments: tuple[Any, ...], shared: bool) -> CompiledKernel:
    target, flags = registry.cpu_target, compiler.Flags()
    target.options.parse_as_flags(flags, OPTIONS)
    flags.no_compile = True  # not before the entry is in
    flags.noalias = not shared
    with suppress(LeftToNumba):
        return _compile_directly(kernel, arguments, flags)
    made = compiler.compile_extra(
        target.typing_context, target.target_context, kernel, arguments, types.none, flags, {}, pipeline_class=_Pipeline
    )
    return CompiledKernel(made.library, made.fndesc.llvm_cfunc_wrapper_name)


@functools.cache
def _operations() -> KnownOperations:
    typing_context, context = registry.cpu_target.typing_context, registry.cpu_target.target_context
    _refresh()
    model = callconv.create_error_model(OPTIONS["error_model"], context)
    size = functools.cache(context.get_abi_sizeof)  # which LLVM is asked for by a module of its own
    return KnownOperations(typing_context, context.subtarget(error_model=model, get_abi_sizeof=size))


def _compile_directly(kernel: Callable[..., None], arguments: tuple[Any, ...], flags: Any) -> CompiledKernel:
    """The kernel from its text, without Numba's way through bytecode."""
    names = kernel.__globals__
    if TEXT not in names:
        raise LeftToNumba("a function whose text is not known")
    operations = _operations()
    context, codes = operations.context, kernel.__code__
    fndesc = funcdesc.PythonFunctionDescriptor(
        native=True, modname=kernel.__module__, qualname=kernel.__qualname__, unique_name=kernel.__qualname__,
        doc="", typemap=None, restype=types.none, calltypes=None, args=codes.co_varnames[: codes.co_argcount], kws=(),
        mangler=context.mangler, argtypes=arguments, noalias=flags.noalias, abi_tags=[flags.get_mangle_string()],
    )  # fmt: skip
    library = context.codegen().create_library(kernel.__qualname__)
    library.enable_object_caching()
    with targetconfig.ConfigStack().enter(flags), context.push_code_library(library):
        module = library.create_ir_module(fndesc.unique_name)
        function = context.declare_function(module, fndesc)
        write_kernel(operations, function, fndesc, names[TEXT], names)
        fastmathpass.rewrite_module(module, flags.fastmath)
        _add_entry(context, module, function, fndesc)
        function.linkage = "internal"
        library.add_ir_module(module)
        _show_alone(library, fndesc.llvm_cfunc_wrapper_name)
    return CompiledKernel(library, fndesc.llvm_cfunc_wrapper_name)


def _show_alone(library: Any, symbol: str) -> None:
    """Let other code find nothing in a library but this symbol, once it is ready.

    Numba numbers functions that were made in one place, as those of sine and cosine, in the order in which a process
    compiles them: in objects that two processes have made the same name stands for different functions, and whoever
    loads both would take the first for both.
    """
    finish = library._finalize_final_module

    def finish_alone() -> None:
        module = library._final_module
        for value in (*module.functions, *module.global_variables):
            if not value.is_declaration and value.name != symbol:
                value.linkage = "internal"
        finish()

    library._finalize_final_module = finish_alone


class _Pipeline(CompilerBase):  # type: ignore[misc]  # Numba has no types
    def define_pipelines(self) -> Any:
        """Numba's own pipeline, with the entry beside the function."""
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.passes = [(_KernelLowering if p is NativeLowering else p, why) for p, why in passes.passes]
        passes.finalize()
        return [passes]


class _Lower(Lower):  # type: ignore[misc]  # Numba has no types
    def create_cfunc_wrapper(self) -> None:
        """The entry in the place of Numba's wrapper, which would take the arguments themselves."""
        module = self.context.create_module("entry")
        _add_entry(self.context, module, self.context.declare_function(module, self.fndesc), self.fndesc)
        self.library.add_ir_module(module)
        self.library._final_module.get_function(self.fndesc.llvm_func_name).linkage = "internal"
        _show_alone(self.library, self.fndesc.llvm_cfunc_wrapper_name)


def _add_entry(context: Any, module: Any, callee: Any, fndesc: Any) -> None:
    """The C function of a row beside a kernel's function, which becomes a part of it."""
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [ir.IntType(64)]), fndesc.llvm_cfunc_wrapper_name)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    row = builder.inttoptr(function.args[0], ir.IntType(64).as_pointer())
    values = []
    for position, kind in enumerate(fndesc.argtypes):
        word = builder.load(builder.gep(row, [ir.Constant(ir.IntType(64), position)]))
        values.append(_value_of(context, builder, kind, word))
    context.call_conv.call_function(builder, callee, types.none, fndesc.argtypes, values)
    builder.ret_void()


def _value_of(context: Any, builder: Any, kind: Any, word: Any) -> Any:
    """The argument that stands in a word: the word itself, a number by its bits, or the array at an address."""
    if isinstance(kind, types.Array):
        return array_at(context, builder, kind, word)
    if not isinstance(kind, types.Float):
        return word
    return builder.bitcast(builder.trunc(word, ir.IntType(kind.bitwidth)), context.get_value_type(kind))


@register_pass(mutates_CFG=True, analysis_only=False)
class _KernelLowering(NativeLowering):  # type: ignore[misc]  # Numba has no types
    _name = "kernel_lowering"

    @property
    def lowering_class(self) -> Any:
        """The lowering that adds the entry."""
        return _Lower
