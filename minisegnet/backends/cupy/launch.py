"""How the kernels in the .cu files are compiled, given memory and started: on a GPU through CuPy, or on the CPU.

The launchers of this folder (``activation.py``, ``pool.py``, ...) are the same for both. Given CuPy arrays, the text of
the kernels goes to NVIDIA's compiler and the kernel to the GPU. Given NumPy arrays, the same text goes to g++ and runs
on the CPU (``backends/cuda_on_cpu``), which is slow and meant for tests.

A kernel gets its arguments as bare bytes: a GPU can't tell an ``int`` from half a ``double``. So each argument is
converted to, and checked against, what the kernel's own parameter list says.
"""

import importlib
import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from minisegnet.arrays import Array

from . import manifest, problems

THREADS = 256  # threads in a block, for the kernels that `each` starts
MOST_BLOCKS = 1 << 20  # blocks that `each` starts at most; a kernel's FOR_EACH goes round more often then
WARP = 32  # threads that run together, and read and write memory together
FEW_LINES = 1 << 13  # with a warp for each of so many lines, a GPU is full

TYPES: dict[str, Any] = {  # CUDA C's types, as NumPy has them; `real` is float or double
    "int": np.int32,
    "unsigned": np.uint32,
    "unsigned int": np.uint32,
    "index": np.int64,
    "long long": np.int64,
    "unsigned long long": np.uint64,
    "float": np.float32,
    "double": np.float64,
    "bool": np.bool_,
    "unsigned char": np.uint8,
    "signed char": np.int8,
}
GARBAGE = (
    0xA5  # fills new integer and bool arrays on the CPU, byte by byte: nothing that a kernel would write
)


# ---------------------------------------------------------------------------------------------------------
# Memory


def on_gpu(array: Array) -> bool:
    """Whether this is a CuPy array."""
    return type(array).__module__.partition(".")[0] == "cupy"


def array_module(like: Array) -> Any:
    """Return ``cupy`` or ``numpy``, wherever the array comes from."""
    return importlib.import_module("cupy") if on_gpu(like) else np


def empty(shape: int | Sequence[int], like: Array, dtype: Any = None) -> Array:
    """Return a new array beside ``like``; a kernel must write all of it.

    On the CPU it is filled with NaN (integers: with garbage), so that an element which a kernel forgets shows.
    """
    array: Array = array_module(like).empty(shape, like.dtype if dtype is None else dtype)
    if isinstance(array, np.ndarray):
        if array.dtype.kind == "f":
            array.fill(np.nan)
        else:
            array.reshape(-1).view(np.uint8).fill(GARBAGE)
    return array


def zeros(shape: int | Sequence[int], like: Array, dtype: Any = None) -> Array:
    """Return a new array of zeros beside ``like``."""
    array: Array = array_module(like).zeros(shape, like.dtype if dtype is None else dtype)
    return array


def problem(like: Array) -> problems.Asked | None:
    """Stand for the kernel's flag for bad labels and indices (see problems.py); None on the CPU.

    There the values were checked before any kernel ran.
    """
    return problems.Asked(int(like.device.id)) if on_gpu(like) else None  # type: ignore[attr-defined]


# ---------------------------------------------------------------------------------------------------------
# Starting


def each(source: str, kernel: str, total: int, *arguments: Any, like: Array) -> None:
    """Start a kernel with one thread for each of ``total`` elements (its loop is ``FOR_EACH``).

    Parameters
    ----------
    source
        The file of the kernel, without ``.cu``.
    kernel
        Its name.
    total
        How many elements there are; with none, nothing is started.
    *arguments
        What the kernel takes, in its order: arrays, numbers, None for a null pointer.
    like
        An array whose place (GPU or CPU) and dtype (float32 or float64) choose the compiled kernel.
    """
    grid = min(math.ceil(total / THREADS), MOST_BLOCKS)
    blocks(source, kernel, grid, THREADS, *arguments, like=like)


