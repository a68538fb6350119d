"""Resizing, one axis after the other.

Interpolation is separable: first along the rows, then down the columns. On each axis a gather picks for every
output the one or two inputs it depends on. The backward is the transpose: every output adds to those inputs.
"""

import numpy as np

from minisegnet.arrays import Array
from minisegnet.sizes import Pair


def _linear_coefficients(size, output_size, align_corners, dtype):
    """For each output of one axis: the two inputs it lies between and how far it is from the first."""
    i = np.arange(output_size, dtype=np.float64)
    if align_corners:
        source = i * (size - 1) / max(output_size - 1, 1)
    else:
        source = np.maximum((i + 0.5) * size / output_size - 0.5, 0.0)
    low = np.minimum(source.astype(np.int64), size - 1)
    high = np.minimum(low + 1, size - 1)
    return low, high, (source - low).astype(dtype)


@np.errstate(over="ignore", invalid="ignore")
def resize_bilinear(x: Array, size: Pair, *, align_corners: bool) -> Array:
    """Blend two columns for each output column, and then two rows for each output row."""
    (H, W), (OH, OW) = x.shape[2:], size
    left, right, fraction = _linear_coefficients(W, OW, align_corners, x.dtype)
    wide = x.take(left, axis=3) * (1 - fraction)  # (N, C, H, OW)
    wide += x.take(right, axis=3) * fraction
    top, bottom, fraction = _linear_coefficients(H, OH, align_corners, x.dtype)
    fraction = fraction[:, None]  # (OH, 1)
    y = wide.take(top, axis=2) * (1 - fraction)  # (N, C, OH, OW)
    y += wide.take(bottom, axis=2) * fraction
    return y


@np.errstate(over="ignore", invalid="ignore")
def resize_bilinear_backward(dy: Array, input_size: Pair, *, align_corners: bool) -> Array:
    """Add each row to the two that it was blended from, and then each column."""
    (H, W), (OH, OW) = input_size, dy.shape[2:]
    top, bottom, fraction = _linear_coefficients(H, OH, align_corners, dy.dtype)
    wide = _add_rows(dy, H, (top, 1 - fraction), (bottom, fraction))  # (N, C, H, OW)
    left, right, fraction = _linear_coefficients(W, OW, align_corners, dy.dtype)
    return _add_columns(wide, W, (left, 1 - fraction), (right, fraction))  # (N, C, H, W)


def resize_nearest(x: Array, size: Pair) -> Array:
    """Pick columns, and then rows."""
    (H, W), (OH, OW) = x.shape[2:], size
    rows, cols = np.arange(OH) * H // OH, np.arange(OW) * W // OW
    return x.take(cols, axis=3).take(rows, axis=2)  # (N, C, OH, OW)


@np.errstate(over="ignore", invalid="ignore")
def resize_nearest_backward(dy: Array, input_size: Pair) -> Array:
    """Add each row to the one that it was copied from, and then each column."""
    (H, W), (OH, OW) = input_size, dy.shape[2:]
    rows, cols = np.arange(OH) * H // OH, np.arange(OW) * W // OW
    wide = _add_rows(dy, H, (rows, np.ones(OH, dy.dtype)))  # (N, C, H, OW)
    return _add_columns(wide, W, (cols, np.ones(OW, dy.dtype)))  # (N, C, H, W)


def _add_rows(dy, size, *taps):
    """Add each row of dy, times its weight, to the row that a tap names; a row may be named many times."""
    N, C, OH, OW = dy.shape
    dx = np.zeros((N, C, size, OW), dy.dtype)
    for targets, weights in taps:
        for i in range(OH):
            dx[:, :, targets[i]] += weights[i] * dy[:, :, i]
    return dx


def _add_columns(dy, size, *taps):
    """The same for columns. Turned so that a column lies in one piece of memory, they are added as fast as rows."""
    N, C, H, OW = dy.shape
    turned = np.ascontiguousarray(dy.reshape(N * C * H, OW).T)  # (OW, N*C*H)
    dx = np.zeros((size, N * C * H), dy.dtype)
    for targets, weights in taps:
        for j in range(OW):
            dx[targets[j]] += weights[j] * turned[j]
    return np.ascontiguousarray(dx.T).reshape(N, C, H, size)  # (N, C, H, W)
