"""Dense float32 convolutions in vector registers: forward, gradient of the input, gradient of the weights.

All three are sums of products over *rows*, and none of the rows is ever written out. Take some rows of the picture
with their padding and store them one after the other, flat: a **band**.

        . . . . . .            the band:   ......  .abcd.  .efgh.  ...
        . a b c d .            output p reads tap q at  band[p + offset[q]]
        . e f g h .            tap (i, j) of channel c:  offset = c * plane + i * pitch + j
        . . . . . .

So what tap q sees at outputs 0, 1, 2, ... lies side by side in memory, and one vector load fetches LANES outputs' worth
of it. At the end of each row a few outputs are computed that don't exist (their windows hang over the edge); they
are left out when the results are copied. A stride becomes 1 by storing the pixels of every residue in a plane of their
own (``phases``): the windows of stride 2 read every second pixel, and those lie side by side in their plane. Dilation
is only another offset.

The gradient of the input is such a sum, too: of dy, with the filters transposed; for stride s, s * s of them, one
for each phase of x (``scatter``). A transposed convolution is the same function.

How much is kept in registers: OUT output channels x ACROSS vectors of outputs. Each weight that is fetched meets ACROSS
vectors, each vector of pixels meets OUT weights: with 8 x 2 that is 16 multiply-adds of a whole vector for 8 + 2 loads.
"""

import math
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
from numba import get_num_threads, prange

from minisegnet.arrays import Array
from minisegnet.buffers import fresh
from minisegnet.constants import derived
from minisegnet.sizes import Pair

from ..launch import helper, parallel_kernel
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
    total,
)

# A block of results. It must fit into the registers (32 with AVX-512, 16 before), beside ACROSS vectors of pixels and
# a weight.
OUT, ACROSS = (8, 2) if LANES == 16 else (4, 2)
COLUMNS = ACROSS * LANES

BAND = 80_000  # floats of a band and of its results: they fit a core's second-level cache

# A network has the same sizes in every call. So what follows from sizes alone is kept; whoever gets an array reads it.
GEOMETRIES = 256


# ---------------------------------------------------------------------------------------------------------
# Which pixel of which phase each tap reads


class Axis(NamedTuple):
    """One axis of a sum: output i reads, for each tap, source position (i + step) * stride + phase + first."""

    taps: tuple[int, ...]  # which rows (or columns) of the filter take part
    phase: tuple[int, ...]  # of each tap: which of `phases` it reads
    step: tuple[int, ...]  # and how far into it
    phases: tuple[int, ...]  # the residues that are read at all
    stride: int
    first: int
    outputs: int
    to: int  # where output 0 goes, and how far apart outputs lie there
    apart: int