def rows(lines: int, W: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the grid and the block for a kernel whose threads walk along lines of W pixels (FOR_EACH_PIXEL).

    >>> rows(1 << 20, 100)  # a warp for each line, eight lines in a block
    ((131072, 1), (32, 8))
    >>> rows(60, 5)  # narrow maps: 8 threads for each line
    ((2, 1), (8, 32))
    >>> rows(60, 100)  # few lines: four warps for each
    ((8, 4), (32, 8))
    """
    across = min(WARP, 1 << (W - 1).bit_length())
    down = THREADS // across
    columns = math.ceil(W / across) if lines < FEW_LINES else 1
    return (min(math.ceil(lines / down), MOST_BLOCKS), min(columns, 65535)), (across, down)


def blocks(
    source: str,
    kernel: str,
    grid: int | Sequence[int],
    block: int | Sequence[int],
    *arguments: Any,
    shared: int = 0,
    like: Array,
) -> None:
    """Start a kernel with a grid of blocks of threads, x first; ``shared`` is in bytes."""
    grid, block = _three(grid), _three(block)
    if 0 in grid:
        return
    dtype = like.dtype.name
    ready = bound_arguments(source, kernel, arguments, dtype, on_gpu(like))
    _function(source, kernel, dtype, on_gpu(like))(grid, block, ready, shared_mem=shared)


def _three(sizes: int | Sequence[int]) -> tuple[int, int, int]:
    x, y, z = (*((sizes,) if isinstance(sizes, int) else sizes), 1, 1)[:3]
    return int(x), int(y), int(z)


@cache
def _function(source: str, kernel: str, dtype: str, gpu: bool) -> Any:
    return _module(source, dtype, gpu).get_function(kernel)


@cache
def _module(source: str, dtype: str, gpu: bool) -> Any:
    if gpu:
        cupy: Any = importlib.import_module("cupy")
        return cupy.RawModule(code=manifest.text(source), options=manifest.options(dtype), backend="nvrtc")
    from minisegnet.backends.cuda_on_cpu.module import Module

    return Module(source, manifest.text(source), manifest.kernels(source), manifest.REALS[dtype])


# ---------------------------------------------------------------------------------------------------------
# Arguments


def bound_arguments(
    source: str, kernel: str, arguments: Sequence[Any], dtype: str, gpu: bool
) -> tuple[Any, ...]:
    """Convert the arguments to what the kernel's parameters are, or say which of them does not fit."""
    parameters = manifest.kernels(source).get(kernel)
    if parameters is None:
        raise ValueError(f"{source}.cu has no kernel {kernel}; it has {', '.join(manifest.kernels(source))}")
    if len(arguments) != len(parameters):
        names = ", ".join(p.name for p in parameters)
        raise TypeError(f"{kernel} takes {len(parameters)} arguments ({names}); got {len(arguments)}")
    ready = []
    for parameter, argument in zip(parameters, arguments, strict=True):
        what = f"{kernel}: {parameter.name}"
        if isinstance(argument, problems.Asked):
            argument = problems.flag(argument.device, kernel)
        wanted = np.dtype(dtype) if parameter.type == "real" else np.dtype(TYPES[parameter.type])
        convert = _pointer if parameter.pointer else _number
        ready.append(convert(what, argument, wanted, parameter, gpu))
    return tuple(ready)


def _number(what: str, value: Any, wanted: np.dtype[Any], parameter: manifest.Parameter, gpu: bool) -> Any:
    if wanted.kind in "iu" and int(value) != value:
        raise TypeError(f"{what} is an {parameter.type}; got {value!r}")
    try:
        with np.errstate(over="ignore"):
            return wanted.type(value)
    except OverflowError:
        raise ValueError(f"{what} is {value}, more than its type {parameter.type} can hold") from None


def _pointer(what: str, array: Any, wanted: np.dtype[Any], parameter: manifest.Parameter, gpu: bool) -> Any:
    if array is None:
        return np.uintp(0)
    if on_gpu(array) != gpu or not (gpu or isinstance(array, np.ndarray)):
        raise TypeError(f"{what} must be {'a CuPy' if gpu else 'a NumPy'} array; got {type(array).__name__}")
    same = array.dtype == wanted or (wanted == np.uint8 and array.dtype == np.bool_)
    if not same:
        raise TypeError(f"{what} points to {parameter.type} ({wanted}); got an array of {array.dtype}")
    if not array.flags.c_contiguous:
        raise ValueError(f"{what} must be C-contiguous: a kernel knows no strides")
    if not gpu and not parameter.const and not array.flags.writeable:
        raise ValueError(f"{what} is written to, but the array is read-only; declare the parameter const?")
    return array
