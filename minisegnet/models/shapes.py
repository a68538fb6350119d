"""Kernels that compute shapes and no numbers: every result is zeros of the right shape.

They make a backend like any other. Under ``with use_backend(shapes):`` even the paper-sized models run in
moments, because nobody ever touches the zeros (the memory for them is only promised, not taken).

>>> from minisegnet import nn, use_backend
>>> from minisegnet.models import shapes
>>> with nn.creating(initialise=False), use_backend(shapes):
...     nn.Conv2d(3, 64, 3, stride=2)(np.zeros((1, 3, 4001, 3001), np.float32)).shape
(1, 64, 2000, 1500)
"""

from typing import Any

import numpy as np

from minisegnet.arrays import Array
from minisegnet.sizes import IntOrPair, Pair, conv2d_size, conv_transpose2d_size, pad2d_size, pool2d_size


def _maps(x: Array, channels: int, size: Pair) -> Array:
    return np.zeros((x.shape[0], channels, *size), x.dtype)


def _same(x: Array) -> Array:
    return np.zeros(x.shape, x.dtype)


# ---------------------------------------------------------------------------------------------------------
# Sizes change


def conv2d(x: Array, w: Array, b: Array | None, *, groups: int, **geometry: Any) -> Array:
    """(N, K, OH, OW)."""
    return _maps(x, w.shape[0], conv2d_size(x.shape[2:], w.shape[2:], **geometry))


conv2d_relu = conv2d


def conv_transpose2d(x: Array, w: Array, b: Array | None, *, groups: int, **geometry: Any) -> Array:
    """(N, K, OH, OW)."""
    return _maps(x, w.shape[1] * groups, conv_transpose2d_size(x.shape[2:], w.shape[2:], **geometry))


def max_pool2d(x: Array, kernel_size: IntOrPair, **window: Any) -> tuple[Array, Array]:
    """(N, C, OH, OW), and as many indices."""
    y = _maps(x, x.shape[1], pool2d_size(x.shape[2:], kernel_size, **window))
    return y, np.zeros(y.shape, np.int64)


def max_unpool2d(x: Array, indices: Array, output_size: Pair) -> Array:
    """(N, C, OH, OW)."""
    return _maps(x, x.shape[1], output_size)


def avg_pool2d(x: Array, kernel_size: IntOrPair, *, count_include_pad: bool, **window: Any) -> Array:
    """(N, C, OH, OW)."""
    return _maps(x, x.shape[1], pool2d_size(x.shape[2:], kernel_size, **window))


def global_avg_pool2d(x: Array) -> Array:
    """(N, C, 1, 1)."""
    return _maps(x, x.shape[1], (1, 1))


def adaptive_avg_pool2d(x: Array, output_size: Pair) -> Array:
    """(N, C, OH, OW)."""
    return _maps(x, x.shape[1], output_size)


def adaptive_max_pool2d(x: Array, output_size: Pair) -> tuple[Array, Array]:
    """(N, C, OH, OW), and as many indices."""
    y = _maps(x, x.shape[1], output_size)
    return y, np.zeros(y.shape, np.int64)


def resize_bilinear(x: Array, size: Pair, *, align_corners: bool) -> Array:
    """(N, C, OH, OW)."""
    return _maps(x, x.shape[1], size)


def resize_nearest(x: Array, size: Pair) -> Array:
    """(N, C, OH, OW)."""
    return _maps(x, x.shape[1], size)


def crop2d(x: Array, size: Pair) -> Array:
    """(N, C, OH, OW)."""
    return _maps(x, x.shape[1], size)


def pad2d(x: Array, padding: Pair, *, mode: str) -> Array:
    """(N, C, H + 2 ph, W + 2 pw)."""
    return _maps(x, x.shape[1], pad2d_size(x.shape[2:], padding))


def concat(arrays: list[Array], *, axis: int) -> Array:
    """As long along the axis as all of them."""
    shape = list(arrays[0].shape)
    shape[axis] = sum(a.shape[axis] for a in arrays)
    return np.zeros(shape, arrays[0].dtype)


def linear(x: Array, w: Array, b: Array | None) -> Array:
    """(M, out)."""
    return np.zeros((x.shape[0], w.shape[0]), x.dtype)


# ---------------------------------------------------------------------------------------------------------
# Shapes stay


def batch_norm(
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    running_mean: Array | None,
    running_var: Array | None,
    **_: Any,
) -> tuple[Array, Array, Array, Array | None, Array | None]:
    """As x; the running statistics stay as they are."""
    C = x.shape[1]
    return _same(x), np.zeros(C, x.dtype), np.ones(C, x.dtype), running_mean, running_var


batch_norm_relu = batch_norm


def dropout(x: Array, p: float, *, key: Any) -> tuple[Array, Array]:
    """As x, twice."""
    return _same(x), np.zeros(x.shape, bool)


def add(a: Array, b: Array) -> Array:
    """As a."""
    return _same(a)


def relu(x: Array) -> Array:
    """As x."""
    return _same(x)


def leaky_relu(x: Array, slope: float) -> Array:
    """As x."""
    return _same(x)


def sigmoid(x: Array) -> Array:
    """As x."""
    return _same(x)


def softmax(x: Array, *, axis: int) -> Array:
    """As x."""
    return _same(x)


def log_softmax(x: Array, *, axis: int) -> Array:
    """As x."""
    return _same(x)
