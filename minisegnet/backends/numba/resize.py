"""Resizing: a table for each axis of what every output row (or column) reads, and ``axes.apply``."""

import numpy as np

from minisegnet.arrays import Array
from minisegnet.sizes import Pair

from .axes import Taps, apply, turned
from .pool import planes


def _linear(size: int, output_size: int, align_corners: bool, dtype: np.dtype) -> Taps:
    """Of every output position on one axis: its two neighbours in the input, and the weight of each."""
    o = np.arange(output_size)
    if align_corners:  # the centres of the corner pixels fall on each other
        source = o * (size - 1) / max(output_size - 1, 1)
    else:  # the outer edges fall on each other, and a pixel's centre lies half a pixel inside
        source = np.maximum((o + 0.5) * size / output_size - 0.5, 0)
    near = np.minimum(np.floor(source).astype(np.int64), size - 1)
    fraction = source - near
    at = np.stack([near, np.minimum(near + 1, size - 1)])  # (2, OH)
    return Taps(at, np.stack([1 - fraction, fraction]).astype(dtype))


def resize_bilinear(x: Array, size: Pair, *, align_corners: bool) -> Array:
    """Each output pixel is a weighted mean of the four input pixels around its place."""
    rows, columns = (_linear(*axis, align_corners, x.dtype) for axis in zip(x.shape[2:], size, strict=True))
    y = np.empty((*x.shape[:2], *size), x.dtype)  # (N, C, OH, OW)
    apply(planes(y), planes(x), rows, columns)
    return y


def resize_bilinear_backward(dy: Array, input_size: Pair, *, align_corners: bool) -> Array:
    """Each gradient goes to the same four input pixels, with the same weights."""
    rows, columns = (
        turned(_linear(*axis, align_corners, dy.dtype), axis[0])
        for axis in zip(input_size, dy.shape[2:], strict=True)
    )
    dx = np.empty((*dy.shape[:2], *input_size), dy.dtype)  # (N, C, H, W)
    apply(planes(dx), planes(dy), rows, columns)
    return dx


def _nearest(size: int, output_size: int) -> Taps:
    """Each output position reads one input position: ``floor(i * H / OH)``, in whole numbers."""
    at = np.arange(output_size, dtype=np.int64)[None] * size // output_size  # (1, OH)
    return Taps(at, np.ones(at.shape))


def resize_nearest(x: Array, size: Pair) -> Array:
    """Each output pixel copies one input pixel."""
    rows, columns = map(_nearest, x.shape[2:], size)
    y = np.empty((*x.shape[:2], *size), x.dtype)  # (N, C, OH, OW)
    apply(planes(y), planes(x), rows, columns)
    return y


def resize_nearest_backward(dy: Array, input_size: Pair) -> Array:
    """Each input pixel collects the gradients of its copies."""
    rows, columns = (turned(_nearest(*axis), axis[0]) for axis in zip(input_size, dy.shape[2:], strict=True))
    dx = np.empty((*dy.shape[:2], *input_size), dy.dtype)  # (N, C, H, W)
    apply(planes(dx), planes(dy), rows, columns)
    return dx
