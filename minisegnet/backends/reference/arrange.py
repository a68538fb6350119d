"""Putting arrays together, adding, cropping and padding them, in plain loops."""

from collections.abc import Sequence

import numpy as np

from minisegnet.arrays import Array
from minisegnet.sizes import Pair, crop2d_start, pad2d_size

from .activation import outer_axis_inner


def concat(arrays: Sequence[Array], *, axis: int) -> Array:
    """Copy one array after the other into the result."""
    shape = list(arrays[0].shape)
    shape[axis] = sum(x.shape[axis] for x in arrays)
    result = np.empty(shape, arrays[0].dtype)
    y = outer_axis_inner(result, axis)  # (O, A, I)
    start = 0
    for array in arrays:
        x = outer_axis_inner(array, axis)  # (O, its share of A, I)
        O, share, I = x.shape
        for o in range(O):
            for a in range(share):
                for i in range(I):
                    y[o, start + a, i] = x[o, a, i]
        start += share
    return result


def concat_backward(dy: Array, sizes: Sequence[int], *, axis: int) -> list[Array]:
    """Copy each array's part out of dy."""
    gradients = []
    start = 0
    for share in sizes:
        result = np.empty((*dy.shape[:axis], share, *dy.shape[axis + 1 :]), dy.dtype)
        dx, whole = outer_axis_inner(result, axis), outer_axis_inner(dy, axis)  # (O, share, I), (O, A, I)
        O, _, I = dx.shape
        for o in range(O):
            for a in range(share):
                for i in range(I):
                    dx[o, a, i] = whole[o, start + a, i]
        gradients.append(result)
        start += share
    return gradients


@np.errstate(over="ignore", invalid="ignore")  # inf - inf is NaN here as everywhere
def add(a: Array, b: Array) -> Array:
    """Element by element."""
    result = np.empty_like(a)
    a, b, y = a.reshape(-1), b.reshape(-1), result.reshape(-1)  # (size,)
    for i in range(a.size):
        y[i] = a[i] + b[i]
    return result


def add_backward(dy: Array) -> tuple[Array, Array]:
    """A sum passes its gradient on to both."""
    return dy.copy(), dy.copy()


def crop2d(x: Array, size: Pair) -> Array:
    """Copy the middle of each map."""
    N, C, H, W = x.shape
    h, w = size
    top, left = crop2d_start((H, W), size)
    y = np.empty((N, C, h, w), x.dtype)  # (N, C, h, w)
    for n in range(N):
        for c in range(C):
            for i in range(h):
                for j in range(w):
                    y[n, c, i, j] = x[n, c, top + i, left + j]
    return y


def crop2d_backward(dy: Array, input_size: Pair) -> Array:
    """Copy dy into the middle of zeros: what was cropped away has no gradient."""
    N, C, h, w = dy.shape
    top, left = crop2d_start(input_size, (h, w))
    dx = np.zeros((N, C, *input_size), dy.dtype)  # (N, C, H, W); what was cropped away gets 0
    for n in range(N):
        for c in range(C):
            for i in range(h):
                for j in range(w):
                    dx[n, c, top + i, left + j] = dy[n, c, i, j]
    return dx


def _source(i: int, size: int, mode: str) -> int:
    """Which row (or column) of the map the padded row i shows, counted from the map's first; -1 for none.

    Reflection does not repeat the edge: rows -1, -2 show rows 1, 2.
    """
    if 0 <= i < size:
        return i
    if mode == "zero":
        return -1
    return -i if i < 0 else 2 * (size - 1) - i


def pad2d(x: Array, padding: Pair, *, mode: str) -> Array:
    """Each pixel of the larger map shows one of the map's own pixels, or 0."""
    N, C, H, W = x.shape
    ph, pw = padding
    PH, PW = pad2d_size((H, W), padding)
    y = np.zeros((N, C, PH, PW), x.dtype)  # (N, C, H + 2 ph, W + 2 pw)
    for n in range(N):
        for c in range(C):
            for i in range(PH):
                for j in range(PW):
                    row, column = _source(i - ph, H, mode), _source(j - pw, W, mode)
                    if row >= 0 and column >= 0:
                        y[n, c, i, j] = x[n, c, row, column]
    return y


def pad2d_backward(dy: Array, padding: Pair, *, mode: str) -> Array:
    """Each gradient goes to the pixel that was shown; where one was shown twice, they add up."""
    N, C, PH, PW = dy.shape
    ph, pw = padding
    H, W = PH - 2 * ph, PW - 2 * pw
    dx = np.zeros((N, C, H, W))  # (N, C, H, W), in float64 until the sums are complete
    for n in range(N):
        for c in range(C):
            for i in range(PH):
                for j in range(PW):
                    row, column = _source(i - ph, H, mode), _source(j - pw, W, mode)
                    if row >= 0 and column >= 0:
                        dx[n, c, row, column] += float(dy[n, c, i, j])
    return dx.astype(dy.dtype)
