"""Max pooling in vector registers: LANES windows side by side, for float32.

The windows of one row of y begin ``stride`` columns apart, and a vector load fetches what lies side by side. So each
row of the picture is first *laid out* by the columns' remainders (``lay_row``), with its padding. For stride 2:

        row         a b c d e f g            phase 0    - b d f -          (- is the padding, minus infinity)
        padded    - a b c d e f g -          phase 1    a c e g

Tap j of window o is then number ``o + j * dilation // stride`` of phase ``j * dilation % stride``: the same tap of
LANES neighbouring windows is one load. Rows that are laid out stay in a **ring** as long as windows can still read
them; row number r has slot ``r % slots``.

Beside the largest value, a vector keeps where it was, as the distance from the window's corner:
``i * dilation * W + j * dilation``. A float32 holds whole numbers below 2 ** 24 exactly; ``suits`` asks for that.
"""

import numpy as np
from numba import prange

from minisegnet.arrays import Array
from minisegnet.sizes import Pair

from ..launch import helper, parallel_kernel, takes_vectors
from .vectors import LANES, deinterleave, load, registers, store, store_first, where

EXACT = 1 << 24  # float32 holds every whole number up to here


def suits(x: Array, kernel_size: Pair, dilation: Pair) -> bool:
    """Whether vectors can pool ``x``: of float32, and with distances inside a window that a float32 holds."""
    (KH, KW), (dh, dw), W = kernel_size, dilation, x.shape[-1]
    return takes_vectors(x.dtype) and (KH - 1) * dh * W + (KW - 1) * dw < EXACT


@helper
def lay_row(ring, slot, line, x, row, padding):
    """ring[slot, r, t] = padded x[row][t * stride + r]; the stride is the number of phases.

    ``line`` is room for the padded row. It comes with minus infinity in the padding, and keeps it.
    """
    _, stride, length = ring.shape
    for c in range(min(x.shape[1], line.size - padding)):
        line[padding + c] = x[row, c]
    if stride == 2:
        for t in range(0, length, LANES):
            even, odd = deinterleave(load(line, 2 * t), load(line, 2 * t + LANES))
            store(even, ring, slot, 0, t)
            store(odd, ring, slot, 1, t)
    else:
        for r in range(stride):
            for t in range(length):
                ring[slot, r, t] = line[t * stride + r]


@helper
def largest(y, distances, ring, places, steps, start):
    """One row of y and the distances of its maxima, over taps that begin at ``places`` of the (flat) ring.

    ``start`` is the distance of each window's first pixel in the map: it stays if all of them are minus infinity.
    A NaN beats every number, and the last NaN wins.
    """
    for o in range(0, y.size, LANES):
        best = registers(1)[0] - np.inf
        distance = load(start, o) + steps[0]
        for tap in range(places.size):
            value = load(ring, places[tap] + o)
            wins = (value > best) | (value != value)
            best = where(wins, value, best)
            distance = where(wins, steps[tap], distance)
        store_first(y.size - o, best, y, o)
        store(distance, distances, o)


@helper
def visible_taps(places, steps, holds, ring, line, x, top, size, padding, dilation, columns):
    """Lay out what the windows of one row of y read, from row ``top`` of x on; list its taps, and count them.

    ``columns`` are the places in a row that is laid out of the taps of one row.
    """
    (slots, stride, length), (H, W) = ring.shape, x.shape
    count = 0
    for i in range(size[0]):
        row = top + i * dilation[0]
        if 0 <= row < H:
            slot = row % slots
            if holds[slot] != row:
                lay_row(ring, slot, line, x, row, padding)
                holds[slot] = row
            for j in range(size[1]):
                places[count] = slot * stride * length + columns[j]
                steps[count] = i * dilation[0] * W + j * dilation[1]
                count += 1
    return count


@parallel_kernel
def _max_pool2d(y, indices, x, slots, length, start, columns, size, stride, padding, dilation):
    (P, OH, OW), W = y.shape, x.shape[2]
    for p in prange(P):
        ring = np.empty((slots, stride[1], length), np.float32)
        holds = np.full(slots, -1)  # which row is in each slot
        line = np.full(stride[1] * length, -np.inf, np.float32)
        places, steps = np.empty(size[0] * size[1], np.int64), np.empty(size[0] * size[1], np.float32)
        distances = np.empty(start.size, np.float32)
        for oh in range(OH):
            top = oh * stride[0] - padding[0]
            count = visible_taps(
                places, steps, holds, ring, line, x[p], top, size, padding[1], dilation, columns
            )
            largest(y[p, oh], distances, ring.ravel(), places[:count], steps[:count], start)
            corner = top * W - padding[1]
            for o in range(OW):
                indices[p, oh, o] = corner + o * stride[1] + np.int32(distances[o])


def max_pool2d(
    y: Array, indices: Array, x: Array, size: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> None:
    """Fill y and indices, planes (P, OH, OW), from the planes x."""
    OW, (s, p, d) = y.shape[2], (stride[1], padding[1], dilation[1])
    across = round_up(OW)
    start = np.zeros(across, np.float32)  # distance of a window's first column in the map
    before = p - np.arange(OW) * s  # how many columns of padding a window begins with
    start[:OW] = np.maximum(-(-before // d), 0) * d
    length = round_up(across + (size[1] - 1) * d // s)
    columns = np.array([j * d % s * length + j * d // s for j in range(size[1])])
    slots = (size[0] - 1) * dilation[0] + 1  # rows from a window's first to its last
    _max_pool2d(y, indices, x, slots, length, start, columns, size, stride, padding, dilation)


def round_up(count: int) -> int:
    """How many numbers whole vectors of ``count`` numbers hold."""
    return -(-count // LANES) * LANES
