"""A stand-in for CuPy, for tests on machines without a GPU: in subprocesses of tests it is first on PYTHONPATH.

An array of this module is one of NumPy inside, but from outside it is as strict as CuPy's: NumPy doesn't get at the
numbers, it doesn't mix with NumPy's arrays, and whoever makes the host wait for the device (``get``, ``item``,
``bool``, ``float``, ...) leaves a note in ``cupy.device.waits``. Kernels are our own CUDA sources, run on the CPU by
``minisegnet.backends.cuda_on_cpu``. While a stream is captured nothing is computed: the work is written down, and a
graph's ``launch`` does it, on the same memory each time.

What a test with it shows: what our package asks of CuPy, in which order, on which arrays, and where it waits. What it
doesn't show: that CuPy or a GPU would do the same. The functions here are those that the package uses, and what they
imitate was read in CuPy's documentation and source (versions 13 and 14); others are missing, so that a test fails
where the package begins to use them. Work is done at once and in order, so that no race between streams can appear,
numbers are rounded as NumPy rounds, and memory is taken out of the process, never refused.
"""

import numpy as _np

from . import cuda, device
from .arrays import array, asarray, ascontiguousarray, elementwise, from_dlpack, made, ndarray, waiting
from .raw import RawModule

__version__ = "14.0.1"  # a stand-in's: of the behaviour that it imitates

bool_, int32, int64, uint8, uint16, uint32, uint64 = (
    *(_np.bool_, _np.int32, _np.int64, _np.uint8, _np.uint16, _np.uint32, _np.uint64),
)
float16, float32, float64 = _np.float16, _np.float32, _np.float64
newaxis, inf, nan, pi = None, _np.inf, _np.nan, _np.pi

# Elementwise functions, reductions and the like: new arrays, computed on the device.
abs = absolute = elementwise(_np.absolute)
add, subtract, multiply = elementwise(_np.add), elementwise(_np.subtract), elementwise(_np.multiply)
divide = true_divide = elementwise(_np.true_divide)
floor_divide, remainder, power = (
    elementwise(_np.floor_divide),
    elementwise(_np.remainder),
    elementwise(_np.power),
)
negative, square, sqrt = elementwise(_np.negative), elementwise(_np.square), elementwise(_np.sqrt)
exp, log, log1p, tanh = (
    elementwise(_np.exp),
    elementwise(_np.log),
    elementwise(_np.log1p),
    elementwise(_np.tanh),
)
minimum, maximum = elementwise(_np.minimum), elementwise(_np.maximum)
floor, ceil = elementwise(_np.floor), elementwise(_np.ceil)
isfinite, isnan, isinf = elementwise(_np.isfinite), elementwise(_np.isnan), elementwise(_np.isinf)
equal, not_equal = elementwise(_np.equal), elementwise(_np.not_equal)
less, less_equal = elementwise(_np.less), elementwise(_np.less_equal)
greater, greater_equal = elementwise(_np.greater), elementwise(_np.greater_equal)
logical_and, logical_or = elementwise(_np.logical_and), elementwise(_np.logical_or)
logical_not = elementwise(_np.logical_not)
bitwise_and, bitwise_or, invert = (
    elementwise(_np.bitwise_and),
    elementwise(_np.bitwise_or),
    elementwise(_np.invert),
)
where, cumsum, diff = made(_np.where), made(_np.cumsum), made(_np.diff)
argsort, concatenate, stack, matmul = (
    made(_np.argsort),
    made(_np.concatenate),
    made(_np.stack),
    made(_np.matmul),
)
sum, max, min, any, all = made(_np.sum), made(_np.max), made(_np.min), made(_np.any), made(_np.all)
mean, argmax, round = made(_np.mean), made(_np.argmax), made(_np.round)
zeros_like, ones_like, full_like = made(_np.zeros_like), made(_np.ones_like), made(_np.full_like)
zeros, ones, full, arange = made(_np.zeros), made(_np.ones), made(_np.full), made(_np.arange)

# Views, which cost nothing (or copies, where no view can be had).
reshape, moveaxis, broadcast_to = made(_np.reshape), made(_np.moveaxis), made(_np.broadcast_to)
transpose, swapaxes, expand_dims = made(_np.transpose), made(_np.swapaxes), made(_np.expand_dims)

# Functions whose result's shape depends on values: the host waits for them.
bincount, unique, flatnonzero = waiting(_np.bincount), waiting(_np.unique), waiting(_np.flatnonzero)


def empty(shape, dtype=float, order="C"):
    """Memory as it is found: here it is poison, so that reading it before writing shows."""
    return ndarray(shape, dtype)


def empty_like(a, dtype=None, order="K", subok=None, shape=None):
    return ndarray(a.shape if shape is None else shape, a.dtype if dtype is None else dtype)


def get_array_module(*arrays):
    import sys

    return sys.modules[__name__] if _any_here(arrays) else _np


def _any_here(arrays):
    return [a for a in arrays if isinstance(a, ndarray)] != []


def get_default_memory_pool():
    return device.default_pool


__all__ = ["RawModule", "array", "asarray", "ascontiguousarray", "cuda", "device", "from_dlpack", "ndarray"]
