"""Depthwise convolutions: every channel has one filter of its own, and nothing is summed over channels.

There are too few products to keep a block of results busy. What counts is that each pixel is fetched by whole
vectors, and that no sum goes through memory: a vector of outputs stays in its register while all taps pass.

Wide filters with a stride (as those that enlarge FCN's scores 8 times, 16 x 16 taps and stride 8) have a text of their
own, in which a vector runs along the taps of one row of the filter.
"""

import numpy as np
from numba import prange

from minisegnet.arrays import Array
from minisegnet.buffers import fresh
from minisegnet.sizes import Pair

from ..launch import helper, parallel_kernel
from .vectors import (
    LANES,
    deinterleave,
    load,
    load_first,
    load_within,
    registers,
    spread,
    store,
    store_first,
    total,
)


@helper
def pixels_of(line, start, stride):
    """LANES pixels, ``stride`` (1 or 2) apart, from position ``start`` of a row on; 0 outside of it."""
    if stride == 1:
        return load_within(line, start)
    return deinterleave(load_within(line, start), load_within(line, start + LANES))[0]


@parallel_kernel
def _gather(y, x, w, b, stride, padding, dilation):
    """y = b + w * x: each task is a plane."""
    N, K, OH, OW = y.shape
    H, (KH, KW) = x.shape[2], w.shape[1:]
    for task in prange(N * K):
        n, k = task // K, task % K
        for oh in range(OH):
            for j in range(0, OW, LANES):
                sums = registers(1)
                sums[0] += b[k]
                for i in range(KH):
                    row = oh * stride[0] - padding[0] + i * dilation[0]
                    if 0 <= row < H:
                        for t in range(KW):
                            start = j * stride[1] - padding[1] + t * dilation[1]
                            sums[0] += spread(w, k, i, t) * pixels_of(x[n, k, row], start, stride[1])
                store_first(OW - j, sums[0], y, n, k, oh, j)


@parallel_kernel
def _weight_gradient(w, y, x, stride, padding, dilation):
    """w[k, i, t] = the sum of y times x: a vector of partial sums an image, and in double precision over all images."""
    N, K, OH, OW = y.shape
    H, (KH, KW) = x.shape[2], w.shape[1:]
    for k in prange(K):
        for i in range(KH):
            for t in range(KW):
                whole = np.float64(0)
                for n in range(N):
                    sums = registers(1)
                    for oh in range(OH):
                        row = oh * stride[0] - padding[0] + i * dilation[0]
                        if 0 <= row < H:
                            for j in range(0, OW, LANES):
                                start = j * stride[1] - padding[1] + t * dilation[1]
                                pixels = pixels_of(x[n, k, row], start, stride[1])
                                sums[0] += load_first(OW - j, y, n, k, oh, j) * pixels
                    whole += total(sums[0])
                w[k, i, t] = whole


def gather(y: Array, x: Array, w: Array, b: Array, stride: Pair, padding: Pair, dilation: Pair) -> None:
    """y = b + w * x, with w (K, 1, KH, KW)."""
    _gather(y, x, w[:, 0], b, stride, padding, dilation)


def scatter(x: Array, y: Array, w: Array, b: Array, padding: Pair, dilation: Pair) -> None:
    """x = b + (w transposed) * y, for stride 1: the filters turned, and what the padding left over."""
    turned = np.ascontiguousarray(w[:, 0, ::-1, ::-1])  # (K, KH, KW)
    beyond = tuple(d * (k - 1) - p for k, p, d in zip(w.shape[2:], padding, dilation, strict=True))
    _gather(x, y, turned, b, (1, 1), beyond, dilation)


def weight_gradient(w: Array, y: Array, x: Array, stride: Pair, padding: Pair, dilation: Pair) -> None:
    """w = the sum of y times x over all the pairs of pixels that each weight joins."""
    _weight_gradient(w[:, 0], y, x, stride, padding, dilation)


# ---------------------------------------------------------------------------------------------------------
# Wide filters: KW a multiple of LANES, no dilation across. Again y is the small map and x the large one.


