"""Resizing from the definition: for every output pixel, ask where it lies in the input.

Coordinates and weights are computed in double precision, the weights then rounded to the map's dtype.
"""

import math

import numpy as np

from minisegnet.arrays import Array
from minisegnet.sizes import Pair

quiet = np.errstate(all="ignore")  # infinity and NaN are ordinary values here, not worth a warning


def _neighbours(size: int, output_size: int, align_corners: bool, dtype: np.dtype) -> tuple[Array, Array]:
    """Of every output position on one axis: its two neighbours in the input, and the weight of each."""
    near = np.empty((output_size, 2), np.int64)  # (OH, 2)
    weight = np.empty((output_size, 2), dtype)  # (OH, 2)
    for o in range(output_size):
        if align_corners:  # the centres of the corner pixels fall on each other
            source = o * (size - 1) / (output_size - 1) if output_size > 1 else 0.0
        else:  # the outer edges fall on each other, and a pixel's centre lies half a pixel inside
            source = max((o + 0.5) * size / output_size - 0.5, 0.0)
        near[o, 0] = min(math.floor(source), size - 1)
        near[o, 1] = min(near[o, 0] + 1, size - 1)
        fraction = source - near[o, 0]
        weight[o, 0], weight[o, 1] = 1 - fraction, fraction
    return near, weight


@quiet
def resize_bilinear(x: Array, size: Pair, *, align_corners: bool) -> Array:
    """Each output pixel is a weighted mean of the four input pixels around its place."""
    N, C, H, W = x.shape
    OH, OW = size
    rows, row_weight = _neighbours(H, OH, align_corners, x.dtype)
    columns, column_weight = _neighbours(W, OW, align_corners, x.dtype)
    y = np.empty((N, C, OH, OW), x.dtype)  # (N, C, OH, OW)
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                (top, bottom), (above, below) = rows[oh], row_weight[oh]
                for ow in range(OW):
                    (left, right), (before, after) = columns[ow], column_weight[ow]
                    upper = before * x[n, c, top, left] + after * x[n, c, top, right]
                    lower = before * x[n, c, bottom, left] + after * x[n, c, bottom, right]
                    y[n, c, oh, ow] = above * upper + below * lower
    return y


@quiet
def resize_bilinear_backward(dy: Array, input_size: Pair, *, align_corners: bool) -> Array:
    """Each gradient goes to the same four input pixels, with the same weights."""
    N, C, OH, OW = dy.shape
    H, W = input_size
    rows, row_weight = _neighbours(H, OH, align_corners, dy.dtype)
    columns, column_weight = _neighbours(W, OW, align_corners, dy.dtype)
    dx = np.zeros((N, C, H, W))  # (N, C, H, W)
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                (top, bottom), (above, below) = rows[oh], row_weight[oh]
                for ow in range(OW):
                    (left, right), (before, after) = columns[ow], column_weight[ow]
                    upper, lower = above * dy[n, c, oh, ow], below * dy[n, c, oh, ow]
                    dx[n, c, top, left] += before * upper
                    dx[n, c, top, right] += after * upper
                    dx[n, c, bottom, left] += before * lower
                    dx[n, c, bottom, right] += after * lower
    return dx.astype(dy.dtype)


def resize_nearest(x: Array, size: Pair) -> Array:
    """Each output pixel copies one input pixel: ``floor(i * H / OH)``, in whole numbers."""
    N, C, H, W = x.shape
    OH, OW = size
    y = np.empty((N, C, OH, OW), x.dtype)  # (N, C, OH, OW)
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                for ow in range(OW):
                    y[n, c, oh, ow] = x[n, c, oh * H // OH, ow * W // OW]
    return y


@quiet
def resize_nearest_backward(dy: Array, input_size: Pair) -> Array:
    """Each input pixel collects the gradients of its copies."""
    N, C, OH, OW = dy.shape
    H, W = input_size
    dx = np.zeros((N, C, H, W))  # (N, C, H, W)
    for n in range(N):
        for c in range(C):
            for oh in range(OH):
                for ow in range(OW):
                    dx[n, c, oh * H // OH, ow * W // OW] += dy[n, c, oh, ow]
    return dx.astype(dy.dtype)
