"""Depthwise convolutions: every channel has one filter of its own, and nothing is summed over channels.

There are too few products to keep a block of results busy. What counts is that each pixel is fetched by whole
vectors, and that no sum goes through memory: a vector of outputs stays in its register while all taps pass.
"""

import numpy as np
from numba import prange

from minisegnet.arrays import Array
from minisegnet.sizes import Pair

from ..launch import helper, parallel_kernel
from .vectors import LANES, deinterleave, load_first, load_within, registers, spread, store_first, total


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
