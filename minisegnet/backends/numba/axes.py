"""Linear maps that treat rows and columns alike: average pooling, resizing, and the way back through both.

In all of them an output pixel is a weighted sum over a rectangle of input pixels, and a pixel's weight is that of its
row times that of its column. So the two axes can be gone through one after the other, and what is said about an axis
fits into one table, ``Taps``. For 4 pixels resized to 6 (bilinear), or 4 pixels averaged in windows of 2:

        output      0    1    2   ...            output    0    1
        at[0]       0    0    1                  at[0]     0    2      which inputs are read ...
        at[1]       1    1    2                  at[1]     1    3
        weight[0]   1   1/2  5/6                 weight[0] 1/2  1/2    ... and what they are multiplied by
        weight[1]   0   1/2  1/6                 weight[1] 1/2  1/2

The gradient of the input is such a map, too: the same table, read from the other side (``turned``).

Which axis comes first matters for speed only. Rows are quick: one is added to another in vector instructions. Columns
are slow: their inputs are picked one by one. So the columns are gone through where there are fewer rows.
``fast/axes.py`` has the same in vector registers, for float32.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from minisegnet.arrays import Array

from .fast import axes as fast
from .launch import helper, parallel_kernel, takes_vectors

ROWS = 32  # of y in one task

FEW = 64  # as many terms are added up in the map's own precision, more in double precision


class Taps(NamedTuple):
    """What each output of an axis reads. An output with fewer taps than others reads ``at == size`` in their place."""

    at: Array  # (taps, outputs)
    weight: Array  # (taps, outputs)


def windows(begin: Array, end: Array, divisor: Array, size: int) -> Taps:
    """Taps of means: output o reads the inputs from begin[o] to before end[o]."""
    at = begin + np.arange(max(1, (end - begin).max(initial=0)))[:, None]  # (taps, outputs)
    weight = np.where(at < end, 1 / divisor, 0)
    return Taps(np.where(at < end, at, size), weight)


def turned(taps: Taps, size: int) -> Taps:
    """The table of the gradient: for each of ``size`` inputs the outputs that read it, in their order."""
    outputs = taps.at.shape[1]
    source, weight = taps.at.T.ravel(), taps.weight.T.ravel()  # output after output
    readers = np.repeat(np.arange(outputs), len(taps.at))
    order = np.argsort(source, kind="stable")
    order = order[source[order] < size]  # without the missing ones
    counts = np.bincount(source[order], minlength=size)
    number = np.arange(order.size) - np.repeat(
        np.cumsum(counts) - counts, counts
    )  # among the readers of its input
    shape = (max(1, counts.max(initial=0)), size)
    at, weights = np.full(shape, outputs), np.zeros(shape)
    at[number, source[order]], weights[number, source[order]] = readers[order], weight[order]
    return Taps(at, weights)


def apply(y: Array, x: Array, rows: Taps, columns: Taps) -> None:
    """y[p, i, j] = the sum of the weights of row u (read by i) and column v (read by j), times x[p, u, v]."""
    few = len(rows.at) * len(columns.at) <= FEW
    dtype = x.dtype if few else np.dtype(np.float64)
    rows, columns = (Taps(t.at.astype(np.uint32), t.weight.astype(dtype)) for t in (rows, columns))
    if takes_vectors(dtype):
        return fast.apply(y, x, ROWS, rows, columns)
    kernel = _rows_first if y.shape[1] < x.shape[1] else _columns_first
    return kernel(y, x, *rows, *columns)


@helper
def add_row(sums, row, weight, again):
    """sums += weight * row; the first time (``again`` is False) without what was there before."""
    if again:
        for w in range(row.size):
            sums[w] += weight * row[w]
    else:
        for w in range(row.size):
            sums[w] = weight * row[w]


@helper
def pick_columns(sums, line, at, weight):
    """sums[o] = the sum over the taps of weight[tap, o] * line[at[tap, o]]."""
    for o in range(sums.size):
        sums[o] = weight[0, o] * line[at[0, o]]
    for tap in range(1, len(at)):
        for o in range(sums.size):
            sums[o] += weight[tap, o] * line[at[tap, o]]


@helper
def rows_then_columns(y, x, begin, end, rows, row_weight, columns, column_weight):
    """Rows ``begin`` to ``end`` of one plane of y: add up rows of x, then pick columns of the sum."""
    H, W = x.shape
    line = np.zeros(W + 1, row_weight.dtype)  # what a missing tap reads is 0
    sums = np.empty(y.shape[1], row_weight.dtype)
    for i in range(begin, end):
        again = False
        for tap in range(len(rows)):
            if rows[tap, i] < H:
                add_row(line, x[rows[tap, i]], row_weight[tap, i], again)
                again = True
        if not again:  # no output of the forward read this row
            line[:] = 0
        pick_columns(sums, line, columns, column_weight)
        y[i, :] = sums


@helper
def columns_then_rows(y, x, begin, end, rows, row_weight, columns, column_weight):
    """The same the other way round. A row whose columns were picked is kept as long as rows of y need it."""
    (H, W), OW = x.shape, y.shape[1]
    slots = len(rows)  # rows that are read together differ by less
    line = np.zeros(W + 1, row_weight.dtype)
    kept, holds = np.empty((slots, OW), row_weight.dtype), np.full(slots, -1)
    sums = np.empty(OW, row_weight.dtype)
    for i in range(begin, end):
        again = False
        for tap in range(slots):
            row = rows[tap, i]
            if row < H:
                slot = row % slots
                if holds[slot] != row:
                    line[:W] = x[row]
                    pick_columns(kept[slot], line, columns, column_weight)
                    holds[slot] = row
                add_row(sums, kept[slot], row_weight[tap, i], again)
                again = True
        if not again:
            sums[:] = 0
        y[i, :] = sums


@parallel_kernel
def _rows_first(y, x, rows, row_weight, columns, column_weight):
    P, OH, _ = y.shape
    bands = -(-OH // ROWS)
    for task in prange(P * bands):
        p, begin = task // bands, task % bands * ROWS
        end = min(begin + ROWS, OH)
        rows_then_columns(y[p], x[p], begin, end, rows, row_weight, columns, column_weight)


@parallel_kernel
def _columns_first(y, x, rows, row_weight, columns, column_weight):
    P, OH, _ = y.shape
    bands = -(-OH // ROWS)
    for task in prange(P * bands):
        p, begin = task // bands, task % bands * ROWS
        end = min(begin + ROWS, OH)
        columns_then_rows(y[p], x[p], begin, end, rows, row_weight, columns, column_weight)
