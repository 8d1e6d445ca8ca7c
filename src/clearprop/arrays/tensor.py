"""`Tensor`: the one array class, immutable except for `.grad`."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from clearprop.arrays.backward import backward
from clearprop.arrays.data_types import require_cpu
from clearprop.arrays.number_refusals import (
    NoLengthError,
    detached_number,
    format_number,
    many_numbers,
    traced_number,
    whole_number,
)
from clearprop.arrays.numpy_protocol import FUNCTIONS, apply_function, apply_ufunc
from clearprop.arrays.operators import Operators
from clearprop.arrays.tensor_text import tensor_text
from clearprop.autodiff.reverse import is_followed
from clearprop.errors import ArgumentError, DTypeError, GradientError, checked_call, user_line
from clearprop.program.ir import STACK, Var, builder
from clearprop.program.operands import admit, as_program_has_it, checked_dtype, complex_error
from clearprop.program.types import PYTHON_SCALARS, Axes, Params, Value, dtype_of, is_complex, is_floating, type_of
from clearprop.program.values import RECORDING, Node, raw
from clearprop.rules import elementwise as ew
from clearprop.rules import indexing, joining, linear, reductions, structural
from clearprop.rules.checking import with_refusals
from clearprop.rules.indexing import Key
from clearprop.rules.on_demand import late_method
from clearprop.shapes import Shape, size_of

if TYPE_CHECKING:
    from clearprop.rules.on_demand.scattering import Places

_method = functools.partial(with_refusals, home="cl.Tensor")


class Tensor(Operators):
    """An array, a number, or a variable of the program being traced, with its history on the tape.

    Made by `cl.tensor` (copies) or `cl.asarray` (shares memory).  It never changes: `+=` and item assignment
    raise; the update of a parameter is `w = w.updated(-lr * w.grad)`.

    >>> import clearprop as cl
    >>> w = cl.tensor([1.0, 2.0], name="w", requires_grad=True)
    >>> cl.sum(w * w).backward()
    >>> w.grad
    Tensor([2.0, 4.0])
    >>> w.updated(-0.1 * w.grad)
    Tensor([0.8, 1.6], name='w', requires_grad=True)
    """

    __slots__ = ()
    __hash__ = object.__hash__
    __array_priority__ = 1000

    # ---------------------------------------------------------------------------------------- what it is
    @property
    def shape(self) -> tuple[Any, ...]:
        """The sizes of the axes; symbolic while a compiled function is traced."""
        return () if type(self.value) in PYTHON_SCALARS else self.value.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The data type."""
        return dtype_of(self.value)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> Any:
        """The number of elements."""
        return size_of(self.shape)

    @property
    def type(self) -> Any:
        """Shape, dtype and weakness as one value."""
        return type_of(self.value)

    @property
    def is_traced(self) -> bool:
        """Whether it stands for a variable of a program instead of holding numbers."""
        return isinstance(self.value, Var)

    # ------------------------------------------------------------------------------------ differentiation
    @checked_call
    def backward(self) -> None:
        """Compute ∂self/∂leaf for every leaf with `requires_grad` and add it to the leaf's `.grad`.

        Raises GradientError if self is not a scalar, has no history, or was already swept.
        """
        backward(self)

    @checked_call
    def detach(self) -> Tensor:
        """The same values without history."""
        around = builder() if self.is_traced else None
        return ew.stop_gradient(self) if around is not None and around.differentiated else Tensor(self.value)

    @_method
    def updated(self, change: Value) -> Tensor:
        """A new leaf of the same name with `change` added and no gradient: w ← w + change.

        >>> import clearprop as cl
        >>> w = cl.tensor([1.0, 2.0], name="w", requires_grad=True)
        >>> w.updated(-0.5)
        Tensor([0.5, 1.5], name='w', requires_grad=True)
        """
        step = change.detach() if isinstance(change, Tensor) else change
        new: Tensor = ew.add(self.detach(), step)
        if new.dtype != self.dtype:
            new = ew.astype(new, dtype=self.dtype)
        new.name, new.requires_grad = self.name, self.requires_grad
        return new

    # ---------------------------------------------------------------------------------------- as numbers
    @_method
    def numpy(self) -> np.ndarray[Any, Any]:
        """The values as a NumPy array (a read-only view)."""
        return self.__array__()

    @_method
    def item(self) -> Any:
        """The value of a one-element tensor as a Python number."""
        self._require_constant("item()")
        self._require_one("item()")
        return self.value if type(self.value) in PYTHON_SCALARS else self.value.item()

    @_method
    def tolist(self) -> Any:
        """The values as nested Python lists."""
        return self.numpy().tolist()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        self._require_constant("np.asarray(x)")
        out = np.asarray(self.value) if dtype is None else np.asarray(self.value, dtype)
        if copy:
            return out.copy()
        view = out.view()
        view.flags.writeable = False
        return view

    def _require_values(self, what: str) -> None:
        if isinstance(self.value, Var):
            raise traced_number(what, self.value.type)

    def _require_constant(self, what: str) -> None:
        """Numbers carry no history: what a transform follows is not made numbers without a word."""
        self._require_values(what)
        if is_followed(self):
            raise detached_number(what, self.shape)

    def _require_one(self, what: str) -> None:
        if self.size != 1:
            raise many_numbers(what, self.shape)

    def _require_real(self, what: str) -> None:
        if is_complex(self.dtype):
            raise complex_error(self.dtype, f"{what} would drop the imaginary part")

    def __bool__(self) -> bool:
        self._require_values("if x")
        self._require_one("if x")
        return bool(self.value)

    def __float__(self) -> float:
        self._require_constant("float(x)")
        self._require_one("float(x)")
        self._require_real("float(x)")
        return float(np.reshape(self.value, ()))

    def __int__(self) -> int:
        self._require_constant("int(x)")
        self._require_one("int(x)")
        self._require_real("int(x)")
        return whole_number("int(x)", np.reshape(self.value, ()), int)

    def __complex__(self) -> complex:
        self._require_constant("complex(x)")
        self._require_one("complex(x)")
        return complex(np.reshape(self.value, ()))

    def __len__(self) -> int:
        if not self.shape:
            raise NoLengthError()
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        for i in range(len(self)):
            yield self[i]

    def __repr__(self) -> str:
        return tensor_text(self)

    def __format__(self, spec: str) -> str:
        self._require_values("item()")
        return format_number(self.detach().tolist(), self.shape, spec) if spec else repr(self)

    # ------------------------------------------------------------------------------------------ operators
    def __add__(self, other: Value) -> Tensor:
        return ew.add(self, other)

    def __radd__(self, other: Value) -> Tensor:
        return ew.add(other, self)

    def __sub__(self, other: Value) -> Tensor:
        return ew.subtract(self, other)

    def __rsub__(self, other: Value) -> Tensor:
        return ew.subtract(other, self)

    def __mul__(self, other: Value) -> Tensor:
        return ew.multiply(self, other)

    def __rmul__(self, other: Value) -> Tensor:
        return ew.multiply(other, self)

    def __truediv__(self, other: Value) -> Tensor:
        return ew.divide(self, other)

    def __rtruediv__(self, other: Value) -> Tensor:
        return ew.divide(other, self)

    def __pow__(self, other: Value, modulo: Any = None) -> Tensor:
        self._require_no_modulo(modulo)
        return ew.pow(self, other)

    def __rpow__(self, other: Value) -> Tensor:
        return ew.pow(other, self)

    def __neg__(self) -> Tensor:
        return ew.negative(self)

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return ew.abs(self)

    def __matmul__(self, other: Value) -> Tensor:
        return linear.matmul(self, other) if isinstance(other, Node) else FUNCTIONS["matmul"](self, other)

    def __rmatmul__(self, other: Value) -> Tensor:
        return linear.matmul(other, self) if isinstance(other, Node) else FUNCTIONS["matmul"](other, self)

    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]  # a tensor of truths, as NumPy has it
        return NotImplemented if other is None or isinstance(other, str) else ew.equal(self, other)

    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]  # as above
        return NotImplemented if other is None or isinstance(other, str) else ew.not_equal(self, other)

    def __lt__(self, other: Value) -> Tensor:
        return ew.less(self, other)

    def __le__(self, other: Value) -> Tensor:
        return ew.less_equal(self, other)

    def __gt__(self, other: Value) -> Tensor:
        return ew.greater(self, other)

    def __ge__(self, other: Value) -> Tensor:
        return ew.greater_equal(self, other)

    def __getitem__(self, key: Key) -> Tensor:
        return indexing.getitem(self, key)

    # ------------------------------------------------------------------------------ the array API's protocol
    @property
    def device(self) -> str:
        """Where the numbers are: there is one place, "cpu"."""
        return "cpu"

    @checked_call
    def to_device(self, device: str, /, *, stream: None = None) -> Tensor:
        """The tensor itself: there is one device, "cpu"; another is refused."""
        require_cpu(device)
        return self

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        if api_version not in (None, "2021.12", "2022.12", "2023.12", "2024.12"):
            raise ArgumentError(
                f"there is no namespace of version {api_version}",
                expected="2024.12 or an earlier version of the array API standard",
                got=repr(api_version),
                where=user_line(),
            )
        return sys.modules[__name__.partition(".")[0]]

    def __dlpack__(self, **kwargs: Any) -> Any:
        values = self.numpy()
        told = kwargs.get("max_version") or (0, 0)  # before 1.0 a consumer cannot be told that memory is read-only
        return (values if told >= (1, 0) else values.copy()).__dlpack__(**kwargs)

    def __dlpack_device__(self) -> Any:
        return np.asarray(0.0).__dlpack_device__()

    # -------------------------------------------------------------------------------------------- methods
    @property
    def mT(self) -> Tensor:
        """The last two axes exchanged."""
        return structural.matrix_transpose(self)

    @property
    def T(self) -> Tensor:
        """The transpose of a matrix."""
        if self.ndim != 2:
            raise ArgumentError(
                "T is for matrices",
                expected="two axes",
                got=f"shape {self.shape}",
                where=user_line(),
                try_="x.mT, or cl.permute_dims(x, axes)",
            )
        return structural.matrix_transpose(self)

    @property
    def at(self) -> Places[Tensor]:
        """`x.at[key].set(values)`, `.add`, `.multiply`, `.max`, …: a new tensor with these entries changed.

        >>> import clearprop as cl
        >>> cl.tensor([1.0, 2.0, 3.0]).at[1:].set(0.0)
        Tensor([1.0, 0.0, 0.0])
        """
        places: Places[Tensor] = late_method("at")(self)
        return places

    @_method
    def sum(self, axis: Axes = None, keepdims: bool = False, dtype: DTypeLike | None = None) -> Tensor:
        """Sum over axes, in a dtype."""
        return reductions.sum(self if dtype is None else self.astype(dtype), axis=axis, keepdims=keepdims)

    @_method
    def mean(self, axis: Axes = None, keepdims: bool = False) -> Tensor:
        """Arithmetic mean over axes."""
        return reductions.mean(self, axis=axis, keepdims=keepdims)

    @_method
    def max(self, axis: Axes = None, keepdims: bool = False) -> Tensor:
        """Largest element over axes."""
        return reductions.max(self, axis=axis, keepdims=keepdims)

    @_method
    def min(self, axis: Axes = None, keepdims: bool = False) -> Tensor:
        """Smallest element over axes."""
        return reductions.min(self, axis=axis, keepdims=keepdims)

    @_method
    def reshape(self, *shape: int | Shape) -> Tensor:
        """The same elements in another shape."""
        return structural.reshape(self, shape[0] if len(shape) == 1 else shape)

    @_method
    def astype(self, dtype: DTypeLike) -> Tensor:
        """The values converted to another dtype."""
        return ew.astype(self, dtype=checked_dtype(dtype))

    # ------------------------------------------------------------------------------------ NumPy's protocol
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Value, **kwargs: Any) -> Any:
        return apply_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Params) -> Any:
        return apply_function(function, args, kwargs)


