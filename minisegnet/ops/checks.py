"""Argument checks that the ops share. Each error says what came, what was expected and what to do."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minisegnet.arrays import Array
from minisegnet.ops.dispatch import is_cupy
from minisegnet.sizes import Pair, as_int, as_pair

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))

LARGEST = 2**31 - 1  # of sizes, strides and the like: their products then fit the kernels' 64 bits

AXES = {2: "(N, C)", 3: "(N, C, L)", 4: "(N, C, H, W)"}


# ---------------------------------------------------------------------------------------------------------
# Arrays


def array(value: Any, name: str, op: str) -> Array:
    """Check that this is an array; lists and scalars are refused, because their dtype would be a guess."""
    if is_cupy(value):
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{op}: {name} is a masked array, whose mask would be lost; pass {name}.filled(...)")
    if not isinstance(value, np.ndarray):
        raise TypeError(
            f"{op}: {name} is a {type(value).__name__}; expected a NumPy or CuPy array. "
            "Convert it first: np.asarray(value, dtype=np.float32)"
        )
    return value


def floats(value: Any, name: str, op: str, *, like: Array | None = None, like_name: str = "x") -> Array:
    """Check that this is a float32 or float64 array, of the same dtype as ``like``."""
    a = array(value, name, op)
    if a.dtype not in FLOATS:
        raise TypeError(
            f"{op}: {name} has dtype {a.dtype}; expected float32 or float64. "
            f"Convert it: {name}.astype(np.float32)"
        )
    if like is not None and a.dtype != like.dtype:
        raise TypeError(
            f"{op}: {name} has dtype {a.dtype} but {like_name} has {like.dtype}; "
            "all arrays of one call have the same dtype. Convert one of them by astype"
        )
    return a


def integers(value: Any, name: str, op: str) -> Array:
    """Check that this is an array of integers and return it as int64."""
    a = array(value, name, op)
    if a.dtype.kind not in "iu":
        raise TypeError(
            f"{op}: {name} has dtype {a.dtype}; expected an integer dtype. Convert it: {name}.astype(np.int64)"
        )
    if a.dtype == np.uint64 and a.size and int(a.max()) > np.iinfo(np.int64).max:
        raise ValueError(f"{op}: {name} holds {int(a.max())}, which does not fit into int64")
    return a.astype(np.int64, copy=False)


def rank(a: Array, expected: int, name: str, op: str, axes: str | None = None) -> None:
    """Check the number of axes."""
    if a.ndim != expected:
        axes = axes or AXES[expected]
        hint = ""
        if expected == 4 and a.ndim == 3:
            hint = f"; a single picture needs a batch axis: {name}[None]"
        elif expected == 4 and a.ndim == 2:
            hint = f"; a single map needs batch and channel axes: {name}[None, None]"
        raise ValueError(f"{op}: {name} has shape {a.shape}; expected {expected} axes {axes}{hint}")


def maps(value: Any, name: str, op: str, *, like: Array | None = None, like_name: str = "x") -> Array:
    """Check for float maps (N, C, H, W) with at least one channel, row and column; N may be 0."""
    a = floats(value, name, op, like=like, like_name=like_name)
    rank(a, 4, name, op)
    if 0 in a.shape[1:]:
        raise ValueError(
            f"{op}: {name} has shape {a.shape}; only the batch axis may be empty, "
            "channels, height and width are at least 1"
        )
    return a


def shape(a: Array, expected: tuple[int, ...], name: str, op: str, because: str = "") -> None:
    """Check the exact shape."""
    if tuple(a.shape) != tuple(expected):
        reason = f" ({because})" if because else ""
        raise ValueError(f"{op}: {name} has shape {tuple(a.shape)}; expected {tuple(expected)}{reason}")


def contiguous(a: Array) -> Array:
    """Return the array in C order, the same one if it already is (kernels rely on that)."""
    if is_cupy(a):
        # CuPy's ascontiguousarray would give an array without axes one axis.
        return a if a.flags.c_contiguous else a.copy(order="C")
    if type(a) is np.ndarray and a.flags.c_contiguous and a.flags.aligned:
        return a
    return np.require(a, requirements=["C_CONTIGUOUS", "ALIGNED", "ENSUREARRAY"])


# ---------------------------------------------------------------------------------------------------------
# Numbers and words


def axis(value: Any, ndim: int, op: str) -> int:
    """Return the axis as a number from 0 to ndim - 1; negative ones count from the end."""
    number = as_int(value, f"{op}: axis")
    if not -ndim <= number < ndim:
        raise ValueError(
            f"{op}: axis is {number}; expected {-ndim} to {ndim - 1} for an array of {ndim} axes"
        )
    return number % ndim


def number(value: Any, name: str, op: str) -> float:
    """Return a finite Python float (so that it can't widen float32 arrays)."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{op}: {name} is {value!r} ({type(value).__name__}); expected a number")
    try:
        result = float(value)
    except OverflowError:  # a Python integer of hundreds of digits
        result = math.inf
    if not math.isfinite(result):
        raise ValueError(f"{op}: {name} is {value}; expected a finite number")
    return result


def flag(value: Any, name: str, op: str) -> bool:
    """Return a bool; anything else is refused, because 0, "no" and None are often a slip of position."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{op}: {name} is {value!r} ({type(value).__name__}); expected True or False")
    return bool(value)


def choice(value: Any, choices: Sequence[str], name: str, op: str) -> str:
    """Check that a word is one of those allowed."""
    if not isinstance(value, str):
        raise TypeError(
            f"{op}: {name} is {value!r} ({type(value).__name__}); expected one of {list(choices)}"
        )
    if value not in choices:
        raise ValueError(f"{op}: {name} is {value!r}; expected one of {list(choices)}")
    return value


def pair(value: Any, name: str, op: str, minimum: int | None = None) -> Pair:
    """Return an (h, w) pair of Python integers; one integer counts for both."""
    h, w = as_pair(value, f"{op}: {name}", minimum)
    _not_too_large(max(h, w), name, op, LARGEST)
    return h, w


def integer(value: Any, name: str, op: str, minimum: int | None = None, *, maximum: int = LARGEST) -> int:
    """Return a Python integer."""
    number = as_int(value, f"{op}: {name}", minimum)
    _not_too_large(number, name, op, maximum)
    return number


def _not_too_large(number: int, name: str, op: str, maximum: int) -> None:
    if number > maximum:
        raise ValueError(f"{op}: {name} is {number}; expected at most {maximum}")


def index_range(indices: Array, low: int, high: int, name: str, op: str, meaning: str) -> None:
    """Check that integer values lie in low..high; compiled kernels would read and write outside otherwise.

    On CuPy arrays values are not read here: that would wait for the GPU (see DESIGN: device flag).
    """
    if is_cupy(indices) or indices.size == 0:
        return
    # As unsigned numbers, those below 0 are larger than any index: one pass over the array for both ends.
    if low == 0 and indices.dtype == np.int64 and int(indices.view(np.uint64).max()) <= high:
        return
    smallest, largest = int(indices.min()), int(indices.max())
    if smallest < low or largest > high:
        raise ValueError(
            f"{op}: {name} holds values from {smallest} to {largest}; expected {low} to {high} ({meaning})"
        )
