"""Pooling of regions of interest (RoI) in plain loops: the definition that every other backend is compared with.

A region is a row of rois: batch index, x1, y1, x2, y2. The box may lie partly or wholly outside the map.
"""

import math
from bisect import bisect_left, bisect_right
from functools import partial

import numpy as np

from minisegnet.arrays import Array
from minisegnet.sizes import Pair

# ---------------------------------------------------------------------------------------------------------
# RoI pooling: corners rounded to whole pixels, the maximum of each bin


def _round(value: float) -> int:
    """Round to the nearest whole number, halves away from zero."""
    whole = math.floor(abs(value))
    if abs(value) - whole >= 0.5:  # not floor(value + 0.5): that sum can itself be rounded up
        whole += 1
    return whole if value >= 0 else -whole


def _bin(i: int, start: int, extent: int, bins: int, size: int) -> Pair:
    """First pixel of bin i and the one after its last, on one axis, clipped to the map."""
    first = start + i * extent // bins
    stop = start - (-(i + 1) * extent // bins)  # two minus signs around a floor make a ceiling
    return min(max(first, 0), size), min(max(stop, 0), size)


def _maximum(image: Array, top: int, bottom: int, left: int, right: int) -> tuple[float, int]:
    """Return the first maximum of a window and its flat position; a NaN wins, the last of several NaNs."""
    if top >= bottom or left >= right:
        return 0.0, -1
    W = image.shape[1]
    best, place = -math.inf, top * W + left
    for row in range(top, bottom):
        for column in range(left, right):
            v = image[row, column]
            if v > best or v != v:  # only NaN is unequal to itself
                best, place = v, row * W + column
    return best, place


def roi_pool(x: Array, rois: Array, output_size: Pair, *, spatial_scale: float) -> tuple[Array, Array]:
    """The maximum of each bin of each region, and where it was."""
    R, (C, H, W), (OH, OW) = len(rois), x.shape[1:], output_size
    scale = rois.dtype.type(spatial_scale)
    y = np.empty((R, C, OH, OW), x.dtype)  # (R, C, OH, OW)
    argmax = np.empty((R, C, OH, OW), np.int64)  # (R, C, OH, OW)
    for r in range(R):
        n = int(rois[r, 0])
        x1, y1 = _round(rois[r, 1] * scale), _round(rois[r, 2] * scale)
        x2, y2 = _round(rois[r, 3] * scale), _round(rois[r, 4] * scale)
        h, w = max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)  # both corners belong to the region
        for c in range(C):
            for i in range(OH):
                top, bottom = _bin(i, y1, h, OH, H)
                for j in range(OW):
                    left, right = _bin(j, x1, w, OW, W)
                    y[r, c, i, j], argmax[r, c, i, j] = _maximum(x[n, c], top, bottom, left, right)
    return y, argmax


def roi_pool_backward(dy: Array, argmax: Array, rois: Array, input_shape: tuple[int, int, int, int]) -> Array:
    """Each gradient goes to the pixel that won; where regions overlap, they add up."""
    R, C, OH, OW = dy.shape
    N, C, H, W = input_shape
    dx = np.zeros((N, C, H * W))  # (N, C, H * W), in float64 until the sums are complete
    for r in range(R):
        n = int(rois[r, 0])
        for c in range(C):
            for i in range(OH):
                for j in range(OW):
                    if argmax[r, c, i, j] >= 0:
                        dx[n, c, argmax[r, c, i, j]] += dy[r, c, i, j]  # regions that overlap add up
    return dx.reshape(input_shape).astype(dy.dtype)  # (N, C, H, W)


# ---------------------------------------------------------------------------------------------------------
# RoI align: nothing is rounded, the mean of bilinear samples in each bin


def _position(t: int, i: int, start: float, length: float, count: int) -> float:
    """Coordinate of sample t in bin i, in the arrays' own dtype: floor() shows the last bit."""
    number = type(start)
    return start + number(i) * length + (number(t) + number(0.5)) * length / number(count)