@checked_call
def tensor(
    a: ArrayLike, *, name: str | None = None, requires_grad: bool = False, dtype: DTypeLike | None = None
) -> Tensor:
    """A tensor with a copy of `a` (numbers, nested lists, an array).

    Python floats make float64, integers int64.

    a              numbers: nested lists, a NumPy array, a tensor without history
    name           what messages and explanations call it
    requires_grad  whether it is a leaf whose gradient `backward()` stores; floating numbers only
    dtype          of the result; None keeps that of `a`

    >>> import clearprop as cl
    >>> cl.tensor([1.0, 2.0], name="x", requires_grad=True)
    Tensor([1.0, 2.0], name='x', requires_grad=True)
    """
    if not requires_grad and (known := as_program_has_it(a)) is not a:
        return asarray(known, dtype)
    if _holds_tensors(a):
        a = _values_to_copy(asarray(a))
    value = _array(a, None if dtype is None else checked_dtype(dtype), np.array)
    if not isinstance(name, str | None) or not isinstance(requires_grad, bool | np.bool_):
        raise ArgumentError(
            "tensor does not take these options",
            expected="name: text or None; requires_grad: True or False",
            got=f"name = {name!r:.60}, requires_grad = {requires_grad!r:.60}",
            where=user_line(),
        )
    out = Tensor(value)
    out.name = name or ""
    if requires_grad and is_complex(out.dtype):
        raise complex_error(out.dtype, "a tensor with a gradient of its own is real")
    if requires_grad and not is_floating(out.dtype):
        raise DTypeError(
            "only a floating tensor can require a gradient",
            expected="float32 or float64",
            got=out.dtype.name,
            where=user_line(),
            try_="write the numbers as floats: 3 → 3.0, or pass dtype=float",
        )
    out.requires_grad = requires_grad
    return out