@lru_cache(GEOMETRIES)
def gather_axis(taps: int, stride: int, padding: int, dilation: int, outputs: int) -> Axis:
    """Output i of a convolution reads position i * stride - padding + tap * dilation."""
    places = [tap * dilation for tap in range(taps)]
    phases = sorted({place % stride for place in places})
    phase = tuple(phases.index(place % stride) for place in places)
    step = tuple(place // stride for place in places)
    return Axis(tuple(range(taps)), phase, step, tuple(phases), stride, -padding, outputs, 0, 1)


@lru_cache(GEOMETRIES)
def scatter_axes(taps: int, stride: int, padding: int, dilation: int, size: int) -> tuple[Axis, ...]:
    """The positions x of the large map by their residue: x + padding = q * stride + residue.

    Tap t joins x with output o where o * stride + t * dilation = x + padding. So only the taps whose t * dilation has
    x's residue play a part, and o = q - (t * dilation - residue) / stride: a convolution with stride 1.
    """
    axes = []
    for residue in range(stride):
        q = -((residue - padding) // stride)  # of the first x that isn't negative
        last = (size - 1 + padding - residue) // stride
        if last < q:
            continue
        own = tuple(tap for tap in range(taps) if tap * dilation % stride == residue)
        back = [(tap * dilation - residue) // stride for tap in own]
        farthest = max(back, default=0)
        step = tuple(farthest - b for b in back)
        to = q * stride + residue - padding
        axes.append(Axis(own, (0,) * len(own), step, (0,), 1, q - farthest, last - q + 1, to, stride))
    return tuple(axes)


class Band(NamedTuple):
    """The sizes of a band, and the offset of every (channel, tap)."""

    rows: int  # of outputs
    tall: int  # rows of the source, of each phase
    pitch: int
    plane: int  # from channel to channel
    offsets: Array  # (channels * taps,)


@lru_cache(GEOMETRIES)
def band_of(rows: Axis, columns: Axis, channels: int, beside: int, most: int) -> Band:
    """Choose how many rows of outputs a band serves.

    As many as fit into ``most`` floats together with ``beside`` floats for each output.
    """
    reach, across = max(rows.step, default=0), max(columns.step, default=0)
    pitch = columns.outputs + across
    planes = len(rows.phases) * len(columns.phases)
    some = max(
        1, min(rows.outputs, (most // pitch - channels * planes * reach) // (channels * planes + beside))
    )
    tall = some + reach
    plane = planes * tall * pitch
    row = np.array(
        [(p * len(columns.phases)) * tall + s for p, s in zip(rows.phase, rows.step, strict=True)], np.int64
    )
    column = np.array(
        [p * tall * pitch + s for p, s in zip(columns.phase, columns.step, strict=True)], np.int64
    )
    tap = (row[:, None] * pitch + column).ravel()  # (taps,)
    return Band(some, tall, pitch, plane, (np.arange(channels)[:, None] * plane + tap).ravel())


@lru_cache(GEOMETRIES)
def block_starts(rows: int, outputs: int, pitch: int) -> Array:
    """Where blocks of COLUMNS outputs begin in a band: one after the other, or anew in each row if that takes fewer."""
    flat = np.arange(0, (rows - 1) * pitch + outputs, COLUMNS)
    by_row = (np.arange(rows)[:, None] * pitch + np.arange(0, outputs, COLUMNS)).ravel()
    return by_row if by_row.size < flat.size else flat


@helper
def fill_row(band, at, line, start, stride, pitch):
    """band[at + j] = line[start + j * stride] for j below ``pitch``, 0 outside of the line.

    The last vector runs over into what comes next, and is written later (or lies beyond the end of the band).
    """
    if stride == 1:
        for j in range(0, pitch, LANES):
            store(load_within(line, start + j), band, at + j)
    else:
        for j in range(pitch):
            column = start + j * stride
            band[at + j] = line[column] if 0 <= column < line.size else np.float32(0)


@helper
def fill_two_rows(band, at, apart, line, start, pitch):
    """band[at + j] and band[at + apart + j] = line[start + 2 * j] and the pixel right of it, 0 outside of the line."""
    for j in range(0, pitch, LANES):
        even, odd = deinterleave(load_within(line, start + 2 * j), load_within(line, start + 2 * j + LANES))
        store_first(pitch - j, even, band, at + j)
        store_first(pitch - j, odd, band, at + apart + j)


@helper
def fill_band(band, image, top, tall, pitch, row_phases, column_phases, stride, first):
    """Copy the rows of ``image`` (C, H, W) that outputs from row ``top`` on read, with 0 outside; phase by phase."""
    C, H, _ = image.shape
    at, plane = 0, tall * pitch
    for c in range(C):
        for a in row_phases:
            for i in range(tall):
                row = (top + i) * stride[0] + a + first[0]
                line = image[c, row] if 0 <= row < H else image[c, 0, :0]
                if stride[1] == 2 and len(column_phases) == 2:
                    fill_two_rows(band, at + i * pitch, plane, line, first[1], pitch)
                else:
                    for b in range(len(column_phases)):
                        start = column_phases[b] + first[1]  # the source column of place 0
                        fill_row(band, at + b * plane + i * pitch, line, start, stride[1], pitch)
            at += len(column_phases) * plane


# ---------------------------------------------------------------------------------------------------------
# Sums: y[k, p] = b[k] + the sum over q of weights[q, k] * band[p + offsets[q]]


@helper
def sum_block(result, band, p, offsets, weights, bias):
    """result[o, p : p + COLUMNS] of OUT output channels."""
    sums = registers(OUT, ACROSS)
    pixels = registers(ACROSS)
    for o in range(OUT):
        for v in range(ACROSS):
            sums[o, v] += bias[o]
    for q in range(len(offsets)):
        at = p + offsets[q]
        for v in range(ACROSS):
            pixels[v] = load(band, at + v * LANES)
        for o in range(OUT):  # each weight meets all the pixels while it is at hand
            for v in range(ACROSS):
                sums[o, v] += weights[q, o] * pixels[v]
    for o in range(OUT):
        for v in range(ACROSS):
            store(sums[o, v], result, o, p + v * LANES)


@helper
def put_rows(out, result, channels, top, rows, columns, pitch, to, apart, floor):
    """Copy the outputs that exist from ``result`` (OUT, rows * pitch) to rows and columns of ``out`` (K, H, W).

    What is below ``floor`` becomes that: 0 makes a ReLU of it, -inf nothing.
    """
    for o in range(channels):
        for i in range(rows):
            line = out[o, to[0] + (top + i) * apart[0], to[1] :]
            if apart[1] == 1:
                for j in range(0, columns, LANES):
                    store_first(columns - j, maximum(load(result, o, i * pitch + j), floor), line, j)
            else:
                source = result[o, i * pitch : i * pitch + columns]
                for j in range(columns):
                    line[j * apart[1]] = floor if source[j] < floor else source[j]


@parallel_kernel
def _sums(
    out,
    source,
    weights,
    bias,
    scratch,
    results,
    offsets,
    starts,
    rows,
    tall,
    pitch,
    plane,
    row_phases,
    column_phases,
    stride,
    first,
    outputs,
    to,
    apart,
    floor,
):
    """Each task is some rows of the outputs of one group of one image."""
    (N, K, _, _), (G, blocks, _, _) = out.shape, weights.shape
    CG, KG = source.shape[1] // G, K // G
    bands = -(-outputs[0] // rows)
    tasks, workers = N * G * bands, len(scratch)
    for worker in prange(workers):
        band, result = scratch[worker], results[worker]
        band[CG * plane :] = 0  # what the last block reads beyond
        for task in range(worker * tasks // workers, (worker + 1) * tasks // workers):
            n, g, top = task // (G * bands), task // bands % G, task % bands * rows
            count = min(rows, outputs[0] - top)
            image = source[n, g * CG : (g + 1) * CG]
            fill_band(band, image, top, tall, pitch, row_phases, column_phases, stride, first)
            # What a block of outputs reads stays in the first-level cache while all filters use it.
            for p in starts:
                if p < count * pitch:
                    for block in range(blocks):
                        k = block * OUT
                        sum_block(
                            result[k : k + OUT], band, p, offsets, weights[g, block], bias[g, k : k + OUT]
                        )
            put_rows(
                out[n, g * KG : (g + 1) * KG], result, KG, top, count, outputs[1], pitch, to, apart, floor
            )


@parallel_kernel
def _pack(weights, filters):
    """weights[g, block, q, o] = filters[g, block * OUT + o, q]: those that are used together lie together."""
    (G, blocks, Q, _), KG = weights.shape, filters.shape[1]
    for task in prange(G * blocks):
        g, block = task // blocks, task % blocks
        for o in range(OUT):
            k = block * OUT + o
            if k < KG:
                for q in range(Q):
                    weights[g, block, q, o] = filters[g, k, q]
            else:
                for q in range(Q):
                    weights[g, block, q, o] = 0


@parallel_kernel
def _pack_turned(weights, w, row_taps, column_taps):
    """The same for the gradient of the input: weights[g, block, (k, tap), c] of w (K, CG, KH, KW), some taps only."""
    (G, blocks, _, _), (K, CG, _, _) = weights.shape, w.shape
    KG = K // G
    for task in prange(G * blocks):
        g, block = task // blocks, task % blocks
        first = block * OUT
        some = min(OUT, CG - first)
        for k in range(KG):
            filters = w[g * KG + k, first : first + some]
            q = k * len(row_taps) * len(column_taps)
            for i in row_taps:
                for j in column_taps:
                    line = weights[g, block, q]
                    for o in range(some):
                        line[o] = filters[o, i, j]
                    for o in range(some, OUT):
                        line[o] = 0
                    q += 1


def _packed(w: Array, groups: int) -> Array:
    """The filters (K, CG, KH, KW) as ``sums`` wants them."""
    KG, Q = w.shape[0] // groups, w[0].size
    weights = fresh((groups, -(-KG // OUT), Q, OUT))
    _pack(weights, w.reshape(groups, KG, Q))
    return weights


def _packed_turned(w: Array, groups: int, row_taps: tuple[int, ...], column_taps: tuple[int, ...]) -> Array:
    """The same for the gradient of the input, of some taps."""
    K, CG = w.shape[:2]
    weights = fresh((groups, -(-CG // OUT), K // groups * len(row_taps) * len(column_taps), OUT))
    _pack_turned(weights, w, np.array(row_taps, np.int64), np.array(column_taps, np.int64))
    return weights


def bias_blocks(bias: Array, G: int, blocks: int) -> Array:
    """Biases (K,) as (groups, blocks * OUT), with 0 for the channels that fill the last block."""
    biases = np.zeros((G, blocks * OUT), np.float32)
    biases[:, : len(bias) // G] = bias.reshape(G, -1)
    return biases


NO_FLOOR = np.float32(-np.inf)


def sums(
    out: Array,
    source: Array,
    weights: Array,
    bias: Array,
    rows: Axis,
    columns: Axis,
    floor: np.float32 = NO_FLOOR,
) -> None:
    """Write the outputs of one phase, with packed weights (groups, blocks, C/groups * taps, OUT)."""
    (G, blocks), workers = weights.shape[:2], get_num_threads()
    CG = source.shape[1] // G
    band = band_of(rows, columns, CG, blocks * OUT, BAND)
    starts = block_starts(band.rows, columns.outputs, band.pitch)
    wide = int(starts[-1]) + COLUMNS + LANES
    scratch, results = fresh((workers, CG * band.plane + 2 * COLUMNS)), fresh((workers, blocks * OUT, wide))
    _sums(
        out, source, weights, bias_blocks(bias, G, blocks), scratch, results, band.offsets, starts,
        band.rows, band.tall, band.pitch, band.plane, np.array(rows.phases), np.array(columns.phases),
        (rows.stride, columns.stride), (rows.first, columns.first), (rows.outputs, columns.outputs),
        (rows.to, columns.to), (rows.apart, columns.apart), floor,
    )  # fmt: skip


def gather(
    y: Array,
    x: Array,
    w: Array,
    b: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    floor: np.float32 = NO_FLOOR,
) -> None:
    """y = b + w * x, and ``floor`` at least."""
    (OH, OW), (KH, KW) = y.shape[2:], w.shape[2:]
    weights = derived(w, ("direct", groups), lambda: _packed(w, groups))
    rows = gather_axis(KH, stride[0], padding[0], dilation[0], OH)
    columns = gather_axis(KW, stride[1], padding[1], dilation[1], OW)
    sums(y, x, weights, b, rows, columns, floor)


def scatter(
    x: Array, y: Array, w: Array, b: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> None:
    """x = b + (w transposed) * y."""
    (H, W), (KH, KW) = x.shape[2:], w.shape[2:]
    for rows in scatter_axes(KH, stride[0], padding[0], dilation[0], H):
        for columns in scatter_axes(KW, stride[1], padding[1], dilation[1], W):
            weights = derived(
                w,
                ("direct, turned", groups, rows.taps, columns.taps),
                partial(_packed_turned, w, groups, rows.taps, columns.taps),
            )
            sums(x, y, weights, b, rows, columns)


# ---------------------------------------------------------------------------------------------------------
# The gradient of the weights: w[q, k] = the sum over p of band[p + offsets[q]] * y[p, k]

# A block of results: TAPS of the (channel, tap) pairs x ALONG vectors of filters.
TAPS, ALONG = (12, 2) if LANES == 16 else (4, 2)
FILTERS = ALONG * LANES
ROUNDS = LANES.bit_length() - 1  # log2(LANES)


@helper
def transpose_block(source, row, column, target, to_row, to_column):
    """target[to_row + j, to_column + i] = source[row + i, column + j] for LANES x LANES; 0 for rows that aren't there.

    Only what has a place in ``target`` is written. To interleave the first half of the vectors with the second,
    log2(LANES) times, is a perfect shuffle of all their numbers: rows become columns.
    """
    there = len(source) - row
    lines = registers(LANES)
    for i in range(LANES):
        if i < there:
            lines[i] = load_first(source.shape[1] - column, source, row + i, column)
    for _ in range(ROUNDS):
        shuffled = registers(LANES)
        for i in range(LANES // 2):
            shuffled[2 * i], shuffled[2 * i + 1] = interleave(lines[i], lines[i + LANES // 2])
        for i in range(LANES):
            lines[i] = shuffled[i]
    for j in range(LANES):
        if to_row + j < target.shape[0]:
            store_first(target.shape[1] - to_column, lines[j], target, to_row + j, to_column)


@helper
def gradient_block(total, band, y, count, offsets, q, k):
    """Add to total[q : q + TAPS, k : k + FILTERS] what ``count`` outputs contribute."""
    sums = registers(TAPS, ALONG)
    gradients = registers(ALONG)
    for p in range(count):
        for v in range(ALONG):
            gradients[v] = load(y, p, k + v * LANES)
        for t in range(TAPS):
            pixel = spread(band, p + offsets[q + t])
            for v in range(ALONG):
                sums[t, v] += pixel * gradients[v]
    for t in range(TAPS):
        for v in range(ALONG):
            store(load(total, q + t, k + v * LANES) + sums[t, v], total, q + t, k + v * LANES)


@helper
def turn_rows(turned, y, top, count, pitch, columns):
    """turned[i * pitch + j, k] = y[k, top + i, j]; 0 where an output doesn't exist, and in the filters beyond."""
    for i in range(count):
        begin = i * pitch
        for k in range(0, turned.shape[1], LANES):
            for j in range(0, columns, LANES):
                transpose_block(y[:, top + i], k, j, turned[begin : begin + columns], j, k)
            for j in range(columns, pitch):
                for v in range(LANES):
                    turned[begin + j, k + v] = 0


@parallel_kernel
def _gradients(
    totals, x, y, offsets, rows, tall, pitch, plane, row_phases, column_phases, stride, first, outputs
):
    """Each part of the tasks adds up a total of its own; they are few, and always cut in the same way."""
    (N, K, _, _), (parts, G, Q, wide) = y.shape, totals.shape
    CG, KG = x.shape[1] // G, K // G
    bands = -(-outputs[0] // rows)
    tasks = N * bands
    for part in prange(parts):
        band = np.zeros(CG * plane + 2 * COLUMNS, np.float32)
        turned = np.empty((rows * pitch, wide), np.float32)
        for task in range(part * tasks // parts, (part + 1) * tasks // parts):
            n, top = task // bands, task % bands * rows
            count = min(rows, outputs[0] - top)
            for g in range(G):
                fill_band(
                    band,
                    x[n, g * CG : (g + 1) * CG],
                    top,
                    tall,
                    pitch,
                    row_phases,
                    column_phases,
                    stride,
                    first,
                )
                turn_rows(turned, y[n, g * KG : (g + 1) * KG], top, count, pitch, outputs[1])
                for k in range(0, wide, FILTERS):
                    for q in range(0, Q, TAPS):
                        gradient_block(
                            totals[part, g], band, turned, (count - 1) * pitch + outputs[1], offsets, q, k
                        )


@parallel_kernel
def _unpack_gradient(w, totals):
    """w[g, k, q] = the totals of all parts, one after the other. Rows become columns, LANES x LANES at a time."""
    (G, KG, Q), (parts, _, _, wide) = w.shape, totals.shape
    blocks = -(-Q // LANES)
    for task in prange(G * blocks):
        g, first = task // blocks, task % blocks * LANES
        for part in range(1, parts):
            for q in range(first, min(first + LANES, Q)):
                for k in range(0, wide, LANES):
                    store(load(totals, 0, g, q, k) + load(totals, part, g, q, k), totals, 0, g, q, k)
        for k in range(0, KG, LANES):
            transpose_block(totals[0, g, :Q], first, k, w[g], k, first)


# With few filters, vectors of them would be half empty. Then vectors run along the outputs instead, and each (q, k)
# keeps LANES partial sums, which are added up at the very end.
FEW_TAPS, FEW_FILTERS = (6, 4) if LANES == 16 else (3, 3)


@helper
def few_block(total, band, y, count, offsets, q, k):
    """Add to total[q : q + FEW_TAPS, k : k + FEW_FILTERS, :] what ``count`` outputs contribute."""
    sums = registers(FEW_TAPS, FEW_FILTERS)
    gradients = registers(FEW_FILTERS)
    for p in range(0, count, LANES):
        for f in range(FEW_FILTERS):
            gradients[f] = load(y, k + f, p)
        for t in range(FEW_TAPS):
            pixels = load(band, p + offsets[q + t])
            for f in range(FEW_FILTERS):
                sums[t, f] += pixels * gradients[f]
    for t in range(FEW_TAPS):
        for f in range(FEW_FILTERS):
            store(load(total, q + t, k + f, 0) + sums[t, f], total, q + t, k + f, 0)


@helper
def spread_rows(spread, y, top, count, pitch, columns):
    """spread[k, i * pitch + j] = y[k, top + i, j]; 0 where an output doesn't exist, and in the filters beyond."""
    for k in range(len(y)):
        for i in range(count):
            line = spread[k, i * pitch : (i + 1) * pitch]
            source = y[k, top + i]
            for j in range(columns):
                line[j] = source[j]
            line[columns:] = 0
        spread[k, count * pitch :] = 0
    spread[len(y) :] = 0


@parallel_kernel
def _few_gradients(
    totals, x, y, offsets, rows, tall, pitch, plane, row_phases, column_phases, stride, first, outputs
):
    """As ``_gradients``, with totals (parts, groups, taps, filters, LANES)."""
    (N, K, _, _), (parts, G, Q, wide, _) = y.shape, totals.shape
    CG, KG = x.shape[1] // G, K // G
    bands = -(-outputs[0] // rows)
    tasks = N * bands
    for part in prange(parts):
        band = np.zeros(CG * plane + 2 * COLUMNS, np.float32)
        spread = np.empty((wide, rows * pitch + LANES), np.float32)
        for task in range(part * tasks // parts, (part + 1) * tasks // parts):
            n, top = task // bands, task % bands * rows
            count = min(rows, outputs[0] - top)
            for g in range(G):
                image = x[n, g * CG : (g + 1) * CG]
                fill_band(band, image, top, tall, pitch, row_phases, column_phases, stride, first)
                spread_rows(spread, y[n, g * KG : (g + 1) * KG], top, count, pitch, outputs[1])
                for k in range(0, wide, FEW_FILTERS):
                    for q in range(0, Q, FEW_TAPS):
                        few_block(totals[part, g], band, spread, count * pitch, offsets, q, k)


@parallel_kernel
def _add_up(w, totals):
    """w[g, k, q] = the sum of all parts and lanes, in fixed order."""
    (G, KG, Q), parts = w.shape, len(totals)
    for task in prange(G * Q):
        g, q = task // Q, task % Q
        for k in range(KG):
            lanes = registers(1)
            for part in range(parts):
                lanes[0] += load(totals, part, g, q, k, 0)
            w[g, k, q] = total(lanes[0])


PARTS, PARTS_FLOATS = 16, 1 << 22  # of the weights' gradient: so many totals at most, and so large together


def weight_gradient(
    w: Array, y: Array, x: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> None:
    """w = the sum of y times x over all the pairs of pixels that each weight joins."""
    (N, K, OH, OW), (CG, KH, KW) = y.shape, w.shape[1:]
    KG, Q = K // groups, CG * KH * KW
    few = KG <= LANES
    taps, filters, lanes = (FEW_TAPS, FEW_FILTERS, (LANES,)) if few else (TAPS, FILTERS, ())
    rows = gather_axis(KH, stride[0], padding[0], dilation[0], OH)
    columns = gather_axis(KW, stride[1], padding[1], dilation[1], OW)
    wide = -(-KG // filters) * filters
    band = band_of(rows, columns, CG, wide, BAND)
    offsets = np.zeros(
        -(-Q // taps) * taps, np.int64
    )  # the last block's missing pairs read what another reads
    offsets[:Q] = band.offsets
    shape = (groups, offsets.size, wide, *lanes)
    parts = max(1, min(PARTS, PARTS_FLOATS // math.prod(shape), N * -(-OH // band.rows)))
    totals = fresh((parts, *shape))
    totals[:] = 0
    (_few_gradients if few else _gradients)(
        totals, x, y, offsets, band.rows, band.tall, band.pitch, band.plane, np.array(rows.phases),
        np.array(columns.phases), stride, (rows.first, columns.first), (OH, OW),
    )  # fmt: skip
    (_add_up if few else _unpack_gradient)(w.reshape(groups, KG, Q), totals)
