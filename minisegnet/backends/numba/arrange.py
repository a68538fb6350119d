"""Putting arrays together, adding, cropping and padding them, compiled: whole rows at a time, on all cores.

These ops move memory and compute next to nothing. Each task of a ``prange`` writes a row, or a run of elements, that
no other touches.
"""

import math
from collections.abc import Sequence

from numba import prange

from minisegnet.arrays import Array
from minisegnet.buffers import fresh, fresh_like
from minisegnet.sizes import Pair, crop2d_start

from .launch import helper, parallel_kernel

RUN = 8192  # elements that one task copies or adds at most


def concat(arrays: Sequence[Array], *, axis: int) -> Array:
    """Copy each array into its share of the result."""
    shape = list(arrays[0].shape)
    shape[axis] = sum(x.shape[axis] for x in arrays)
    result = fresh(shape, arrays[0].dtype)
    y = _outer_inner(result, axis)  # (O, A * I)
    start = 0
    for array in arrays:
        x = _outer_inner(array, axis)  # (O, its share of A * I)
        _copy(y, x, start, 0, x.shape[1])
        start += x.shape[1]
    return result


def concat_backward(dy: Array, sizes: Sequence[int], *, axis: int) -> list[Array]:
    """Copy each array's share out of dy."""
    whole = _outer_inner(dy, axis)  # (O, A * I)
    gradients, start = [], 0
    for share in sizes:
        gradients.append(fresh((*dy.shape[:axis], share, *dy.shape[axis + 1 :]), dy.dtype))
        dx = _outer_inner(gradients[-1], axis)  # (O, share * I)
        _copy(dx, whole, 0, start, dx.shape[1])
        start += dx.shape[1]
    return gradients


def _outer_inner(array, axis):
    """View an array as a matrix: the axes before ``axis``, and the others."""
    return array.reshape(math.prod(array.shape[:axis]), math.prod(array.shape[axis:]))


@parallel_kernel
def _copy(target, source, to, begin, length):
    """target[o, to : to + length] = source[o, begin : begin + length], in runs."""
    runs = -(-length // RUN)
    for task in prange(len(source) * runs):
        o, first = task // runs, task % runs * RUN
        last = min(first + RUN, length)
        out, run = target[o, to + first : to + last], source[o, begin + first : begin + last]
        for i in range(out.size):
            out[i] = run[i]


def add(a: Array, b: Array) -> Array:
    """Element by element."""
    y = fresh_like(a)
    _add(y.reshape(y.size), a.reshape(a.size), b.reshape(b.size))
    return y


@parallel_kernel
def _add(y, a, b):
    for task in prange(-(-y.size // RUN)):
        first, last = task * RUN, min(task * RUN + RUN, y.size)
        out, left, right = y[first:last], a[first:last], b[first:last]
        for i in range(out.size):
            out[i] = left[i] + right[i]


def add_backward(dy: Array) -> tuple[Array, Array]:
    """A sum passes its gradient on to both."""
    da, db = fresh_like(dy), fresh_like(dy)
    flat = dy.reshape(1, dy.size)
    for gradient in (da, db):
        _copy(gradient.reshape(1, dy.size), flat, 0, 0, dy.size)
    return da, db


def crop2d(x: Array, size: Pair) -> Array:
    """Copy the middle of each map."""
    y = fresh((*x.shape[:2], *size), x.dtype)  # (N, C, h, w)
    _crop(y, x, crop2d_start(x.shape[2:], size))
    return y


@parallel_kernel
def _crop(y, x, start):
    N, C, h, w = y.shape
    top, left = start
    for task in prange(N * C * h):
        n, c, i = task // (C * h), task // h % C, task % h
        out, row = y[n, c, i], x[n, c, top + i, left : left + w]
        for j in range(w):
            out[j] = row[j]


def crop2d_backward(dy: Array, input_size: Pair) -> Array:
    """Copy dy into the middle of zeros."""
    dx = fresh((*dy.shape[:2], *input_size), dy.dtype)  # (N, C, H, W)
    _pad(dx, dy, crop2d_start(input_size, dy.shape[2:]), False)
    return dx


def pad2d(x: Array, padding: Pair, *, mode: str) -> Array:
    """Each row of the larger map shows a row of the map, or zeros; and so do its columns."""
    (N, C, H, W), (ph, pw) = x.shape, padding
    y = fresh((N, C, H + 2 * ph, W + 2 * pw), x.dtype)  # (N, C, H + 2 ph, W + 2 pw)
    _pad(y, x, padding, mode == "reflect")
    return y


@parallel_kernel
def _pad(y, x, before, reflect):
    """Place x in y, ``before`` = (rows, columns) from its corner. What lies around it mirrors it or is 0."""
    (N, C, PH, _), (H, W) = y.shape, x.shape[2:]
    top, left = before
    for task in prange(N * C * PH):
        n, c, i = task // (C * PH), task // PH % C, task % PH
        row, out = i - top, y[n, c, i]
        if reflect:  # the edge itself isn't repeated
            row = -row if row < 0 else 2 * (H - 1) - row if row >= H else row
        if row < 0 or row >= H:
            out[:] = 0
            continue
        shown = x[n, c, row]
        for j in range(left):
            out[j] = shown[left - j] if reflect else 0
        middle = out[left : left + W]
        for j in range(W):
            middle[j] = shown[j]
        right = out[left + W :]
        for j in range(right.size):
            right[j] = shown[W - 2 - j] if reflect else 0


def pad2d_backward(dy: Array, padding: Pair, *, mode: str) -> Array:
    """Each row collects from all the rows where it was shown."""
    (N, C, PH, PW), (ph, pw) = dy.shape, padding
    size = (PH - 2 * ph, PW - 2 * pw)
    dx = fresh((N, C, *size), dy.dtype)  # (N, C, H, W)
    if mode == "reflect":
        _unfold_mirror(dx, dy, padding)
    else:
        _crop(dx, dy, padding)
    return dx


@parallel_kernel
def _unfold_mirror(dx, dy, padding):
    """Row i of x was shown in row ph + i of y; also above the map if 1 <= i <= ph, and below it likewise."""
    N, C, H, _ = dx.shape
    ph, pw = padding
    for task in prange(N * C * H):
        n, c, i = task // (C * H), task // H % C, task % H
        out, gradients = dx[n, c, i], dy[n, c]
        out[:] = 0
        collect(out, gradients[ph + i], pw)
        if 1 <= i <= ph:
            collect(out, gradients[ph - i], pw)
        if 1 <= H - 1 - i <= ph:
            collect(out, gradients[ph + 2 * (H - 1) - i], pw)


@helper
def collect(out, row, pw):
    """Add a row of dy, folded back at the edges, to a row of dx."""
    W = out.size
    middle = row[pw : pw + W]
    for j in range(W):
        out[j] += middle[j]
    for j in range(1, pw + 1):
        out[j] += row[pw - j]
        out[W - 1 - j] += row[pw + W - 1 + j]
