r"""3 x 3 convolutions with a quarter of the multiplications: Winograd's F(4 x 4, 3 x 3).

On one axis, four outputs of a filter of three taps need six pixels d and 4 * 3 = 12 multiplications. They are the
middle four coefficients of a product of polynomials, and a product of degree 5 is fixed by its values at six points.
So: evaluate both factors at six points, multiply the values (6 multiplications), and interpolate. Both
outer steps are fixed small matrices, so that the cost that grows with the number of channels is 6 instead of 12; on two
axes 36 instead of 144.

.. math:: y = A^T \big[ (G g G^T) \odot (B^T d B) \big] A

With the points 0, s, -s, t, -t and infinity, where :math:`s = 1/\sqrt 2` and :math:`t = \sqrt 2`:

- row x of G is :math:`(1, x, x^2) / \prod_{p \ne x} (x - p)`, over the other finite points p; at infinity (0, 0, 1);
- row x of B^T has the coefficients of :math:`\prod_{p \ne x} (z - p)`; at infinity those of the product over all five;
- row i of A^T is :math:`x^i` for each point x, and for infinity 0, 0, 0, 1.

Worked out: since s * s = 1/2 and t * t = 2, the first row of B^T is :math:`(z^2 - 1/2)(z^2 - 2) = z^4 - 5/2 z^2 + 1`.
The points 0, 1, -1, 2, -2 of the textbooks cost the same, but their powers reach 8 where ours reach
2.8: these have about a quarter of the rounding error. It is still two to six times that of adding up directly
(``docs/performance.md`` has figures), hence the switch ``ops.exact_convolutions()``. float64 never comes here.

Tiles of 4 x 4 outputs overlap in their 6 x 6 pixels. Some tiles at a time (of some rows, or of several images where the
maps are small) go through three steps, and the numbers between the steps stay in the cache:

    V[a, c, tile]  the 36 values of each tile and channel          (take_tiles, tiles_in)
    M[a, k, tile] = sum over c of U[a, k, c] * V[a, c, tile]       36 products of matrices (sum_block)
    y              each tile's 16 outputs from its 36 sums         (tiles_out, put_tiles)

The gradient of the filters takes the same way backwards: with g's gradient wanted instead of y, both other factors
are known at the six points, their products are added up over all tiles, and G^T leads back:

.. math:: dg = G^T \big[ \sum_{tiles} (A\, dy\, A^T) \odot (B^T d B) \big] G

Everything in V and M is cut into lines of a cache (64 bytes), and the 36 matrices of a block lie one line more apart
than they are long. Were they a multiple of 4096 bytes apart, all 36 stores of a tile would compete for one place in the
first-level cache.
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads, prange

from minisegnet.arrays import Array
from minisegnet.buffers import fresh
from minisegnet.constants import derived
from minisegnet.sizes import Pair

from ..launch import helper, parallel_kernel
from .direct import COLUMNS, FILTERS, NO_FLOOR, OUT, TAPS, gradient_block, sum_block, transpose_block
from .vectors import (
    LANES,
    deinterleave,
    interleave,
    load,
    load_within,
    maximum,
    registers,
    spread,
    store,
    store_first,
)

POINTS = 6  # values of one axis; a tile has 36
S, T = 0.5**0.5, 2.0**0.5
BLOCK = COLUMNS  # tiles that lie side by side: as many as sum_block takes
LINE = 16  # floats in a line of the cache

# How many floats the tiles in work take: for each worker, so that they stay in the second-level cache ...
SCRATCH = 1 << 17  # V and M
PART = 1 << 17  # V of the gradient of the filters
CHUNK = 1 << 21  # ... and where all workers share V


class Plan(NamedTuple):
    """How the tiles are dealt out: a task has so many images, rows and columns of tiles (at the edges fewer)."""

    images: int
    rows: int
    columns: int
    all_rows: int
    all_columns: int

    @property
    def tiles(self) -> int:
        """Tiles of a task."""
        return self.images * self.rows * self.columns

    def tasks(self, images: int) -> int:
        """Tasks of so many images."""
        bands, pieces = -(-self.all_rows // self.rows), -(-self.all_columns // self.columns)
        return -(-images // self.images) * bands * pieces


def plan_tiles(images: int, size: tuple[int, int], most: int) -> Plan:
    """Cut maps of this size into tasks of about equal size, of ``most`` tiles at most."""
    all_rows, all_columns = -(-size[0] // 4), -(-size[1] // 4)
    columns = _even(all_columns, most)
    rows = _even(all_rows, max(1, most // columns))
    whole = rows == all_rows and columns == all_columns
    return Plan(
        _even(images, max(1, most // (rows * columns))) if whole else 1, rows, columns, all_rows, all_columns
    )


def _even(total: int, most: int) -> int:
    """Cut ``total`` into as few parts of at most ``most`` as possible; the size of the largest, if they are even."""
    total = max(1, total)  # of an empty batch
    return -(-total // -(-total // most))


# ---------------------------------------------------------------------------------------------------------
# From pixels to points and back


@helper
def at_points(d0, d1, d2, d3, d4, d5):
    """B^T d: the values at 0, s, -s, t, -t and infinity."""
    even_s, odd_s = d4 - d2 * 2.0, (d3 - d1 * 2.0) * np.float32(S)
    even_t, odd_t = d4 - d2 * 0.5, (d3 - d1 * 0.5) * np.float32(T)
    return (
        d0 - d2 * 2.5 + d4,
        even_s + odd_s,
        even_s - odd_s,
        even_t + odd_t,
        even_t - odd_t,
        d1 - d3 * 2.5 + d5,
    )


@helper
def from_points(m0, m1, m2, m3, m4, m5):
    """A^T m: four outputs from the values of the product at the six points."""
    even_s, odd_s, even_t, odd_t = m1 + m2, (m1 - m2) * np.float32(S), m3 + m4, (m3 - m4) * np.float32(T)
    return m0 + even_s + even_t, odd_s + odd_t, even_s * 0.5 + even_t * 2.0, odd_s * 0.5 + odd_t * 2.0 + m5


@helper
def four_of(row, start):
    """Four vectors: pixel row[start + 4 * lane + s] for s = 0 to 3, and 0 for those outside of the row."""
    even_u, odd_u = deinterleave(load_within(row, start), load_within(row, start + LANES))
    even_v, odd_v = deinterleave(load_within(row, start + 2 * LANES), load_within(row, start + 3 * LANES))
    zeroth, second = deinterleave(even_u, even_v)
    oneth, third = deinterleave(odd_u, odd_v)
    return zeroth, oneth, second, third


@helper
def put_six(pixels, i, p, four, next_four):
    """pixels[6 * i + j, p : p + LANES] = pixel j of LANES tiles; the last two are the first two of the next tile."""
    store(four[0], pixels, 6 * i, p)
    store(four[1], pixels, 6 * i + 1, p)
    store(four[2], pixels, 6 * i + 2, p)
    store(four[3], pixels, 6 * i + 3, p)
    store(next_four[0], pixels, 6 * i + 4, p)
    store(next_four[1], pixels, 6 * i + 5, p)


@helper
def take_tiles(pixels, at, image, top, left, rows, columns):
    """pixels[6 * i + j, at + tile] = pixel (i, j) of each tile; the first one begins at image[top, left].

    Rows 4 and 5 of a tile are rows 0 and 1 of the tile below. The last vector of a row of tiles runs over into the next
    row, which is written later.
    """
    for row in range(4 * rows + 2):
        line = image[top + row] if 0 <= top + row < len(image) else image[0, :0]
        above, i = row // 4 - 1, row % 4
        for j in range(0, columns, LANES):
            four, next_four = four_of(line, left + 4 * j), four_of(line, left + 4 * j + 4)
            if above + 1 < rows:
                put_six(pixels, i, at + (above + 1) * columns + j, four, next_four)
            if above >= 0 and i < 2:
                put_six(pixels, i + 4, at + above * columns + j, four, next_four)


@helper
def tiles_in(V, start, pixels, p):
    """V[a, start : start + LANES], the 36 values of LANES tiles: columns first, then rows."""
    half = registers(POINTS, POINTS)
    for j in range(POINTS):
        half[0, j], half[1, j], half[2, j], half[3, j], half[4, j], half[5, j] = at_points(
            load(pixels, j, p),
            load(pixels, 6 + j, p),
            load(pixels, 12 + j, p),
            load(pixels, 18 + j, p),
            load(pixels, 24 + j, p),
            load(pixels, 30 + j, p),
        )
    for i in range(POINTS):
        values = at_points(half[i, 0], half[i, 1], half[i, 2], half[i, 3], half[i, 4], half[i, 5])
        store(values[0], V, 6 * i, start)
        store(values[1], V, 6 * i + 1, start)
        store(values[2], V, 6 * i + 2, start)
        store(values[3], V, 6 * i + 3, start)
        store(values[4], V, 6 * i + 4, start)
        store(values[5], V, 6 * i + 5, start)


@helper
def tiles_out(result, p, M, start):
    """result[4 * i + j, p : p + LANES] = output (i, j) of LANES tiles, from M[a, start : start + LANES]."""
    half = registers(4, POINTS)
    for j in range(POINTS):
        half[0, j], half[1, j], half[2, j], half[3, j] = from_points(
            load(M, j, start),
            load(M, 6 + j, start),
            load(M, 12 + j, start),
            load(M, 18 + j, start),
            load(M, 24 + j, start),
            load(M, 30 + j, start),
        )
    for i in range(4):
        outputs = from_points(half[i, 0], half[i, 1], half[i, 2], half[i, 3], half[i, 4], half[i, 5])
        store(outputs[0], result, 4 * i, p)
        store(outputs[1], result, 4 * i + 1, p)
        store(outputs[2], result, 4 * i + 2, p)
        store(outputs[3], result, 4 * i + 3, p)


@helper
def put_tiles(y, result, at, top, left, rows, columns, bias, floor):
    """y[top + 4 * row + i, left + 4 * column + j] = bias + result[4 * i + j, at + tile], as far as y (OH, OW) goes.

    What is below ``floor`` becomes that: 0 makes a ReLU of it, -inf nothing.
    """
    OH, OW = y.shape
    for row in range(rows):
        for i in range(min(4, OH - top - 4 * row)):
            line = y[top + 4 * row + i]
            for j in range(0, columns, LANES):
                tile = at + row * columns + j
                even_u, even_v = interleave(load(result, 4 * i, tile), load(result, 4 * i + 2, tile))
                odd_u, odd_v = interleave(load(result, 4 * i + 1, tile), load(result, 4 * i + 3, tile))
                zeroth, oneth = interleave(even_u, odd_u)
                second, third = interleave(even_v, odd_v)
                first = left + 4 * j
                some = min(OW - first, 4 * (columns - j))
                store_first(some, maximum(zeroth + bias, floor), line, first)
                store_first(some - LANES, maximum(oneth + bias, floor), line, first + LANES)
                store_first(some - 2 * LANES, maximum(second + bias, floor), line, first + 2 * LANES)
                store_first(some - 3 * LANES, maximum(third + bias, floor), line, first + 3 * LANES)


# ---------------------------------------------------------------------------------------------------------
# Forward, and the gradient of the input


@parallel_kernel
def _convolve(y, x, U, bias, V, M, tables, plan, padding, shares, floor):
    """Each task is some tiles, and a share of the filters (more than one share only if there are few tiles)."""
    images, rows, columns, all_rows, all_columns = plan
    (N, K, _, _), C, filters = y.shape, x.shape[1], U.shape[1]
    bands, pieces, workers = -(-all_rows // rows), -(-all_columns // columns), len(V)
    tasks = -(-N // images) * bands * pieces * shares
    channels = np.arange(C) * BLOCK  # where each channel begins in a block of V
    nothing = np.zeros(OUT, np.float32)
    for worker in prange(workers):
        pixels, result = tables[worker, :36], tables[worker, 36:]  # (36, tiles), (16, tiles)
        for task in range(worker * tasks // workers, (worker + 1) * tasks // workers):
            share, piece = task % shares, task // shares % pieces
            top, n = task // (shares * pieces) % bands * rows, task // (shares * pieces * bands) * images
            some, tall, wide = (
                min(images, N - n),
                min(rows, all_rows - top),
                min(columns, all_columns - piece * columns),
            )
            area = tall * wide
            for c in range(C):
                for m in range(some):
                    take_tiles(
                        pixels, m * area, x[n + m, c], 4 * top - padding[0], 4 * piece * columns - padding[1],
                        tall, wide,
                    )  # fmt: skip
                for p in range(0, some * area, LANES):
                    tiles_in(V[worker, p // BLOCK], c * BLOCK + p % BLOCK, pixels, p)
            first, last = share * filters // shares, (share + 1) * filters // shares
            for a in range(36):
                for block in range(-(-(some * area) // BLOCK)):
                    for f in range(first, last):
                        sums = M[worker, block, a, f * OUT * BLOCK : (f + 1) * OUT * BLOCK].reshape(
                            OUT, BLOCK
                        )
                        sum_block(sums, V[worker, block, a], 0, channels, U[a, f], nothing)
            for k in range(first * OUT, min(K, last * OUT)):
                for p in range(0, some * area, LANES):
                    tiles_out(result, p, M[worker, p // BLOCK], k * BLOCK + p % BLOCK)
                for m in range(some):
                    put_tiles(
                        y[n + m, k],
                        result,
                        m * area,
                        4 * top,
                        4 * piece * columns,
                        tall,
                        wide,
                        bias[k],
                        floor,
                    )


@helper
def filters_at_points(U, at, taps):
    """U[a, at : at + LANES] = G g G^T of LANES filters, whose nine taps are taps[3 * i + j]."""
    half = registers(POINTS, 3)
    for j in range(3):
        half[0, j], half[1, j], half[2, j], half[3, j], half[4, j], half[5, j] = filter_at_points(
            load(taps, j, 0), load(taps, 3 + j, 0), load(taps, 6 + j, 0)
        )
    for i in range(POINTS):
        values = filter_at_points(half[i, 0], half[i, 1], half[i, 2])
        store(values[0], U, 6 * i, at)
        store(values[1], U, 6 * i + 1, at)
        store(values[2], U, 6 * i + 2, at)
        store(values[3], U, 6 * i + 3, at)
        store(values[4], U, 6 * i + 4, at)
        store(values[5], U, 6 * i + 5, at)


@helper
def filter_at_points(g0, g1, g2):
    """G g: the values of three taps at the six points, divided as the rows of G are."""
    even_s, odd_s = (g0 + g0 + g2) * np.float32(-1 / 3), g1 * np.float32(-2 * S / 3)
    even_t, odd_t = (g0 + g2 + g2) * np.float32(1 / 6), g1 * np.float32(T / 6)
    return g0, even_s + odd_s, even_s - odd_s, even_t + odd_t, even_t - odd_t, g2


TOGETHER = LANES // OUT  # channels of one block of filters in a vector


@parallel_kernel
def _filters(U, w, turned):
    """U[a, block, c, o] of w (K, C, 3, 3); ``turned``: w's channels are the filters, the taps run backwards."""
    _, blocks, wide, _ = U.shape
    (C, K) = (w.shape[0], w.shape[1]) if turned else (w.shape[1], w.shape[0])
    flat = U.reshape(36, blocks * wide * OUT)
    for task in prange(blocks):
        taps = np.zeros((9, LANES), np.float32)
        for c in range(0, C, TOGETHER):
            for e in range(LANES):
                k, channel = task * OUT + e % OUT, c + e // OUT
                if k < K and channel < C:
                    for i in range(3):
                        for j in range(3):
                            taps[3 * i + j, e] = (
                                w[channel, k, 2 - i, 2 - j] if turned else w[k, channel, i, j]
                            )
            filters_at_points(flat, (task * wide + c) * OUT, taps)


