"""Convolutions whose filters never overlap: 1 x 1, and the transposed one with stride = kernel size.

A 1 x 1 convolution multiplies each pixel's channels by one matrix. So does a transposed convolution of, say, 2 x 2 taps
with stride 2, but each pixel then has 2 * 2 * K results, which go to the 2 x 2 pixels that it alone covers::

    y[n, k, 2 * i + a, 2 * j + b] = bias[k] + the sum over c of w[c, k, a, b] * x[n, c, i, j]

Both take WIDE pixels at a time, whatever rows they lie in. Their channels are copied into a small **panel** that stays
in the cache while every filter uses it. (In the picture they lie a whole map apart, often at a distance that the cache
can't hold together. Where a panel is only a few vectors wide, the processor can't guess what is needed next.)
"""

import numpy as np
from numba import get_num_threads, prange

from minisegnet.arrays import Array
from minisegnet.buffers import fresh
from minisegnet.constants import derived

from ..launch import helper, parallel_kernel
from .direct import (
    ACROSS,
    COLUMNS,
    FILTERS,
    NO_FLOOR,
    OUT,
    PARTS,
    TAPS,
    bias_blocks,
    gradient_block,
    sum_block,
    transpose_block,
)
from .vectors import (
    LANES,
    deinterleave,
    interleave,
    load,
    load_first,
    load_within,
    maximum,
    registers,
    spread,
    store,
    store_first,
)

PIXELS = 256  # of the gradient of the weights, at a time


WIDE = 4 * COLUMNS  # pixels of a panel


@helper
def fill_panel(panel, x, p):
    """panel[c * WIDE + i] = x[c, p + i], 0 beyond the last pixel."""
    C, P = x.shape
    for c in range(C):
        for i in range(0, WIDE, LANES):
            store(load_first(P - p - i, x, c, p + i), panel, c * WIDE + i)


@helper
def products_block(y, n, k, p, panels, worker, first, weights, block, bias, floor):
    """OUT channels of COLUMNS pixels, from y[n, k, p] on; the pixels begin at ``first`` in the panel."""
    K, P = y.shape[1:]
    sums = registers(OUT, ACROSS)
    pixels = registers(ACROSS)
    for c in range(weights.shape[1]):
        for v in range(ACROSS):
            pixels[v] = load(panels, worker, c * WIDE + first + v * LANES)
        for o in range(OUT):
            weight = spread(weights, block, c, o)
            for v in range(ACROSS):
                sums[o, v] += weight * pixels[v]
    for o in range(OUT):
        if k + o < K:
            for v in range(ACROSS):
                value = maximum(sums[o, v] + spread(bias, k + o), floor)
                store_first(P - p - v * LANES, value, y, n, k + o, p + v * LANES)


