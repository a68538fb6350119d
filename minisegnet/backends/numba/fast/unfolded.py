"""Convolutions of small maps, as products of matrices.

The vectors of ``direct`` run along the pixels of a map. A map of 4 x 4 fills a quarter of them, and where the filters
are as large as the map, most of what they multiply is padding. Here vectors run along the filters instead. The windows
of all images are written out, one in each row of a matrix (unfolding, im2col):

        window (n, p)    x's pixels under the C * KH * KW taps, 0 in the padding

    y  = windows @ w.T       forward                          w (K, C * KH * KW)
    windows' gradient = y @ w, which ``_fold`` adds up        gradient of the input
    w  = y.T @ windows       gradient of the filters

That is a fully connected layer whose pictures are the windows. The matrix has KH * KW times the numbers of x, which is
little where maps are small; ``suits`` asks for that.
"""

import math

import numpy as np
from numba import prange

from minisegnet.arrays import Array
from minisegnet.buffers import fresh
from minisegnet.sizes import Pair

from ..launch import helper, parallel_kernel
from . import matrix
from .direct import NO_FLOOR

PIXELS = 64  # of a map, at most
MOST = 1 << 22  # numbers in all windows, at most


def suits(w: Array, small: Array) -> bool:
    """Whether maps are small enough, for filters w and the small map of a convolution."""
    pixels = small.shape[2] * small.shape[3]
    return pixels <= PIXELS and small.shape[0] * pixels * w[0].size <= MOST


@helper
def taps_inside(start, taps, dilation, size):
    """The taps first:last of a window that begins at ``start`` that fall on the map."""
    first = min(taps, max(0, -(start // dilation)))
    return first, max(first, min(taps, -((start - size) // dilation)))


@parallel_kernel
def _unfold(windows, x, outputs, size, stride, padding, dilation):
    """windows[n * OH * OW + oh * OW + ow, (c, i, j)] = the pixel that tap (i, j) sees in channel c, or 0."""
    (N, C, H, W), (OH, OW), (KH, KW) = x.shape, outputs, size
    for task in prange(N * OH * OW):
        n, top = task // (OH * OW), task // OW % OH * stride[0] - padding[0]
        left, line = task % OW * stride[1] - padding[1], windows[task]
        i_first, i_last = taps_inside(top, KH, dilation[0], H)
        j_first, j_last = taps_inside(left, KW, dilation[1], W)
        line[:] = 0
        for c in range(C):
            for i in range(i_first, i_last):
                for j in range(j_first, j_last):
                    line[(c * KH + i) * KW + j] = x[n, c, top + i * dilation[0], left + j * dilation[1]]


@parallel_kernel
def _fold(x, windows, bias, outputs, size, stride, padding, dilation):
    """The way back: each pixel is its bias and the sum of what all windows have for it."""
    (N, C, H, W), (OH, OW), (KH, KW) = x.shape, outputs, size
    for task in prange(N * C):
        n, c = task // C, task % C
        x[n, c] = bias[c]
        for p in range(OH * OW):
            top, left = p // OW * stride[0] - padding[0], p % OW * stride[1] - padding[1]
            line = windows[n * OH * OW + p]
            i_first, i_last = taps_inside(top, KH, dilation[0], H)
            j_first, j_last = taps_inside(left, KW, dilation[1], W)
            for i in range(i_first, i_last):
                for j in range(j_first, j_last):
                    x[n, c, top + i * dilation[0], left + j * dilation[1]] += line[(c * KH + i) * KW + j]


def _windows(x: Array, w: Array, outputs: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    windows = fresh((x.shape[0] * math.prod(outputs), w[0].size))
    _unfold(windows, x, outputs, w.shape[2:], stride, padding, dilation)
    return windows


def _in_rows(y: Array) -> Array:
    """Pixels (N * OH * OW, K) of y (N, K, OH, OW)."""
    N, K, OH, OW = y.shape
    return np.ascontiguousarray(y.transpose(0, 2, 3, 1)).reshape(N * OH * OW, K)


def gather(
    y: Array,
    x: Array,
    w: Array,
    b: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    floor: np.float32 = NO_FLOOR,
) -> None:
    """y = b + w * x, and ``floor`` at least."""
    N, K, OH, OW = y.shape
    windows = _windows(x, w, (OH, OW), stride, padding, dilation)
    rows = fresh((len(windows), K))
    matrix.product(rows, windows, w.reshape(K, w[0].size), b, turn_b=True)
    np.maximum(rows.reshape(N, OH, OW, K).transpose(0, 3, 1, 2), floor, out=y)


def scatter(x: Array, y: Array, w: Array, b: Array, stride: Pair, padding: Pair, dilation: Pair) -> None:
    """x = b + (w transposed) * y."""
    rows, Q = _in_rows(y), w[0].size
    windows = fresh((len(rows), Q))
    matrix.product(windows, rows, w.reshape(len(w), Q), np.zeros(Q, np.float32))
    _fold(x, windows, b, y.shape[2:], w.shape[2:], stride, padding, dilation)


def weight_gradient(w: Array, y: Array, x: Array, stride: Pair, padding: Pair, dilation: Pair) -> None:
    """w = the sum of y times x over all the pairs of pixels that each weight joins."""
    windows, Q = _windows(x, w, y.shape[2:], stride, padding, dilation), w[0].size
    matrix.product(w.reshape(len(w), Q), _in_rows(y), windows, np.zeros(Q, np.float32), turn_a=True)
