"""The maps of ``../axes.py`` in vector registers, for float32.

Rows are added up in a register, LANES columns at a time. Columns are picked LANES at a time, too, where the table is
*steady*: where the inputs of neighbouring outputs lie evenly. Three such patterns cover most that networks do:

        same      outputs o, o+1, o+2, ... read inputs a, a+1, a+2, ...               one load
        double    outputs o, o+2, o+4, ... do (and o+1, o+3, ... from another a)      two loads, interleaved
        half      outputs o, o+1, o+2, ... read inputs a, a+2, a+4, ...               two loads, every second number

Near the edges tables are not steady; what blocks of vectors leave over there is picked one by one, and so is
everything in tables of other kinds.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import prange

from minisegnet.arrays import Array

from ..launch import helper, parallel_kernel
from .vectors import LANES, deinterleave, interleave, load, load_first, store, store_first

SAME, DOUBLE, HALF, UNEVEN = range(4)
_STEPS = {SAME: (1, 1), DOUBLE: (2, 1), HALF: (1, 2)}  # so many outputs further, so many inputs further
WIDTH = {SAME: LANES, DOUBLE: 2 * LANES, HALF: LANES}  # outputs of a block


class Steady(NamedTuple):
    """From which output to which a table is steady, how, and how many taps each output has there."""

    kind: int
    begin: int
    end: int
    taps: int


def steady(at: Array, size: int) -> Steady:
    """Find the longest stretch of the table ``at`` (taps, outputs) that is steady and has room for a block."""
    best = Steady(UNEVEN, 0, 0, 0)
    taps = (at < size).sum(axis=0)  # of each output; those that are missing come last
    missing = np.arange(len(at))[:, None] >= taps
    for kind, (outputs, inputs) in _STEPS.items():
        further = at[:, outputs:] - at[:, :-outputs] == inputs
        goes_on = (further | missing[:, outputs:]).all(axis=0) & (taps[:-outputs] > 0)
        for step in range(1, outputs + 1):
            goes_on &= taps[step : at.shape[1] - outputs + step] == taps[:-outputs]
        breaks = np.flatnonzero(~np.concatenate([[False], goes_on, [False]]))
        longest = np.argmax(np.diff(breaks))
        begin, end = int(breaks[longest]), int(breaks[longest + 1]) - 1 + outputs
        if WIDTH[kind] <= end - begin and best.end - best.begin < end - begin:
            best = Steady(kind, begin, end, int(taps[begin]))
    return best


@helper
def mix_rows(target, t, width, source, places, weights, count):
    """target[t, :width] = the sum of weights[tap] * source[places[tap], :width] over ``count`` taps."""
    for o in range(0, width, LANES):
        sums = load_first(width - o, source, places[0], o) * weights[0]
        for tap in range(1, count):
            sums += load_first(width - o, source, places[tap], o) * weights[tap]
        store_first(width - o, sums, target, t, o)


@helper
def pick_uneven(target, t, line, at, weight):
    """target[t, o] = the sum of weight[tap, o] * line[at[tap, o]]; a missing tap reads the 0 at the end of the line."""
    for o in range(target.shape[1]):
        target[t, o] = weight[0, o] * line[at[0, o]]
    for tap in range(1, len(at)):
        for o in range(target.shape[1]):
            target[t, o] += weight[tap, o] * line[at[tap, o]]


@helper
def pick_singly(target, t, line, at, weight, begin, end):
    """The same for a few outputs near an edge."""
    for o in range(begin, end):
        sums = weight[0, o] * line[at[0, o]]
        for tap in range(1, len(at)):
            sums += weight[tap, o] * line[at[tap, o]]
        target[t, o] = sums


@helper
def pick_same(target, t, line, at, weight, taps, o):
    """The same for LANES outputs from o on, whose inputs lie side by side."""
    sums = load(line, at[0, o]) * load(weight, 0, o)
    for tap in range(1, taps):
        sums += load(line, at[tap, o]) * load(weight, tap, o)
    store(sums, target, t, o)


@helper
def pick_half(target, t, line, at, weight, taps, o):
    """The same for LANES outputs that read every second input."""
    even, _ = deinterleave(load(line, at[0, o]), load(line, at[0, o] + LANES))
    sums = even * load(weight, 0, o)
    for tap in range(1, taps):
        even, _ = deinterleave(load(line, at[tap, o]), load(line, at[tap, o] + LANES))
        sums += even * load(weight, tap, o)
    store(sums, target, t, o)


@helper
def pick_double(target, t, line, at, weight, taps, o):
    """The same for 2 * LANES outputs: those at o, o+2, ... and those at o+1, o+3, ... read inputs side by side."""
    u, v = interleave(load(line, at[0, o]), load(line, at[0, o + 1]))
    first, second = u * load(weight, 0, o), v * load(weight, 0, o + LANES)
    for tap in range(1, taps):
        u, v = interleave(load(line, at[tap, o]), load(line, at[tap, o + 1]))
        first += u * load(weight, tap, o)
        second += v * load(weight, tap, o + LANES)
    store(first, target, t, o)
    store(second, target, t, o + LANES)


@helper
def pick_columns(target, t, line, at, weight, even):
    """All outputs of a row. The last block of a steady stretch may overlap the one before it."""
    kind, begin, end, taps = even
    if kind == UNEVEN:
        pick_uneven(target, t, line, at, weight)
        return
    pick_singly(target, t, line, at, weight, 0, begin)
    if kind == SAME:
        for o in range(begin, end, LANES):
            pick_same(target, t, line, at, weight, taps, min(o, end - LANES))
    elif kind == HALF:
        for o in range(begin, end, LANES):
            pick_half(target, t, line, at, weight, taps, min(o, end - LANES))
    else:
        for o in range(begin, end, 2 * LANES):
            pick_double(target, t, line, at, weight, taps, min(o, end - 2 * LANES))
    pick_singly(target, t, line, at, weight, end, target.shape[1])


@helper
def list_taps(places, weights, rows, row_weight, i, H):
    """Of output i the inputs that are there, with their weights; how many."""
    count = 0
    for tap in range(len(rows)):
        if rows[tap, i] < H:
            places[count], weights[count] = rows[tap, i], row_weight[tap, i]
            count += 1
    return count


@helper
def rows_then_columns(y, x, p, begin, end, rows, row_weight, columns, column_weight, even):
    """As in ``../axes.py``; here y and x are (P, OH, OW) and (P, H, W)."""
    (P, OH, OW), (_, H, W) = y.shape, x.shape
    targets, sources = y.reshape(P * OH, OW), x.reshape(P * H, W)
    line = np.zeros(W + 1, np.float32)
    sums = line.reshape(1, W + 1)
    places, weights = np.empty(len(rows), np.int64), np.empty(len(rows), np.float32)
    for i in range(begin, end):
        count = list_taps(places, weights, rows, row_weight, i, H)
        if count == 0:
            y[p, i, :] = 0
            continue
        for tap in range(count):
            places[tap] += p * H
        mix_rows(sums, 0, W, sources, places, weights, count)
        pick_columns(targets, p * OH + i, line, columns, column_weight, even)


@helper
def columns_then_rows(y, x, p, begin, end, rows, row_weight, columns, column_weight, even):
    """The same the other way round."""
    (P, OH, OW), (_, H, W) = y.shape, x.shape
    targets, slots = y.reshape(P * OH, OW), len(rows)
    line = np.zeros(W + 1, np.float32)
    kept, holds = np.empty((slots, OW), np.float32), np.full(slots, -1)
    places, weights = np.empty(slots, np.int64), np.empty(slots, np.float32)
    for i in range(begin, end):
        count = list_taps(places, weights, rows, row_weight, i, H)
        if count == 0:
            y[p, i, :] = 0
            continue
        for tap in range(count):
            row = places[tap]
            places[tap] = row % slots
            if holds[row % slots] != row:
                for w in range(W):
                    line[w] = x[p, row, w]
                pick_columns(kept, row % slots, line, columns, column_weight, even)
                holds[row % slots] = row
        mix_rows(targets, p * OH + i, OW, kept, places, weights, count)


@parallel_kernel
def _rows_first(y, x, band, rows, row_weight, columns, column_weight, even):
    P, OH, _ = y.shape
    bands = -(-OH // band)
    for task in prange(P * bands):
        p, begin = task // bands, task % bands * band
        end = min(begin + band, OH)
        rows_then_columns(y, x, p, begin, end, rows, row_weight, columns, column_weight, even)


@parallel_kernel
def _columns_first(y, x, band, rows, row_weight, columns, column_weight, even):
    P, OH, _ = y.shape
    bands = -(-OH // band)
    for task in prange(P * bands):
        p, begin = task // bands, task % bands * band
        end = min(begin + band, OH)
        columns_then_rows(y, x, p, begin, end, rows, row_weight, columns, column_weight, even)


def apply(y: Array, x: Array, band: int, rows: Any, columns: Any) -> None:
    """Fill y from x, both planes of float32, by tables whose taps read neighbouring rows; ``band`` rows in one task."""
    even = tuple(steady(columns.at.astype(np.int64), x.shape[2]))
    kernel = _rows_first if y.shape[1] < x.shape[1] else _columns_first
    kernel(y, x, band, rows.at, rows.weight, columns.at, columns.weight, even)