@parallel_kernel
def _products(y, x, weights, bias, panels, floor):
    """y[n, k, p] = bias[k] + the sum over c of weights[c, k] * x[n, c, p]; each task is a panel."""
    (N, _, P), (blocks, workers) = x.shape, (len(weights), len(panels))
    pieces = -(-P // WIDE)
    tasks = N * pieces
    for worker in prange(workers):
        for task in range(worker * tasks // workers, (worker + 1) * tasks // workers):
            n, start = task // pieces, task % pieces * WIDE
            fill_panel(panels[worker], x[n], start)
            for block in range(blocks):
                for p in range(start, min(P, start + WIDE), COLUMNS):
                    products_block(
                        y, n, block * OUT, p, panels, worker, p - start, weights, block, bias, floor
                    )


@helper
def put_patches(y, result, k, height, width, p, P, W):
    """y[k', height * i + a, 2 * j + b] from result, whose rows are those of (k', a, b) from row ``k`` on."""
    K = y.shape[0]
    row = k
    while row < min(k + OUT, K * height * width):
        filter_, a = row // (height * width), row // width % height
        at = p
        while at < min(p + COLUMNS, P):
            i, j = at // W, at % W
            some = min(W - j, p + COLUMNS - at)  # pixels of this row of x
            line = y[filter_, height * i + a]
            for t in range(0, some, LANES):
                left, right = interleave(
                    load(result, row - k, at - p + t), load(result, row - k + 1, at - p + t)
                )
                store_first(2 * (some - t), left, line, 2 * (j + t))
                store_first(2 * (some - t) - LANES, right, line, 2 * (j + t) + LANES)
            at += some
        row += width


@parallel_kernel
def _patches(y, x, weights, bias, panels, height, width, W):
    """The transposed convolution: x (N, C, P) with W pixels in a row, weights' rows (k, a, b)."""
    (N, C, P), (blocks, workers) = x.shape, (len(weights), len(panels))
    pieces = -(-P // WIDE)
    tasks, offsets = N * pieces, np.arange(C) * WIDE
    for worker in prange(workers):
        result = np.zeros((OUT, COLUMNS + LANES), np.float32)
        for task in range(worker * tasks // workers, (worker + 1) * tasks // workers):
            n, start = task // pieces, task % pieces * WIDE
            fill_panel(panels[worker], x[n], start)
            for p in range(start, min(P, start + WIDE), COLUMNS):
                for block in range(blocks):
                    k = block * OUT
                    sum_block(
                        result, panels[worker, p - start :], 0, offsets, weights[block], bias[k : k + OUT]
                    )
                    put_patches(y[n], result, k, height, width, p, P, W)


def packed(rows: Array) -> Array:
    """(blocks, C, OUT) of (rows, C): OUT rows side by side, with 0 for those that fill the last block."""
    R, C = rows.shape
    packed = np.zeros((-(-R // OUT) * OUT, C), np.float32)
    packed[:R] = rows
    return np.ascontiguousarray(packed.reshape(-1, OUT, C).transpose(0, 2, 1))  # (blocks, C, OUT)


def _panels(C: int) -> Array:
    return fresh((get_num_threads(), C * WIDE + COLUMNS))


def products(y: Array, x: Array, weights: Array, b: Array, floor: np.float32 = NO_FLOOR) -> None:
    """y = b + w x for each pixel, with ``packed`` w (K, C), and ``floor`` at least."""
    (N, K, H, W), C = y.shape, x.shape[1]
    bias = bias_blocks(b, 1, len(weights))[0]
    _products(y.reshape(N, K, H * W), x.reshape(N, C, H * W), weights, bias, _panels(C), floor)


def patches(y: Array, x: Array, w: Array, b: Array) -> None:
    """The transposed convolution with stride = kernel size of w (C, K, KH, KW): y = b + each pixel times its patch."""
    (N, _, H, W), (C, K, KH, KW) = x.shape, w.shape
    weights = derived(w, "patches", lambda: packed(w.reshape(C, K * KH * KW).T))
    bias = bias_blocks(np.repeat(b, KH * KW), 1, len(weights))[0]
    _patches(y, x.reshape(N, C, H * W), weights, bias, _panels(C), KH, KW, W)


# ---------------------------------------------------------------------------------------------------------
# The gradient of the weights


@parallel_kernel
def _gradients(totals, x, y, offsets):
    """totals[part, c, k] = the sum of x times y over the pixels of a part; parts are always cut in the same way."""
    (N, K, P), parts = y.shape, len(totals)
    pieces = -(-P // PIXELS)
    tasks = N * pieces
    for part in prange(parts):
        turned = np.empty((PIXELS, FILTERS), np.float32)
        for k in range(0, K, FILTERS):
            for task in range(part * tasks // parts, (part + 1) * tasks // parts):
                n, p = task // pieces, task % pieces * PIXELS
                count = min(PIXELS, P - p)
                for t in range(0, count, LANES):
                    for v in range(0, FILTERS, LANES):
                        transpose_block(y[n], k + v, p + t, turned, t, v)
                pixels = x[n].reshape(x.shape[1] * P)[p:]
                for q in range(0, totals.shape[1], TAPS):
                    gradient_block(totals[part, :, k : k + FILTERS], pixels, turned, count, offsets, q, 0)


def product_gradients(w: Array, y: Array, x: Array) -> None:
    """w (K, C) = the sum over all pixels of y (N, K, H, W) times x (N, C, H, W)."""
    (N, K), C = y.shape[:2], x.shape[1]
    P = y.shape[2] * y.shape[3]
    offsets = np.zeros(
        -(-C // TAPS) * TAPS, np.int64
    )  # the channels that fill the last block read the first one
    offsets[:C] = np.arange(C) * P
    parts = max(1, min(PARTS, N * -(-P // PIXELS)))
    totals = fresh((parts, offsets.size, -(-K // FILTERS) * FILTERS))
    totals[:] = 0
    _gradients(totals, x.reshape(N, C, P), y.reshape(N, K, P), offsets)
    w[:] = totals.sum(axis=0)[:C, :K].T


@parallel_kernel
def _take_patches(taken, y, height, width):
    """taken[n, (k, a, b), i, j] = y[n, k, height * i + a, width * j + b] for width 2."""
    N, R, H, W = taken.shape
    for task in prange(N * R // width):
        n, row = task // (R // width), task % (R // width) * width
        k, a = row // (height * width), row // width % height
        for i in range(H):
            line = y[n, k, height * i + a]
            for j in range(0, W, LANES):
                left, right = load_within(line, 2 * j), load_within(line, 2 * j + LANES)
                even, odd = deinterleave(left, right)
                store_first(W - j, even, taken, n, row, i, j)
                store_first(W - j, odd, taken, n, row + 1, i, j)


def patch_gradients(dx: Array, dw: Array, dy: Array, x: Array, w: Array) -> None:
    """The gradients of ``patches``: with a patch's pixels as channels, they are those of a 1 x 1 convolution."""
    (N, C, H, W), (_, K, KH, KW) = x.shape, w.shape
    taken = fresh((N, K * KH * KW, H, W))
    _take_patches(taken, dy, KH, KW)
    products(dx, taken, packed(w.reshape(C, K * KH * KW)), np.zeros(C, np.float32))
    product_gradients(dw.reshape(C, K * KH * KW), x, taken)
