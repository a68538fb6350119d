"""Pooling of regions of interest (RoI), compiled and parallel over planes: the reference's loops, shared out.

A region is a row of rois: batch index, x1, y1, x2, y2. The box may lie partly or wholly outside the map.
The forwards run over planes of y (one region and channel), the backwards over planes of dx (one image and
channel): regions that overlap write to the same pixels, so that one thread does all of them, in order.
"""

import math

import numpy as np
from numba import prange

from minisegnet.arrays import Array
from minisegnet.buffers import fresh
from minisegnet.sizes import Pair

from .launch import exact, parallel_kernel
from .pool import best_column, best_rows

# ---------------------------------------------------------------------------------------------------------
# RoI pooling: corners rounded to whole pixels, the maximum of each bin


@exact
def _round(value):
    """Round to the nearest whole number, halves away from zero."""
    whole = math.floor(abs(value))
    if abs(value) - whole >= 0.5:  # not floor(value + 0.5): that sum can itself be rounded up
        whole += 1
    return whole if value >= 0 else -whole


@exact
def _bin_edges(begin, end, bins, size, scale):
    """First pixel of each bin and the one after its last, of all regions on one axis, clipped to the map."""
    edges = np.empty((len(begin), bins, 2), np.int64)
    for r in range(len(begin)):
        start = _round(begin[r] * scale)
        extent = max(_round(end[r] * scale) - start + 1, 1)  # both corners belong to the region
        for i in range(bins):
            first = start + i * extent // bins
            stop = start - (-(i + 1) * extent // bins)  # two minus signs around a floor make a ceiling
            edges[r, i] = min(max(first, 0), size), min(max(stop, 0), size)
    return edges


def roi_pool(x: Array, rois: Array, output_size: Pair, *, spatial_scale: float) -> tuple[Array, Array]:
    """The maximum of each bin of each region, and where it was."""
    (H, W), (OH, OW), scale = x.shape[2:], output_size, rois.dtype.type(spatial_scale)
    images, x1, y1, x2, y2 = rois.T.copy()  # each (R,); divided once, not for every channel
    rows, columns = _bin_edges(y1, y2, OH, H, scale), _bin_edges(x1, x2, OW, W, scale)
    y = fresh((len(rois), x.shape[1], OH, OW), x.dtype)  # (R, C, OH, OW)
    argmax = fresh(y.shape, np.int64)  # (R, C, OH, OW)
    _roi_pool(y, argmax, x, images.astype(np.int64), rows, columns)
    return y, argmax


@parallel_kernel
def _roi_pool(y, argmax, x, images, rows, columns):
    """For each row of bins the maximum of every column first, then that of each bin's columns."""
    (R, C, OH, OW), W = y.shape, x.shape[3]
    for plane in prange(R * C):
        r, c = plane // C, plane % C
        image = x[images[r], c]
        first, last = columns[r, 0, 0], columns[r, OW - 1, 1]
        best, place = np.empty(W, x.dtype), np.empty(W, np.int32)
        for i in range(OH):
            top, bottom = rows[r, i]
            if top < bottom:
                best_rows(best, place, image, top, bottom, first, last)
            for j in range(OW):
                left, right = columns[r, j]
                if top >= bottom or left >= right:
                    y[r, c, i, j], argmax[r, c, i, j] = 0, -1
                else:
                    t = best_column(best, place, left - first, right - first)
                    y[r, c, i, j], argmax[r, c, i, j] = best[t], np.int64(place[t]) * W + first + t


def roi_pool_backward(dy: Array, argmax: Array, rois: Array, input_shape: tuple[int, int, int, int]) -> Array:
    """Each gradient goes to the pixel that won; where regions overlap, they add up."""
    N, C, H, W = input_shape
    dx = fresh((N, C, H * W), dy.dtype)  # (N, C, H * W)
    _roi_pool_backward(dy, argmax, rois, dx)
    return dx.reshape(input_shape)  # (N, C, H, W)


@parallel_kernel
def _roi_pool_backward(dy, argmax, rois, dx):
    (N, C, _), (R, C, OH, OW) = dx.shape, dy.shape
    for plane in prange(N * C):
        n, c = plane // C, plane % C
        dx[n, c, :] = 0
        for r in range(R):
            if rois[r, 0] != n:
                continue
            for i in range(OH):
                for j in range(OW):
                    if argmax[r, c, i, j] >= 0:
                        dx[n, c, argmax[r, c, i, j]] += dy[r, c, i, j]  # regions that overlap add up


# ---------------------------------------------------------------------------------------------------------
# RoI align: nothing is rounded, the mean of bilinear samples in each bin


@exact
def _position(t, i, start, length, count):
    """Coordinate of sample t in bin i, in the arrays' own dtype."""
    number = type(start)
    return start + number(i) * length + (number(t) + number(0.5)) * length / number(count)


@exact
def _first_beyond(limit, i, start, length, count):
    """Find the first sample of bin i that lies beyond limit, by halving: positions grow with t.

    A box of a thousand million pixels is as quick as a small one.
    """
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if _position(middle, i, start, length, count) > limit:
            high = middle
        else:
            low = middle + 1
    return low


@exact
def _axis(begin, end, bins, scale, sampling_ratio, aligned):
    """Where a region starts on one axis, how long its bins are and how many samples each has by rights."""
    number = type(begin)
    offset = number(0.5) if aligned else number(0)
    start = begin * scale - offset
    extent = end * scale - offset - start
    if not aligned:
        extent = max(extent, number(1))
    count = sampling_ratio if sampling_ratio > 0 else math.ceil(extent / number(bins))
    return start, extent / number(bins), count


@exact
def _axis_samples(begin, end, bins, size, scale, sampling_ratio, aligned):
    """Place the samples of all regions along one axis, in one flat list.

    Samples of region r and bin i are those from places[r, i, 0] to places[r, i, 1]. Sample s lies between pixels low[s]
    and low[s] + 1, at fraction[s] of the way. One that is more than a pixel outside the map counts as 0: it is
    left out, though counts[r] counts it.
    """
    R, just_before = len(begin), np.nextafter(begin.dtype.type(-1), begin.dtype.type(-2))
    places = np.zeros((R, bins, 2), np.int64)
    counts = np.zeros(R)  # as float64: the product of two counts may not fit 64 bits
    total = 0
    for r in range(R):
        start, length, count = _axis(begin[r], end[r], bins, scale, sampling_ratio, aligned)
        counts[r] = max(count, 0)
        for i in range(bins):
            places[r, i, 0] = total
            total += _first_beyond(size, i, start, length, count)
            total -= _first_beyond(just_before, i, start, length, count)
            places[r, i, 1] = total

    low, fraction = np.zeros(total, np.int64), np.zeros(total, begin.dtype)
    for r in range(R):
        start, length, count = _axis(begin[r], end[r], bins, scale, sampling_ratio, aligned)
        for i in range(bins):
            first = _first_beyond(just_before, i, start, length, count)
            for s in range(places[r, i, 0], places[r, i, 1]):
                t = first + s - places[r, i, 0]
                position = max(_position(t, i, start, length, count), type(start)(0))
                low[s] = min(int(position), size - 1)
                if low[s] < size - 1:
                    fraction[s] = position - type(start)(low[s])
    return places, low, fraction, counts


def _samples(
    rois: Array, output_size: Pair, size: Pair, spatial_scale: float, sampling_ratio: int, aligned: bool
) -> tuple[Array, ...]:
    """Rows and columns of all samples, and 1 / (how many a bin has): made once, used for every channel."""
    (OH, OW), (H, W) = output_size, size
    x1, y1, x2, y2 = rois[
        :, 1:
    ].T.copy()  # each (R,); a copy, as read-only ones would compile everything anew
    scale = rois.dtype.type(spatial_scale)
    *rows, row_counts = _axis_samples(y1, y2, OH, H, scale, sampling_ratio, aligned)
    *columns, column_counts = _axis_samples(x1, x2, OW, W, scale, sampling_ratio, aligned)
    share = (1 / np.maximum(row_counts * column_counts, 1)).astype(rois.dtype)  # (R,)
    return *rows, *columns, share


def roi_align(
    x: Array, rois: Array, output_size: Pair, *, spatial_scale: float, sampling_ratio: int, aligned: bool
) -> Array:
    """The mean of each bin's samples, each blended from the four pixels around it."""
    samples = _samples(rois, output_size, x.shape[2:], spatial_scale, sampling_ratio, aligned)
    y = fresh((len(rois), x.shape[1], *output_size), x.dtype)  # (R, C, OH, OW)
    _roi_align(x, rois, *samples, y)
    return y


@parallel_kernel
def _roi_align(x, rois, rows, low_row, row_fraction, columns, low_column, column_fraction, share, y):
    (H, W), (R, C, OH, OW) = x.shape[2:], y.shape
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for plane in prange(R * C):
        r, c = plane // C, plane % C
        image = x[int(rois[r, 0]), c]
        for i in range(OH):
            for j in range(OW):
                total = zero
                for s in range(rows[r, i, 0], rows[r, i, 1]):
                    top, weight_bottom = image[low_row[s]], row_fraction[s]
                    bottom, weight_top = image[min(low_row[s] + 1, H - 1)], one - row_fraction[s]
                    for t in range(columns[r, j, 0], columns[r, j, 1]):
                        left, weight_right = low_column[t], column_fraction[t]
                        right, weight_left = min(left + 1, W - 1), one - column_fraction[t]
                        total += weight_top * (weight_left * top[left] + weight_right * top[right])
                        total += weight_bottom * (weight_left * bottom[left] + weight_right * bottom[right])
                y[r, c, i, j] = total * share[r]


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
    samples = _samples(rois, dy.shape[2:], input_shape[2:], spatial_scale, sampling_ratio, aligned)
    dx = np.zeros(input_shape, dy.dtype)  # (N, C, H, W)
    _roi_align_backward(dy, rois, *samples, dx)
    return dx


@parallel_kernel
def _roi_align_backward(
    dy, rois, rows, low_row, row_fraction, columns, low_column, column_fraction, share, dx
):
    (R, C, OH, OW), (N, C, H, W) = dy.shape, dx.shape
    one = dy.dtype.type(1)
    for plane in prange(N * C):
        n, c = plane // C, plane % C
        image = dx[n, c]
        for r in range(R):
            if rois[r, 0] != n:
                continue
            for i in range(OH):
                for j in range(OW):
                    d = dy[r, c, i, j] * share[r]
                    for s in range(rows[r, i, 0], rows[r, i, 1]):
                        top, weight_bottom = image[low_row[s]], row_fraction[s]
                        bottom, weight_top = image[min(low_row[s] + 1, H - 1)], one - row_fraction[s]
                        for t in range(columns[r, j, 0], columns[r, j, 1]):
                            left, weight_right = low_column[t], column_fraction[t]
                            right, weight_left = min(left + 1, W - 1), one - column_fraction[t]
                            top[left] += weight_top * weight_left * d
                            top[right] += weight_top * weight_right * d
                            bottom[left] += weight_bottom * weight_left * d
                            bottom[right] += weight_bottom * weight_right * d
