"""Max pooling in vector registers: LANES windows side by side, for float32.

The same tap of neighbouring windows lies ``stride`` columns apart in a row of the picture. For stride 1 one load
fetches LANES of them. For stride 2 they are every second number of two loads:

        row       a b c d e f g h         two loads, deinterleaved:   a c e g | b d f h
        windows   [a b] [c d] [e f]       tap 0 of all windows is the first half

Where windows hang over the edge, rows are first copied into a **ring**, with minus infinity on both sides. A row stays
there as long as windows can still read it; row number r has slot ``r % slots``. Without padding the picture itself
is the ring: it has a slot for every row.

Beside the largest value, a vector keeps where it was, as the distance from the window's corner:
``i * dilation * W + j * dilation``. A float32 holds whole numbers below 2 ** 24 exactly; ``suits`` asks for that.
"""

import numpy as np
from numba import prange

from minisegnet.arrays import Array
from minisegnet.sizes import Pair

from ..launch import helper, parallel_kernel, takes_vectors
from .vectors import LANES, deinterleave, load, load_first, registers, store, store_first, where

EXACT = 1 << 24  # float32 holds every whole number up to here


def suits(x: Array, kernel_size: Pair, dilation: Pair) -> bool:
    """Whether vectors can pool ``x``: of float32, and with distances inside a window that a float32 holds."""
    (KH, KW), (dh, dw), W = kernel_size, dilation, x.shape[-1]
    return takes_vectors(x.dtype) and (KH - 1) * dh * W + (KW - 1) * dw < EXACT


@helper
def neighbours(source, row, column):
    """LANES numbers of a row from ``column`` on, and 0 for those beyond its end: what windows of stride 1 see."""
    return load_first(source.shape[1] - column, source, row, column)


@helper
def every_second(source, row, column):
    """The same, 2 apart."""
    left = source.shape[1] - column
    low = load_first(left, source, row, column)
    high = load_first(left - LANES, source, row, column + LANES)
    even, _ = deinterleave(low, high)
    return even


@helper
def spaced(source, row, column, stride, lanes):
    """The same, ``stride`` apart; ``lanes`` is room for them."""
    for lane in range(LANES):
        place = column + lane * stride
        lanes[lane] = source[row, place] if place < source.shape[1] else np.float32(0)
    return load(lanes, 0)


@helper
def challenge(best, distance, value, place):
    """The larger of the best value and another one, and its place. A NaN beats every number, and the last NaN wins."""
    wins = (value > best) | (value != value)
    return where(wins, value, best), where(wins, place, distance)


@helper
def pad_rows(ring, holds, x, top, taps, dilation, padding):
    """ring[r % slots, padding + c] = x[r, c] for the rows r that windows from row ``top`` on read."""
    slots, (H, W) = len(ring), x.shape
    for i in range(taps):
        row = top + i * dilation
        slot = row % slots
        if 0 <= row < H and holds[slot] != row:
            for c in range(0, W, LANES):
                store_first(W - c, load_first(W - c, x, row, c), ring, slot, padding + c)
            holds[slot] = row


@helper
def visible_rows(rows, downwards, top, taps, dilation, slots, H, W):
    """Of a window's rows of taps those that lie in the map: their slots, and how far below its corner they are."""
    count = 0
    for i in range(taps):
        row = top + i * dilation
        if 0 <= row < H:
            rows[count], downwards[count] = row % slots, i * dilation * W
            count += 1
    return count


@helper
def pool_row(y, distances, source, lanes, start, rows, downwards, across):
    """One row of y, and the distances of its maxima.

    Window o begins in column ``o * stride`` of the source. ``start`` is the distance of its first column in the map:
    the first pixel counts even if all of them are minus infinity.
    """
    taps, stride, dilation = across
    for o in range(0, y.size, LANES):
        best = registers(1)[0] - np.inf
        distance = load(start, o) + downwards[0]
        for i in range(rows.size):
            row, place, column = rows[i], downwards[i], o * stride
            for j in range(0, taps * dilation, dilation):
                if stride == 1:
                    value = neighbours(source, row, column + j)
                elif stride == 2:
                    value = every_second(source, row, column + j)
                else:
                    value = spaced(source, row, column + j, stride, lanes)
                best, distance = challenge(best, distance, value, place + np.float32(j))
        store_first(y.size - o, best, y, o)
        store(distance, distances, o)


@parallel_kernel
def _max_pool2d(y, indices, x, slots, width, start, size, stride, padding, dilation):
    (P, OH, OW), (_, H, W) = y.shape, x.shape
    for p in prange(P):
        ring = np.full((slots, width), -np.inf, np.float32)
        holds = np.full(slots, -1)  # which row is in each slot
        source = ring if slots > 0 else x[p]
        rows, downwards = np.empty(size[0], np.int64), np.empty(size[0], np.float32)
        distances, lanes = np.empty(start.size, np.float32), np.empty(LANES, np.float32)
        for oh in range(OH):
            top = oh * stride[0] - padding[0]
            if slots > 0:
                pad_rows(ring, holds, x[p], top, size[0], dilation[0], padding[1])
            count = visible_rows(rows, downwards, top, size[0], dilation[0], len(source), H, W)
            seen, below, across = rows[:count], downwards[:count], (size[1], stride[1], dilation[1])
            pool_row(y[p, oh], distances, source, lanes, start, seen, below, across)
            corner = top * W - padding[1]
            for o in range(OW):
                indices[p, oh, o] = corner + o * stride[1] + np.int32(distances[o])


def max_pool2d(
    y: Array, indices: Array, x: Array, size: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> None:
    """Fill y and indices, planes (P, OH, OW), from the planes x."""
    OW, W, (s, p, d) = y.shape[2], x.shape[2], (stride[1], padding[1], dilation[1])
    start = np.zeros(-(-OW // LANES) * LANES, np.float32)
    before = p - np.arange(OW) * s  # how many columns of padding a window begins with
    start[:OW] = np.maximum(-(-before // d), 0) * d
    reach = (OW - 1) * s + (size[1] - 1) * d + 1  # columns that windows read, with the padding
    padded = p > 0 or reach > W
    slots = (size[0] - 1) * dilation[0] + 1 if padded else 0  # rows from a window's first to its last
    _max_pool2d(y, indices, x, slots, max(reach, p + W), start, size, stride, padding, dilation)