def _points_of(w: Array, turned: bool) -> Array:
    """The values of all filters, as ``_filters`` arranges them."""
    C, K = (w.shape[0], w.shape[1]) if turned else (w.shape[1], w.shape[0])
    U = fresh((36, -(-K // OUT), -(-C // TOGETHER) * TOGETHER, OUT))
    _filters(U, w, turned)
    return U


def convolve(
    y: Array,
    x: Array,
    w: Array,
    b: Array,
    padding: Pair,
    *,
    turned: bool = False,
    floor: np.float32 = NO_FLOOR,
) -> None:
    """y = b + w * x for 3 x 3 taps with stride 1, and ``floor`` at least; ``turned``: b + (w transposed) * x."""
    (N, K, OH, OW), C, workers = y.shape, x.shape[1], get_num_threads()
    U = derived(w, ("winograd", turned), lambda: _points_of(w, turned))
    plan = plan_tiles(N, (OH, OW), max(BLOCK, SCRATCH // (36 * (C + K)) // BLOCK * BLOCK))
    tasks = plan.tasks(N)
    blocks = -(-plan.tiles // BLOCK)
    V = fresh((workers, blocks, 36, C * BLOCK + LINE))
    M = fresh((workers, blocks, 36, U.shape[1] * OUT * BLOCK + LINE))
    tables = fresh((workers, 36 + 16, -(-plan.tiles // LINE) * LINE + 2 * LINE))
    _convolve(
        y, x, U, b, V, M, tables, tuple(plan), padding, min(U.shape[1], -(-workers // max(1, tasks))), floor
    )


# ---------------------------------------------------------------------------------------------------------
# The gradient of the filters


@helper
def gradient_at_points(d0, d1, d2, d3):
    """A d: the values of four numbers, as coefficients of a polynomial, at 0, s, -s, t, -t and infinity."""
    even_s, odd_s = d0 + d2 * 0.5, (d1 + d3 * 0.5) * np.float32(S)
    even_t, odd_t = d0 + d2 * 2.0, (d1 + d3 * 2.0) * np.float32(T)
    return d0, even_s + odd_s, even_s - odd_s, even_t + odd_t, even_t - odd_t, d3


@helper
def taps_from_points(m0, m1, m2, m3, m4, m5):
    """G^T m: three taps from the sums at the six points."""
    even_s, odd_s = (m1 + m2) * np.float32(1 / 3), (m1 - m2) * np.float32(2 * S / 3)
    even_t, odd_t = (m3 + m4) * np.float32(1 / 3), (m3 - m4) * np.float32(T / 6)
    return m0 - even_s * 2.0 + even_t * 0.5, odd_t - odd_s, even_t - even_s + m5


@helper
def take_outputs(pixels, at, image, top, left, rows, columns):
    """pixels[4 * i + j, at + tile] = output (i, j) of each tile; the first one begins at image[top, left]."""
    for row in range(4 * rows):
        line = image[top + row] if top + row < len(image) else image[0, :0]
        for j in range(0, columns, LANES):
            p, four = at + row // 4 * columns + j, four_of(line, left + 4 * j)
            store(four[0], pixels, row % 4 * 4, p)
            store(four[1], pixels, row % 4 * 4 + 1, p)
            store(four[2], pixels, row % 4 * 4 + 2, p)
            store(four[3], pixels, row % 4 * 4 + 3, p)


@helper
def gradients_in(V, start, pixels, p):
    """V[a, start : start + LANES], the 36 values of LANES tiles of 4 x 4 gradients."""
    half = registers(POINTS, 4)
    for j in range(4):
        half[0, j], half[1, j], half[2, j], half[3, j], half[4, j], half[5, j] = gradient_at_points(
            load(pixels, j, p), load(pixels, 4 + j, p), load(pixels, 8 + j, p), load(pixels, 12 + j, p)
        )
    for i in range(POINTS):
        values = gradient_at_points(half[i, 0], half[i, 1], half[i, 2], half[i, 3])
        store(values[0], V, 6 * i, start)
        store(values[1], V, 6 * i + 1, start)
        store(values[2], V, 6 * i + 2, start)
        store(values[3], V, 6 * i + 3, start)
        store(values[4], V, 6 * i + 4, start)
        store(values[5], V, 6 * i + 5, start)


@helper
def channel_values(V, channel, width, pixels, x, dy, n, images, corner, rows, columns, padding):
    """V[a, channel * width + tile] of one channel: those of x, and after them those of dy."""
    C, area, (top, left) = x.shape[1], rows * columns, corner
    for m in range(images):
        if channel < C:
            image = x[n + m, channel]
            take_tiles(pixels, m * area, image, 4 * top - padding[0], 4 * left - padding[1], rows, columns)
        else:
            take_outputs(pixels, m * area, dy[n + m, channel - C], 4 * top, 4 * left, rows, columns)
    for p in range(0, images * area, LANES):
        if channel < C:
            tiles_in(V, channel * width + p, pixels, p)
        else:
            gradients_in(V, channel * width + p, pixels, p)


NARROW = 8  # channels at a time where one vector holds all the filters


@helper
def narrow_block(total, band, y, count, offsets, q):
    """``gradient_block`` for LANES filters: add to total[q : q + NARROW, :LANES]."""
    sums = registers(NARROW)
    for p in range(count):
        gradients = load(y, p, 0)
        for t in range(NARROW):
            sums[t] += spread(band, p + offsets[q + t]) * gradients
    for t in range(NARROW):
        store(load(total, q + t, 0) + sums[t], total, q + t, 0)


@helper
def add_products(total, V, turned, width, C, K, count, offsets):
    """total[c, k] += the sum over ``count`` tiles of x's values times dy's, at one point."""
    pixels, gradients = V[: C * width], V[C * width : (C + K) * width].reshape(K, width)
    for k in range(0, K, FILTERS):
        for p in range(0, count, LANES):
            for v in range(0, min(FILTERS, K - k), LANES):
                transpose_block(gradients, k + v, p, turned, p, v)
        if K - k <= LANES:
            for q in range(0, C, NARROW):
                narrow_block(total[:, k : k + LANES], pixels, turned, count, offsets, q)
        else:
            for q in range(0, C, TAPS):
                gradient_block(total[:, k : k + FILTERS], pixels, turned, count, offsets, q, 0)


@parallel_kernel
def _values(V, width, x, dy, n, images, corner, rows, columns, padding):
    for channel in prange(x.shape[1] + dy.shape[1]):
        pixels = np.empty((36, width + LANES), np.float32)
        channel_values(V, channel, width, pixels, x, dy, n, images, corner, rows, columns, padding)


@parallel_kernel
def _products(totals, V, width, C, K, count, offsets, begin):
    for a in prange(36):
        if begin:
            totals[a] = 0
        turned = np.empty((width, FILTERS), np.float32)
        add_products(totals[a], V[a], turned, width, C, K, count, offsets)


@parallel_kernel
def _by_parts(totals, V, width, x, dy, plan, padding, offsets):
    """The tiles are cut into parts, always the same; each adds up totals of its own, in scratch of its worker."""
    images, rows, columns, all_rows, all_columns = plan
    (N, C), K, (parts, workers) = x.shape[:2], dy.shape[1], (len(totals), len(V))
    bands, pieces = -(-all_rows // rows), -(-all_columns // columns)
    tasks = -(-N // images) * bands * pieces
    for worker in prange(workers):
        pixels, turned = np.empty((36, width + LANES), np.float32), np.empty((width, FILTERS), np.float32)
        for part in range(worker * parts // workers, (worker + 1) * parts // workers):
            totals[part] = 0
            for task in range(part * tasks // parts, (part + 1) * tasks // parts):
                n, corner = (
                    task // (bands * pieces) * images,
                    (task // pieces % bands * rows, task % pieces * columns),
                )
                some, tall, wide = (
                    min(images, N - n),
                    min(rows, all_rows - corner[0]),
                    min(columns, all_columns - corner[1]),
                )
                for channel in range(C + K):
                    channel_values(
                        V[worker], channel, width, pixels, x, dy, n, some, corner, tall, wide, padding
                    )
                for a in range(36):
                    add_products(
                        totals[part, a], V[worker, a], turned, width, C, K, some * tall * wide, offsets
                    )


@parallel_kernel
def _add_up(totals):
    """totals[0] = the sum of the totals of all parts, one after the other."""
    for a in prange(36):
        for part in range(1, len(totals)):
            for c in range(totals.shape[2]):
                for k in range(0, totals.shape[3], LANES):
                    store(load(totals, 0, a, c, k) + load(totals, part, a, c, k), totals, 0, a, c, k)


@parallel_kernel
def _taps(w, totals):
    """w (K, C, 3, 3) from the totals at the points (36, C, K), LANES filters at a time."""
    K, C = w.shape[:2]
    for c in prange(C):
        taps = np.empty((9, LANES), np.float32)
        for k in range(0, K, LANES):
            half = registers(3, POINTS)
            for j in range(POINTS):
                half[0, j], half[1, j], half[2, j] = taps_from_points(
                    load(totals, j, c, k),
                    load(totals, 6 + j, c, k),
                    load(totals, 12 + j, c, k),
                    load(totals, 18 + j, c, k),
                    load(totals, 24 + j, c, k),
                    load(totals, 30 + j, c, k),
                )
            for i in range(3):
                row = taps_from_points(half[i, 0], half[i, 1], half[i, 2], half[i, 3], half[i, 4], half[i, 5])
                store(row[0], taps, 3 * i, 0)
                store(row[1], taps, 3 * i + 1, 0)
                store(row[2], taps, 3 * i + 2, 0)
            for lane in range(min(LANES, K - k)):
                for i in range(3):
                    for j in range(3):
                        w[k + lane, c, i, j] = taps[3 * i + j, lane]


def weight_gradient(w: Array, dy: Array, x: Array, padding: Pair) -> None:
    """w = the sum of dy times x over all the pairs of pixels that each weight joins.

    With few channels the totals are small, and each part of the tiles gets its own. With many, all threads work on the
    same tiles: first each on some channels, then each on some of the 36 points. Either way the sums come about in the
    same order for any number of threads.
    """
    (N, K, OH, OW), C = dy.shape, x.shape[1]
    wide, tall = -(-K // FILTERS) * FILTERS, C + max(TAPS, NARROW)
    by_parts = PARTS * 36 * tall * wide <= PARTS_FLOATS
    tiles = max(BLOCK, PART // (36 * (C + K))) if by_parts else max(4 * BLOCK, CHUNK // (36 * (C + K)))
    plan = plan_tiles(N, (OH, OW), tiles)
    totals = fresh((max(1, min(PARTS, plan.tasks(N))) if by_parts else 1, 36, tall, wide))
    (_add_parts if by_parts else _add_all)(totals, dy, x, padding, plan)
    if len(totals) > 1:
        _add_up(totals)
    _taps(w, totals[0])


# So many totals at most, if that many wouldn't be larger together: up to 64 channels to 32.
PARTS, PARTS_FLOATS = 8, 1 << 20


def _scratch(plan: Plan, C: int, K: int, workers: int) -> tuple[int, Array, Array]:
    """Room for the tiles of each channel, V, and where the channels of x begin in it."""
    width = -(-plan.tiles // LINE) * LINE
    # The channels that fill the last block read the first one.
    offsets = np.zeros(C + max(TAPS, NARROW), np.int64)
    offsets[:C] = np.arange(C) * width
    return width, fresh((workers, 36, (C + K) * width + LINE)), offsets


def _add_parts(totals: Array, dy: Array, x: Array, padding: Pair, plan: Plan) -> None:
    width, V, offsets = _scratch(plan, x.shape[1], dy.shape[1], get_num_threads())
    _by_parts(totals, V, width, x, dy, tuple(plan), padding, offsets)


def _add_all(totals: Array, dy: Array, x: Array, padding: Pair, plan: Plan) -> None:
    (N, C), K = x.shape[:2], dy.shape[1]
    width, V, offsets = _scratch(plan, C, K, 1)
    begin = True
    if N == 0:
        totals[:] = 0
    for n in range(0, N, plan.images):
        for top in range(0, plan.all_rows, plan.rows):
            for left in range(0, plan.all_columns, plan.columns):
                images, rows = min(plan.images, N - n), min(plan.rows, plan.all_rows - top)
                columns = min(plan.columns, plan.all_columns - left)
                _values(V[0], width, x, dy, n, images, (top, left), rows, columns, padding)
                _products(totals[0], V[0], width, C, K, images * rows * columns, offsets, begin)
                begin = False