@checked_call
def asarray(a: Any, dtype: DTypeLike | None = None, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """A tensor that shares memory with `a` where it can; a tensor stays as it is, a list of tensors is stacked.

    a       numbers: a NumPy array, nested lists, a tensor
    dtype   of the result; None keeps that of `a`
    device  "cpu" or None
    copy    True: memory of its own (a tensor is never written, so it may stay); False: refused if it must be copied

    >>> import clearprop as cl
    >>> cl.asarray([1, 2, 3])
    Tensor([1, 2, 3])
    """
    if isinstance(a, Tensor) and dtype is None and copy is None and device is None and not STACK.builders:
        return a  # as nearly all operands of losses and layers are
    if device is not None:
        require_cpu(device)
    dtype = None if dtype is None else checked_dtype(dtype)
    if copy is not None:
        _check_copy(copy, a, dtype)
    a = as_program_has_it(a)
    if copy and not _holds_tensors(a):
        return Tensor(_array(a, dtype, np.array))
    if not isinstance(a, Node) and _holds_tensors(a):
        a = joining.stack([asarray(v) for v in a])
    if isinstance(a, Tensor):
        return a if dtype is None or a.dtype == dtype else ew.astype(a, dtype=dtype)
    return Tensor(_array(a, dtype, np.asarray))


def _check_copy(copy: bool, a: Any, dtype: np.dtype[Any] | None) -> None:
    """`copy=False` is a promise that is kept, or refused."""
    if not isinstance(copy, bool | np.bool_):
        raise ArgumentError("copy is a yes or no", expected="True, False or None", got=f"copy = {copy!r:.80}")
    shares = isinstance(a, (Node, np.ndarray)) and (dtype is None or type_of(raw(a)).dtype == dtype)
    if not copy and not shares:
        raise ArgumentError(
            "asarray(copy=False) would have to copy",
            expected="an array or a tensor of the wanted dtype",
            got=type(a).__name__ if dtype is None else f"{type(a).__name__}, to be {dtype.name}",
            where=user_line(),
            try_="copy=None, which copies where it must",
        )


def _holds_tensors(a: Any) -> bool:
    """Whether `a` is a tensor, or a list with tensors in it, whose history must not get lost."""
    return any(map(_holds_tensors, a)) if type(a) in (list, tuple) else isinstance(a, Node)


def _values_to_copy(a: Tensor) -> np.ndarray[Any, Any]:
    if a.tracked and not a.is_traced and RECORDING.on:
        raise GradientError(
            "cl.tensor would cut off the history of its argument",
            expected="numbers, or values without history",
            got=f"a tensor that is recorded, of shape {a.shape}",
            where=user_line(),
            try_="use the value itself, or cl.tensor(x.detach()) for a copy that no gradient flows through",
        )
    return a.numpy()


def _array(a: object, dtype: DTypeLike | None, make: Callable[..., Any]) -> Any:
    """The array or number that a tensor holds: numbers, nothing else."""
    try:
        given = admit(a)
        if dtype is not None and np.iscomplexobj(given) and not is_complex(np.dtype(dtype)):
            raise complex_error(np.dtype(complex), f"complex numbers are not converted to {dtype}")
        value = admit(make(given, dtype=dtype))
    except DTypeError:
        raise
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise DTypeError(
            "a tensor holds numbers",
            expected="floats, integers, booleans or complex numbers",
            got="a ragged list" if "inhomogeneous" in str(error) else str(error),
            try_="encode text as integers; lists must not be ragged",
        ) from None
    if value is given and value.ndim and value.flags.writeable:
        value = value.view()  # memory that the caller may write: what is recorded of it is copied
    return value if value.ndim else value[()]
