"""Pooling, compiled: the reference's loops, one plane (one channel of one image) at a time.

Each iteration of a ``prange`` writes one plane that no other iteration touches, so that the result does not
depend on the number of threads, and that gradients which meet in one pixel are added in a fixed order.

In ``max_pool2d`` the loops are turned inside out: each tap is compared with a whole row of windows, and the
innermost loop, over the windows, becomes vector instructions.
"""

import numpy as np
from numba import prange

from minisegnet.arrays import Array
from minisegnet.buffers import fresh
from minisegnet.sizes import Pair, adaptive_bin, pool2d_size

from .axes import Taps, apply, turned, windows
from .conv import tap_slices
from .fast import windows as fast
from .launch import helper, parallel_kernel


def planes(x: Array) -> Array:
    """Every channel of every image is pooled (or resized) by itself, so that the first two axes can be one."""
    N, C, H, W = x.shape
    return x.reshape(N * C, H, W)  # (N * C, H, W)


# ---------------------------------------------------------------------------------------------------------
# Maximum, and the way back


def max_pool2d(
    x: Array, kernel_size: Pair, *, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> tuple[Array, Array]:
    """The first maximum of each window in row-major order; a NaN beats every number, the last NaN wins."""
    N, C, H, W = x.shape
    OH, OW = pool2d_size(
        (H, W), kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )
    y = fresh((N, C, OH, OW), x.dtype)  # (N, C, OH, OW)
    indices = fresh((N, C, OH, OW), np.int64)  # (N, C, OH, OW)
    pool = fast.max_pool2d if fast.suits(x, kernel_size, dilation) else _max_pool2d
    pool(planes(y), planes(indices), planes(x), kernel_size, stride, padding, dilation)
    return y, indices


@parallel_kernel
def _max_pool2d(y, indices, x, kernel_size, stride, padding, dilation):
    P, OH, OW = y.shape
    H, W = x.shape[1:]
    KH, KW = kernel_size
    sh, sw = stride
    ph, pw = padding
    dh, dw = dilation
    slices = tap_slices(KW, sw, pw, dw, OW, W)
    for p in prange(P):
        for oh in range(OH):
            y[p, oh, :] = -np.inf
            indices[p, oh, :] = -1  # nothing seen yet; the first pixel counts even if it is -inf
            for i in range(KH):
                row = oh * sh - ph + i * dh
                if 0 <= row < H:
                    for j in range(KW):
                        first, last, begin, end = slices[j]  # windows first:last meet columns begin:end:sw
                        best, where = y[p, oh, first:last], indices[p, oh, first:last]
                        values = x[p, row, begin:end:sw]
                        for t in range(values.size):
                            value = values[t]
                            # Only NaN differs from itself.
                            if where[t] < 0 or value > best[t] or value != value:
                                best[t], where[t] = value, row * W + begin + t * sw


def max_pool2d_backward(dy: Array, indices: Array, input_size: Pair) -> Array:
    """Each gradient goes to the pixel that won; where one pixel won several windows, they add up."""
    N, C, OH, OW = dy.shape
    H, W = input_size
    dx = fresh((N, C, H, W), dy.dtype)  # (N, C, H, W)
    _add_at(dx.reshape(N * C, H * W), dy.reshape(N * C, OH * OW), _flat(indices))
    return dx


def _flat(indices: Array) -> Array:
    """Any integer dtype comes in; one compiled kernel, for int64, is enough."""
    N, C, OH, OW = indices.shape
    return indices.reshape(N * C, OH * OW).astype(np.int64, copy=False)  # (N * C, OH * OW)


@parallel_kernel
def _add_at(dx, dy, indices):
    P, M = dy.shape
    for p in prange(P):
        dx[p, :] = 0  # here, not for all planes beforehand: what follows finds this plane still in the cache
        for m in range(M):
            dx[p, np.uint64(indices[p, m])] += dy[p, m]


def max_unpool2d(x: Array, indices: Array, output_size: Pair) -> Array:
    """Each value goes back to where it came from, all else is zero; on a repeated index the last one stays."""
    N, C, H, W = x.shape
    OH, OW = output_size
    y = fresh((N, C, OH, OW), x.dtype)  # (N, C, OH, OW)
    _write_at(y.reshape(N * C, OH * OW), x.reshape(N * C, H * W), _flat(indices))
    return y


@parallel_kernel
def _write_at(y, x, indices):
    P, M = x.shape
    for p in prange(P):
        y[p, :] = 0
        for m in range(M):
            y[p, np.uint64(indices[p, m])] = x[p, m]


def max_unpool2d_backward(dy: Array, indices: Array) -> Array:
    """Each value reads the gradient at the place that it was sent to."""
    N, C, H, W = indices.shape
    OH, OW = dy.shape[2:]
    dx = fresh((N, C, H, W), dy.dtype)  # (N, C, H, W)
    _read_at(dx.reshape(N * C, H * W), dy.reshape(N * C, OH * OW), _flat(indices))
    return dx


@parallel_kernel
def _read_at(dx, dy, indices):
    P, M = dx.shape
    for p in prange(P):
        for m in range(M):
            dx[p, m] = dy[p, np.uint64(indices[p, m])]


def _bin_edges(size: int, outputs: int) -> Array:
    """Where each bin of an adaptive pooling begins and ends on one axis."""
    return np.array([adaptive_bin(i, size, outputs) for i in range(outputs)])  # (OH, 2)


def adaptive_max_pool2d(x: Array, output_size: Pair) -> tuple[Array, Array]:
    """The maximum of each bin, by the same rule; bins cover the map and may share a row or a column."""
    N, C = x.shape[:2]
    OH, OW = output_size
    y = fresh((N, C, OH, OW), x.dtype)  # (N, C, OH, OW)
    indices = fresh((N, C, OH, OW), np.int64)  # (N, C, OH, OW)
    rows, columns = (_bin_edges(*axis) for axis in zip(x.shape[2:], output_size, strict=True))
    _adaptive_max_pool2d(planes(y), planes(indices), planes(x), rows, columns)
    return y, indices


@helper
def best_rows(best, place, image, top, bottom, left, right):
    """Of the columns ``left`` to ``right``: the first maximum of rows ``top`` to ``bottom``, and in which row it is.

    The innermost loop, over the columns, becomes vector instructions. A NaN wins, and the last of several.
    """
    for t in range(right - left):
        best[t], place[t] = image[top, left + t], top
    for row in range(top + 1, bottom):
        for t in range(right - left):
            value = image[row, left + t]
            wins = (value > best[t]) | (value != value)
            best[t] = value if wins else best[t]
            place[t] = row if wins else place[t]


@helper
def best_column(best, place, begin, end):
    """Of the columns whose maxima are known, which one is first in row-major order among the largest."""
    winner, largest, row = begin, best[begin], place[begin]
    for t in range(begin + 1, end):
        value, below = best[t], place[t]
        first = (value > largest) | ((value == largest) & (below < row))
        last = (value != value) & ((largest == largest) | (below >= row))  # of several NaNs the last one wins
        wins = first | last  # no branches: which pixel wins can't be foreseen, and a wrong guess costs most
        winner = t if wins else winner
        largest = value if wins else largest
        row = below if wins else row
    return winner


@parallel_kernel
def _adaptive_max_pool2d(y, indices, x, rows, columns):
    P, OH, OW = y.shape
    W = x.shape[2]
    for p in prange(P):
        best, place = np.empty(W, x.dtype), np.empty(W, np.int32)
        for oh in range(OH):
            best_rows(best, place, x[p], rows[oh, 0], rows[oh, 1], 0, W)
            for ow in range(OW):
                column = best_column(best, place, columns[ow, 0], columns[ow, 1])
                y[p, oh, ow], indices[p, oh, ow] = best[column], np.int64(place[column]) * W + column


# ---------------------------------------------------------------------------------------------------------
# Mean: a table for each axis of what its windows read, and ``axes.apply``


def _windows(size: int, k: int, s: int, p: int, outputs: int, count_include_pad: bool) -> Taps:
    """Windows on one axis; what hangs over the padding (``ceil_mode``) never counts."""
    start = np.arange(outputs) * s - p
    stop = np.minimum(start + k, size + p)
    begin, end = np.maximum(start, 0), np.minimum(stop, size)
    return windows(begin, end, stop - start if count_include_pad else np.maximum(end - begin, 1), size)


def _bins(size: int, outputs: int) -> Taps:
    """Bins of an adaptive pooling on one axis."""
    begin, end = _bin_edges(size, outputs).T
    return windows(begin, end, end - begin, size)


def avg_pool2d(
    x: Array, kernel_size: Pair, *, stride: Pair, padding: Pair, ceil_mode: bool, count_include_pad: bool
) -> Array:
    """The mean of each window; ``count_include_pad`` divides by the padding's pixels too."""
    size = pool2d_size(x.shape[2:], kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    y = fresh((*x.shape[:2], *size), x.dtype)  # (N, C, OH, OW)
    axes = zip(x.shape[2:], kernel_size, stride, padding, size, strict=True)
    apply(planes(y), planes(x), *(_windows(*axis, count_include_pad) for axis in axes))
    return y


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
    dx = fresh((*dy.shape[:2], *input_size), dy.dtype)  # (N, C, H, W)
    axes = zip(input_size, kernel_size, stride, padding, dy.shape[2:], strict=True)
    apply(planes(dx), planes(dy), *(turned(_windows(*axis, count_include_pad), axis[0]) for axis in axes))
    return dx


def global_avg_pool2d(x: Array) -> Array:
    """The mean of each whole map."""
    N, C, H, W = x.shape
    y = fresh((N, C, 1, 1), x.dtype)  # (N, C, 1, 1)
    _mean(y.reshape(N * C), x.reshape(N * C, H * W))
    return y


@parallel_kernel(reassociate=True)
def _mean(y, x):
    P, M = x.shape
    for p in prange(P):
        total = np.float64(0)
        for m in range(M):
            total += x[p, m]
        y[p] = total / M


def global_avg_pool2d_backward(dy: Array, input_size: Pair) -> Array:
    """Every pixel of a map gets the same share of its gradient."""
    N, C = dy.shape[:2]
    H, W = input_size
    dx = fresh((N, C, H, W), dy.dtype)  # (N, C, H, W)
    _share(dx.reshape(N * C, H * W), dy.reshape(N * C))
    return dx


@parallel_kernel
def _share(dx, dy):
    P, M = dx.shape
    for p in prange(P):
        dx[p, :] = dy[p] / M


def adaptive_avg_pool2d(x: Array, output_size: Pair) -> Array:
    """The mean of each bin; bins cover the map and may share a row or a column."""
    y = fresh((*x.shape[:2], *output_size), x.dtype)  # (N, C, OH, OW)
    apply(planes(y), planes(x), *map(_bins, x.shape[2:], output_size))
    return y


def adaptive_avg_pool2d_backward(dy: Array, input_size: Pair) -> Array:
    """Every pixel of a bin gets the same share of its gradient."""
    dx = fresh((*dy.shape[:2], *input_size), dy.dtype)  # (N, C, H, W)
    axes = zip(input_size, dy.shape[2:], strict=True)
    apply(planes(dx), planes(dy), *(turned(_bins(*axis), axis[0]) for axis in axes))
    return dx
