"""Pooling and unpooling.

A loop over pixels would be slow, a loop over the taps of a window is not: tap (i, j) of all windows at once is
one strided slice of x. So every pooling here is a short loop over taps, each step on whole images.
Sums are separable: first down the columns, then along the rows, which takes KH + KW steps instead of KH * KW.
"""

import numpy as np

from minisegnet.arrays import Array
from minisegnet.sizes import Pair, adaptive_bin, pool2d_size


def _tap_slices(offset, size, output_size, stride):
    """The outputs whose window has the position `o * stride + offset` in the map, and those positions."""
    first = max(0, -(offset // stride))  # the first o with o * stride + offset >= 0
    stop = max(first, min(output_size, -((offset - size) // stride)))  # beyond the last o that is < size
    return slice(first, stop), slice(first * stride + offset, stop * stride + offset, stride)


# ---------------------------------------------------------------------------------------------------------
# Maximum


@np.errstate(invalid="ignore")
def max_pool2d(
    x: Array, kernel_size: Pair, *, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> tuple[Array, Array]:
    """Compare one tap of all windows after the other with the best so far."""
    (N, C, H, W), (KH, KW) = x.shape, kernel_size
    OH, OW = pool2d_size(
        (H, W), kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )
    y = np.full((N, C, OH, OW), -np.inf, x.dtype)  # the best so far
    indices = np.empty((N, C, OH, OW), np.int64)  # and where it was
    rows = _first_positions(OH, stride[0], padding[0], dilation[0])
    cols = _first_positions(OW, stride[1], padding[1], dilation[1])
    indices[...] = rows[:, None] * W + cols  # a window of nothing but -inf keeps its first position
    positions = np.arange(H * W, dtype=np.int64).reshape(H, W)
    for i in range(KH):
        to_rows, from_rows = _tap_slices(i * dilation[0] - padding[0], H, OH, stride[0])
        for j in range(KW):
            to_cols, from_cols = _tap_slices(j * dilation[1] - padding[1], W, OW, stride[1])
            for n in range(N):  # the images one by one, because a step on one of them stays in the cache
                value = x[n, :, from_rows, from_cols]  # tap (i, j) of all windows that have it inside the map
                best = y[n, :, to_rows, to_cols]
                index = indices[n, :, to_rows, to_cols]
                better = (value > best) | (value != value)  # the first maximum stays; a NaN always wins
                np.maximum(best, value, out=best)  # and np.maximum never lets go of a NaN
                # index = where(better, position, index), but without a branch for every element
                index += (positions[from_rows, from_cols] - index) * better
    return y, indices


def _first_positions(output_size, stride, padding, dilation):
    """The first position inside the map of every window on one axis."""
    start = np.arange(output_size, dtype=np.int64) * stride - padding
    return start + -(np.minimum(start, 0) // dilation) * dilation


@np.errstate(over="ignore", invalid="ignore")
def max_pool2d_backward(dy: Array, indices: Array, input_size: Pair) -> Array:
    """Add each gradient where its maximum was."""
    (N, C, _, _), (H, W) = dy.shape, input_size
    dx = np.empty((N, C, H, W), dy.dtype)
    for n in range(N):  # image by image, because the sums are collected in float64
        dx[n] = add_at(_plane_offsets(indices[n], H * W), dy[n], C * H * W).reshape(C, H, W)
    return dx


def add_at(positions: Array, values: Array, size: int) -> Array:
    """Add each value to a flat array of zeros, at its position; positions may repeat.

    `array[positions] += values` would keep only one of several values with the same position. `np.bincount`
    adds them all, in order. Its sums are float64; they are rounded where the caller puts them.
    """
    return np.bincount(positions.reshape(-1), weights=values.reshape(-1), minlength=size)


def _plane_offsets(indices, plane):
    """Indices into each (H, W) plane as indices into all planes in a row."""
    planes = np.arange(indices.size // max(1, indices.shape[-2] * indices.shape[-1]), dtype=np.int64)
    return np.add(indices, (planes * plane).reshape(*indices.shape[:-2], 1, 1), dtype=np.int64)


def max_unpool2d(x: Array, indices: Array, output_size: Pair) -> Array:
    """Write each value where its index says."""
    (N, C, _, _), (H, W) = x.shape, output_size
    y = np.zeros(N * C * H * W, x.dtype)
    # Assigned in row-major order through one flat index: where an index repeats, the last write wins.
    y[_plane_offsets(indices, H * W).reshape(-1)] = x.reshape(-1)
    return y.reshape(N, C, H, W)  # (N, C, H, W)


def max_unpool2d_backward(dy: Array, indices: Array) -> Array:
    """Read dy at each index."""
    return dy.reshape(-1)[_plane_offsets(indices, dy.shape[2] * dy.shape[3])]  # (N, C, H, W)


# ---------------------------------------------------------------------------------------------------------
# Average


@np.errstate(over="ignore", invalid="ignore")
def avg_pool2d(
    x: Array, kernel_size: Pair, *, stride: Pair, padding: Pair, ceil_mode: bool, count_include_pad: bool
) -> Array:
    """Add up the taps of all windows, down and then across, and divide."""
    (N, C, H, W), (KH, KW) = x.shape, kernel_size
    OH, OW = pool2d_size((H, W), kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    down = np.zeros((N, C, OH, W), x.dtype)
    for i in range(KH):
        to_rows, from_rows = _tap_slices(i - padding[0], H, OH, stride[0])
        down[:, :, to_rows] += x[:, :, from_rows]
    y = np.zeros((N, C, OH, OW), x.dtype)
    for j in range(KW):
        to_cols, from_cols = _tap_slices(j - padding[1], W, OW, stride[1])
        y[..., to_cols] += down[..., from_cols]
    y /= _window_sizes((OH, OW), (H, W), kernel_size, stride, padding, count_include_pad).astype(x.dtype)
    return y


@np.errstate(over="ignore", invalid="ignore")
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
    """Divide, and add to the taps of all windows, across and then down."""
    (N, C, OH, OW), (H, W), (KH, KW) = dy.shape, input_size, kernel_size
    sizes = _window_sizes((OH, OW), (H, W), kernel_size, stride, padding, count_include_pad)
    share = dy / sizes.astype(dy.dtype)  # every pixel of a window gets the same share
    down = np.zeros((N, C, OH, W), dy.dtype)
    for j in range(KW):
        to_cols, from_cols = _tap_slices(j - padding[1], W, OW, stride[1])
        down[..., from_cols] += share[..., to_cols]
    dx = np.zeros((N, C, H, W), dy.dtype)
    for i in range(KH):
        to_rows, from_rows = _tap_slices(i - padding[0], H, OH, stride[0])
        dx[:, :, from_rows] += down[:, :, to_rows]
    return dx


def _window_sizes(output_size, size, kernel_size, stride, padding, count_include_pad):
    """What each window's sum is divided by: its pixels, with or without those in the padding."""
    lengths = []
    for a in range(2):
        start = np.arange(output_size[a], dtype=np.int64) * stride[a] - padding[a]
        stop = np.minimum(start + kernel_size[a], size[a] + padding[a])  # beyond the padding there is nothing
        if not count_include_pad:
            start, stop = np.maximum(start, 0), np.minimum(stop, size[a])
        lengths.append(stop - start)
    return lengths[0][:, None] * lengths[1]  # (OH, OW)


@np.errstate(over="ignore", invalid="ignore")
def global_avg_pool2d(x: Array) -> Array:
    """The mean of each map."""
    return x.mean(axis=(2, 3), keepdims=True, dtype=np.float64).astype(x.dtype)  # (N, C, 1, 1)


@np.errstate(over="ignore", invalid="ignore")
def global_avg_pool2d_backward(dy: Array, input_size: Pair) -> Array:
    """Every pixel of a map gets the same share."""
    (N, C, _, _), (H, W) = dy.shape, input_size
    dx = np.empty((N, C, H, W), dy.dtype)
    dx[...] = dy / (H * W)  # the same share for every pixel
    return dx


# ---------------------------------------------------------------------------------------------------------
# Adaptive: bins of slightly different sizes, so the loop is over bins, each step on the whole batch


@np.errstate(invalid="ignore")
def adaptive_max_pool2d(x: Array, output_size: Pair) -> tuple[Array, Array]:
    """The maximum of each bin, in all maps at once."""
    (N, C, H, W), (OH, OW) = x.shape, output_size
    y = np.empty((N, C, OH, OW), x.dtype)
    indices = np.empty((N, C, OH, OW), np.int64)
    for i in range(OH):
        top, bottom = adaptive_bin(i, H, OH)
        for j in range(OW):
            left, right = adaptive_bin(j, W, OW)
            y[:, :, i, j], place = maximum_and_place(x[:, :, top:bottom, left:right])
            indices[:, :, i, j] = (top + place // (right - left)) * W + left + place % (right - left)
    return y, indices


def maximum_and_place(values: Array) -> tuple[Array, Array]:
    """The maximum over the last two axes and its place there: the first one, but the last NaN if any."""
    values = values.reshape(*values.shape[:-2], values.shape[-2] * values.shape[-1])  # (..., h * w)
    place = values.argmax(axis=-1)  # a NaN counts as the largest, but the first one
    best = np.take_along_axis(values, place[..., None], axis=-1)[..., 0]
    missing = np.isnan(best)
    if missing.any():
        last = values.shape[-1] - 1 - np.isnan(values)[..., ::-1].argmax(axis=-1)
        place = np.where(missing, last, place)
    return best, place


@np.errstate(over="ignore", invalid="ignore")
def adaptive_avg_pool2d(x: Array, output_size: Pair) -> Array:
    """The mean of each bin's rows, and then of its columns."""
    (N, C, H, W), (OH, OW) = x.shape, output_size
    down = np.empty((N, C, OH, W), x.dtype)
    for i in range(OH):
        top, bottom = adaptive_bin(i, H, OH)
        down[:, :, i] = x[:, :, top:bottom].sum(axis=2) / (bottom - top)
    y = np.empty((N, C, OH, OW), x.dtype)
    for j in range(OW):
        left, right = adaptive_bin(j, W, OW)
        y[..., j] = down[..., left:right].sum(axis=3) / (right - left)
    return y


@np.errstate(over="ignore", invalid="ignore")
def adaptive_avg_pool2d_backward(dy: Array, input_size: Pair) -> Array:
    """Share out over each bin's columns, and then over its rows."""
    (N, C, OH, OW), (H, W) = dy.shape, input_size
    down = np.zeros((N, C, OH, W), dy.dtype)
    for j in range(OW):
        left, right = adaptive_bin(j, W, OW)
        down[..., left:right] += dy[..., j : j + 1] / (right - left)
    dx = np.zeros((N, C, H, W), dy.dtype)
    for i in range(OH):
        top, bottom = adaptive_bin(i, H, OH)
        dx[:, :, top:bottom] += down[:, :, i : i + 1] / (bottom - top)
    return dx
