"""Pooling from the definition: for every output pixel, look at every pixel of its window.

A position outside the map does not exist: it is never the maximum, and never part of a sum.
Indices are flat positions in the unpadded map: ``row * W + column``.

Sums are kept in double precision and rounded once, at the end.
"""

import numpy as np

from minisegnet.arrays import Array
from minisegnet.sizes import Pair, adaptive_bin, pool2d_size

quiet = np.errstate(all="ignore")  # infinity and NaN are ordinary values here, not worth a warning


# ---------------------------------------------------------------------------------------------------------
# Maximum, and the way back


def max_pool2d(
    x: Array, kernel_size: Pair, *, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> tuple[Array, Array]:
    """The first maximum of each window in row-major order; a NaN beats every number, the last NaN wins."""
    N, C, H, W = x.shape
    (KH, KW), (sh, sw), (ph, pw), (dh, dw) = kernel_size, stride, padding, dilation
    OH, OW = pool2d_size(
        (H, W), kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )
    y = np.empty((N, C, OH, OW), x.dtype)  # (N, C, OH, OW)
    indices = np.empty((N, C, OH, OW), np.int64)  # (N, C, OH, OW)
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                for ow in range(OW):
                    best, where = -np.inf, -1  # nothing seen yet; the first pixel counts even if it is -inf
                    for i in range(KH):
                        for j in range(KW):
                            row, column = oh * sh - ph + i * dh, ow * sw - pw + j * dw
                            if 0 <= row < H and 0 <= column < W:
                                value = x[n, c, row, column]
                                # Only NaN differs from itself.
                                if where < 0 or value > best or value != value:
                                    best, where = value, row * W + column
                    y[n, c, oh, ow], indices[n, c, oh, ow] = best, where
    return y, indices


@quiet
def max_pool2d_backward(dy: Array, indices: Array, input_size: Pair) -> Array:
    """Each gradient goes to the pixel that won; where one pixel won several windows, they add up."""
    N, C, OH, OW = dy.shape
    H, W = input_size
    dx = np.zeros((N, C, H, W))  # (N, C, H, W)
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                for ow in range(OW):
                    row, column = divmod(int(indices[n, c, oh, ow]), W)
                    dx[n, c, row, column] += dy[n, c, oh, ow]
    return dx.astype(dy.dtype)


def max_unpool2d(x: Array, indices: Array, output_size: Pair) -> Array:
    """Each value goes back to where it came from, all else is zero; on a repeated index the last one stays."""
    N, C, H, W = x.shape
    OH, OW = output_size
    y = np.zeros((N, C, OH, OW), x.dtype)  # (N, C, OH, OW)
    for n in range(N):
        for c in range(C):
            for h in range(H):
                for w in range(W):
                    row, column = divmod(int(indices[n, c, h, w]), OW)
                    y[n, c, row, column] = x[n, c, h, w]
    return y


def max_unpool2d_backward(dy: Array, indices: Array) -> Array:
    """Each value reads the gradient at the place that it was sent to."""
    N, C, H, W = indices.shape
    OW = dy.shape[3]
    dx = np.empty((N, C, H, W), dy.dtype)  # (N, C, H, W)
    for n in range(N):
        for c in range(C):
            for h in range(H):
                for w in range(W):
                    row, column = divmod(int(indices[n, c, h, w]), OW)
                    dx[n, c, h, w] = dy[n, c, row, column]
    return dx


def adaptive_max_pool2d(x: Array, output_size: Pair) -> tuple[Array, Array]:
    """The maximum of each bin, by the same rule; bins cover the map and may share a row or a column."""
    N, C, H, W = x.shape
    OH, OW = output_size
    y = np.empty((N, C, OH, OW), x.dtype)  # (N, C, OH, OW)
    indices = np.empty((N, C, OH, OW), np.int64)  # (N, C, OH, OW)
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                top, bottom = adaptive_bin(oh, H, OH)
                for ow in range(OW):
                    left, right = adaptive_bin(ow, W, OW)
                    best, where = -np.inf, -1
                    for row in range(top, bottom):
                        for column in range(left, right):
                            value = x[n, c, row, column]
                            if where < 0 or value > best or value != value:
                                best, where = value, row * W + column
                    y[n, c, oh, ow], indices[n, c, oh, ow] = best, where
    return y, indices


# ---------------------------------------------------------------------------------------------------------
# Mean


def _window(o: int, k: int, s: int, p: int, size: int) -> tuple[int, int, int]:
    """Where window ``o`` starts and stops in the map, and its length before the padding was cut off."""
    start = o * s - p
    stop = min(start + k, size + p)  # what hangs over the padding (ceil_mode) never counts
    return max(start, 0), min(stop, size), stop - start


@quiet
def avg_pool2d(
    x: Array, kernel_size: Pair, *, stride: Pair, padding: Pair, ceil_mode: bool, count_include_pad: bool
) -> Array:
    """The mean of each window; ``count_include_pad`` divides by the padding's pixels too."""
    N, C, H, W = x.shape
    (KH, KW), (sh, sw), (ph, pw) = kernel_size, stride, padding
    OH, OW = pool2d_size((H, W), kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    y = np.empty((N, C, OH, OW), x.dtype)  # (N, C, OH, OW)
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                top, bottom, height = _window(oh, KH, sh, ph, H)
                for ow in range(OW):
                    left, right, width = _window(ow, KW, sw, pw, W)
                    count = height * width if count_include_pad else (bottom - top) * (right - left)
                    total = np.float64(0)
                    for row in range(top, bottom):
                        for column in range(left, right):
                            total += x[n, c, row, column]
                    y[n, c, oh, ow] = total / count
    return y


@quiet
def avg_pool2d_backward(
    dy: Array,
    input_size: Pair,
    kernel_size: Pair,
    *,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
) -> Array:
    """Every pixel of a window gets the same share of its gradient."""
    N, C, OH, OW = dy.shape
    H, W = input_size
    (KH, KW), (sh, sw), (ph, pw) = kernel_size, stride, padding
    dx = np.zeros((N, C, H, W))  # (N, C, H, W)
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                top, bottom, height = _window(oh, KH, sh, ph, H)
                for ow in range(OW):
                    left, right, width = _window(ow, KW, sw, pw, W)
                    count = height * width if count_include_pad else (bottom - top) * (right - left)
                    share = dy[n, c, oh, ow] / count
                    for row in range(top, bottom):
                        for column in range(left, right):
                            dx[n, c, row, column] += share
    return dx.astype(dy.dtype)


@quiet
def global_avg_pool2d(x: Array) -> Array:
    """The mean of each whole map."""
    N, C, H, W = x.shape
    y = np.empty((N, C, 1, 1), x.dtype)  # (N, C, 1, 1)
    for n in range(N):
        for c in range(C):
            total = np.float64(0)
            for row in range(H):
                for column in range(W):
                    total += x[n, c, row, column]
            y[n, c, 0, 0] = total / (H * W)
    return y


@quiet
def global_avg_pool2d_backward(dy: Array, input_size: Pair) -> Array:
    """Every pixel of a map gets the same share of its gradient."""
    N, C = dy.shape[:2]
    H, W = input_size
    dx = np.empty((N, C, H, W), dy.dtype)  # (N, C, H, W)
    for n in range(N):
        for c in range(C):
            for row in range(H):
                for column in range(W):
                    dx[n, c, row, column] = dy[n, c, 0, 0] / (H * W)
    return dx


@quiet
def adaptive_avg_pool2d(x: Array, output_size: Pair) -> Array:
    """The mean of each bin; bins cover the map and may share a row or a column."""
    N, C, H, W = x.shape
    OH, OW = output_size
    y = np.empty((N, C, OH, OW), x.dtype)  # (N, C, OH, OW)
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                top, bottom = adaptive_bin(oh, H, OH)
                for ow in range(OW):
                    left, right = adaptive_bin(ow, W, OW)
                    total = np.float64(0)
                    for row in range(top, bottom):
                        for column in range(left, right):
                            total += x[n, c, row, column]
                    y[n, c, oh, ow] = total / ((bottom - top) * (right - left))
    return y


@quiet
def adaptive_avg_pool2d_backward(dy: Array, input_size: Pair) -> Array:
    """Every pixel of a bin gets the same share of its gradient."""
    N, C, OH, OW = dy.shape
    H, W = input_size
    dx = np.zeros((N, C, H, W))  # (N, C, H, W)
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                top, bottom = adaptive_bin(oh, H, OH)
                for ow in range(OW):
                    left, right = adaptive_bin(ow, W, OW)
                    share = dy[n, c, oh, ow] / ((bottom - top) * (right - left))
                    for row in range(top, bottom):
                        for column in range(left, right):
                            dx[n, c, row, column] += share
    return dx.astype(dy.dtype)
