"""Resizing, compiled: the reference's loops, one plane (one channel of one image) at a time.

Each iteration of a ``prange`` writes one plane (or one row of y) that no other iteration touches, so that the
result does not depend on the number of threads.
"""

import math

import numpy as np
from numba import prange

from minisegnet.arrays import Array
from minisegnet.sizes import Pair

from .launch import exact, parallel_kernel
from .pool import planes


@exact
def _neighbours(size, output_size, align_corners, near, weight):
    """Of every output position on one axis: its two neighbours in the input, and the weight of each."""
    for o in range(output_size):
        if align_corners:  # the centres of the corner pixels fall on each other
            source = o * (size - 1) / (output_size - 1) if output_size > 1 else 0.0
        else:  # the outer edges fall on each other, and a pixel's centre lies half a pixel inside
            source = max((o + 0.5) * size / output_size - 0.5, 0.0)
        near[o, 0] = min(math.floor(source), size - 1)
        near[o, 1] = min(near[o, 0] + 1, size - 1)
        fraction = source - near[o, 0]
        weight[o, 0], weight[o, 1] = 1 - fraction, fraction


def _axis(size: int, output_size: int, align_corners: bool, dtype: np.dtype) -> tuple[Array, Array]:
    """Make room for the neighbours and the weights of one axis, and fill it in."""
    near = np.empty((output_size, 2), np.int64)  # (OH, 2)
    weight = np.empty((output_size, 2), dtype)  # (OH, 2)
    _neighbours(size, output_size, align_corners, near, weight)
    return near, weight


def resize_bilinear(x: Array, size: Pair, *, align_corners: bool) -> Array:
    """Each output pixel is a weighted mean of the four input pixels around its place."""
    N, C, H, W = x.shape
    OH, OW = size
    rows, row_weight = _axis(H, OH, align_corners, x.dtype)
    columns, column_weight = _axis(W, OW, align_corners, x.dtype)
    y = np.empty((N, C, OH, OW), x.dtype)  # (N, C, OH, OW)
    _resize_bilinear(planes(y), planes(x), rows, row_weight, columns, column_weight)
    return y


@parallel_kernel
def _resize_bilinear(y, x, rows, row_weight, columns, column_weight):
    P, OH, OW = y.shape
    for task in prange(P * OH):  # one row of y each
        p, oh = task // OH, task % OH
        top, bottom = rows[oh]
        above, below = row_weight[oh]
        for ow in range(OW):
            left, right = columns[ow]
            before, after = column_weight[ow]
            upper = before * x[p, top, left] + after * x[p, top, right]
            lower = before * x[p, bottom, left] + after * x[p, bottom, right]
            y[p, oh, ow] = above * upper + below * lower


def resize_bilinear_backward(dy: Array, input_size: Pair, *, align_corners: bool) -> Array:
    """Each gradient goes to the same four input pixels, with the same weights."""
    N, C, OH, OW = dy.shape
    H, W = input_size
    rows, row_weight = _axis(H, OH, align_corners, dy.dtype)
    columns, column_weight = _axis(W, OW, align_corners, dy.dtype)
    dx = np.empty((N, C, H, W), dy.dtype)  # (N, C, H, W)
    _resize_bilinear_backward(planes(dx), planes(dy), rows, row_weight, columns, column_weight)
    return dx


@parallel_kernel
def _resize_bilinear_backward(dx, dy, rows, row_weight, columns, column_weight):
    P, OH, OW = dy.shape
    for p in prange(P):
        total = np.zeros(dx.shape[1:])  # (H, W): one pixel may collect millions, so in double precision
        for oh in range(OH):
            top, bottom = rows[oh]
            above, below = row_weight[oh]
            for ow in range(OW):
                left, right = columns[ow]
                before, after = column_weight[ow]
                upper, lower = above * dy[p, oh, ow], below * dy[p, oh, ow]
                total[top, left] += before * upper
                total[top, right] += after * upper
                total[bottom, left] += before * lower
                total[bottom, right] += after * lower
        dx[p, :, :] = total


def resize_nearest(x: Array, size: Pair) -> Array:
    """Each output pixel copies one input pixel: ``floor(i * H / OH)``, in whole numbers."""
    y = np.empty((*x.shape[:2], *size), x.dtype)  # (N, C, OH, OW)
    _resize_nearest(planes(y), planes(x), _sources(x.shape[3], size[1]))
    return y


def _sources(size: int, output_size: int) -> Array:
    """Where each output position reads: divided once, not for every row."""
    return np.arange(output_size, dtype=np.int64) * size // output_size  # (OW,)


@parallel_kernel
def _resize_nearest(y, x, columns):
    P, OH, OW = y.shape
    H = x.shape[1]
    for task in prange(P * OH):  # one row of y each
        p, oh = task // OH, task % OH
        row = oh * H // OH
        for ow in range(OW):
            y[p, oh, ow] = x[p, row, columns[ow]]


def resize_nearest_backward(dy: Array, input_size: Pair) -> Array:
    """Each input pixel collects the gradients of its copies."""
    dx = np.empty((*dy.shape[:2], *input_size), dy.dtype)  # (N, C, H, W)
    _resize_nearest_backward(planes(dx), planes(dy), _sources(input_size[1], dy.shape[3]))
    return dx


@parallel_kernel
def _resize_nearest_backward(dx, dy, columns):
    P, OH, OW = dy.shape
    H, W = dx.shape[1:]
    for p in prange(P):
        total = np.zeros((H, W))  # in double precision, as above
        for oh in range(OH):
            row = oh * H // OH
            for ow in range(OW):
                total[row, columns[ow]] += dy[p, oh, ow]
        dx[p, :, :] = total