@parallel_kernel
def _gather_wide(y, x, w, b, stride, padding, dilation):
    """y = b + w * x: each output is the sum of a vector of products."""
    N, K, OH, OW = y.shape
    H, (KH, KW) = x.shape[2], w.shape[1:]
    for task in prange(N * K):
        n, k = task // K, task % K
        for oh in range(OH):
            for ow in range(OW):
                sums = registers(1)
                for i in range(KH):
                    row = oh * stride[0] - padding[0] + i * dilation[0]
                    if 0 <= row < H:
                        for t in range(0, KW, LANES):
                            pixels = load_within(x[n, k, row], ow * stride[1] - padding[1] + t)
                            sums[0] += load(w, k, i, t) * pixels
                y[n, k, oh, ow] = b[k] + total(sums[0])


@parallel_kernel
def _scatter_wide(x, y, w, b, stride, padding, dilation, lines):
    """x = b + (w transposed) * y: each pixel of y adds a row of the filter to a row of x.

    ``lines`` has room for a row of x with all that hangs over its edges, for each task. Pixels whose rows of taps
    overlap are added in turns: the processor would have to wait for what it has just stored.
    """
    N, K, H, W = x.shape
    (OH, OW), (KH, KW), turns = y.shape[2:], w.shape[1:], -(-w.shape[2] // stride[1])
    for task in prange(N * K):
        n, k, line = task // K, task % K, lines[task]
        for row in range(H):
            line[:] = b[k]
            for i in range(KH):
                oh = (row + padding[0] - i * dilation[0]) // stride[0]
                if 0 <= oh < OH and oh * stride[0] - padding[0] + i * dilation[0] == row:
                    for t in range(0, KW, LANES):
                        taps = load(w, k, i, t)
                        for turn in range(turns):
                            for ow in range(turn, OW, turns):
                                at = ow * stride[1] + t
                                store(load(line, at) + spread(y, n, k, oh, ow) * taps, line, at)
            for j in range(W):
                x[n, k, row, j] = line[padding[1] + j]


@parallel_kernel
def _weight_gradient_wide(w, y, x, stride, padding, dilation):
    """w[k, i, t : t + LANES] = the sum of y times x, in double precision over all images."""
    N, K, OH, OW = y.shape
    H, (KH, KW) = x.shape[2], w.shape[1:]
    for task in prange(K * KH):
        k, i = task // KH, task % KH
        image = np.empty(LANES, np.float32)
        for t in range(0, KW, LANES):
            whole = np.zeros(LANES)
            for n in range(N):
                sums = registers(1)
                for oh in range(OH):
                    row = oh * stride[0] - padding[0] + i * dilation[0]
                    if 0 <= row < H:
                        for ow in range(OW):
                            pixels = load_within(x[n, k, row], ow * stride[1] - padding[1] + t)
                            sums[0] += spread(y, n, k, oh, ow) * pixels
                store(sums[0], image, 0)
                for lane in range(LANES):
                    whole[lane] += image[lane]
            for lane in range(LANES):
                w[k, i, t + lane] = whole[lane]


def gather_wide(y: Array, x: Array, w: Array, b: Array, stride: Pair, padding: Pair, dilation: Pair) -> None:
    """y = b + w * x, with w (K, 1, KH, KW)."""
    _gather_wide(y, x, w[:, 0], b, stride, padding, dilation)


def scatter_wide(x: Array, y: Array, w: Array, b: Array, stride: Pair, padding: Pair, dilation: Pair) -> None:
    """x = b + (w transposed) * y."""
    (N, K, _, W), OW = x.shape, y.shape[3]
    room = max((OW - 1) * stride[1] + w.shape[3], padding[1] + W)
    _scatter_wide(x, y, w[:, 0], b, stride, padding, dilation, fresh((N * K, room)))


def weight_gradient_wide(w: Array, y: Array, x: Array, stride: Pair, padding: Pair, dilation: Pair) -> None:
    """w = the sum of y times x over all the pairs of pixels that each weight joins."""
    _weight_gradient_wide(w[:, 0], y, x, stride, padding, dilation)