def _axis_samples(
    begin: float, end: float, bins: int, size: int, *, scale: float, sampling_ratio: int, aligned: bool
) -> tuple[list[list[tuple[int, int, float, float]]], int]:
    """Place the samples of one region along one axis.

    Returns a list for each bin, and the number of samples that a bin has by rights. A sample is the two pixels that
    it lies between and their weights. One that is more than a pixel outside the map counts as 0: it is left
    out of the list.
    """
    number = type(begin)
    offset = number(0.5) if aligned else number(0)
    start = begin * scale - offset
    extent = end * scale - offset - start
    if not aligned:
        extent = max(extent, number(1))
    count = sampling_ratio if sampling_ratio > 0 else math.ceil(extent / number(bins))
    length = extent / number(bins)

    samples = []
    for i in range(bins):
        position = partial(_position, i=i, start=start, length=length, count=count)
        # Positions grow with t, so that those on the map are one range. Looking for its ends by halving
        # makes a box of a thousand million pixels as quick as a small one.
        first = bisect_left(range(count), -1, key=position)
        stop = bisect_right(range(count), size, key=position)
        samples.append([_between(position(t), size) for t in range(first, stop)])
    return samples, max(count, 0)


def _between(position: float, size: int) -> tuple[int, int, float, float]:
    """Return the two pixels that a position lies between, and the weight of each."""
    number = type(position)
    position = max(position, number(0))
    low = int(position)
    if low >= size - 1:
        return size - 1, size - 1, 1.0, 0.0
    fraction = position - number(low)
    return low, low + 1, float(number(1) - fraction), float(fraction)


def roi_align(
    x: Array, rois: Array, output_size: Pair, *, spatial_scale: float, sampling_ratio: int, aligned: bool
) -> Array:
    """The mean of each bin's samples, each blended from the four pixels around it."""
    R, (C, H, W), (OH, OW) = len(rois), x.shape[1:], output_size
    options = {"scale": rois.dtype.type(spatial_scale), "sampling_ratio": sampling_ratio, "aligned": aligned}
    y = np.empty((R, C, OH, OW), x.dtype)  # (R, C, OH, OW)
    for r in range(R):
        n = int(rois[r, 0])
        rows, row_count = _axis_samples(rois[r, 2], rois[r, 4], OH, H, **options)
        columns, column_count = _axis_samples(rois[r, 1], rois[r, 3], OW, W, **options)
        for c in range(C):
            for i in range(OH):
                for j in range(OW):
                    total = 0.0
                    for top, bottom, weight_top, weight_bottom in rows[i]:
                        for left, right, weight_left, weight_right in columns[j]:
                            total += weight_top * weight_left * float(x[n, c, top, left])
                            total += weight_top * weight_right * float(x[n, c, top, right])
                            total += weight_bottom * weight_left * float(x[n, c, bottom, left])
                            total += weight_bottom * weight_right * float(x[n, c, bottom, right])
                    y[r, c, i, j] = total / max(row_count * column_count, 1)
    return y


def roi_align_backward(
    dy: Array,
    rois: Array,
    input_shape: tuple[int, int, int, int],
    *,
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Array:
    """Each gradient goes to the same pixels as its samples came from, with the same weights."""
    R, C, OH, OW = dy.shape
    N, C, H, W = input_shape
    options = {"scale": rois.dtype.type(spatial_scale), "sampling_ratio": sampling_ratio, "aligned": aligned}
    dx = np.zeros((N, C, H, W))  # (N, C, H, W), in float64 until the sums are complete
    for r in range(R):
        n = int(rois[r, 0])
        rows, row_count = _axis_samples(rois[r, 2], rois[r, 4], OH, H, **options)
        columns, column_count = _axis_samples(rois[r, 1], rois[r, 3], OW, W, **options)
        for c in range(C):
            for i in range(OH):
                for j in range(OW):
                    share = float(dy[r, c, i, j]) / max(row_count * column_count, 1)
                    for top, bottom, weight_top, weight_bottom in rows[i]:
                        for left, right, weight_left, weight_right in columns[j]:
                            dx[n, c, top, left] += weight_top * weight_left * share
                            dx[n, c, top, right] += weight_top * weight_right * share
                            dx[n, c, bottom, left] += weight_bottom * weight_left * share
                            dx[n, c, bottom, right] += weight_bottom * weight_right * share
    return dx.astype(dy.dtype)
