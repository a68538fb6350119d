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
2.8: these have about a quarter of the rounding error. It is still some five times that of adding up directly
(``docs/performance.md`` has figures), hence the switch ``ops.exact_convolutions()``. float64 never comes here.

Tiles of 4 x 4 outputs overlap in their 6 x 6 pixels. Their pixels are those that a convolution of 6 x 6 taps and
stride 4 would read: ``direct.py`` has the band for that. The tiles of some rows (of several images, where the maps are
small) go through three steps, and the numbers between the steps stay in the cache:

    V[a, c, tile]  the 36 values of each tile and channel          (tiles_in)
    M[a, k, tile] = sum over c of U[a, k, c] * V[a, c, tile]       36 products of matrices (sum_block)
    y              each tile's 16 outputs from its 36 sums         (tiles_out, put_tiles)
"""

import numpy as np
from numba import get_num_threads, prange

from minisegnet.arrays import Array

from ..launch import helper, parallel_kernel
from .direct import COLUMNS, OUT, Axis, band_of, gather_axis, sum_block
from .vectors import LANES, deinterleave, interleave, load, registers, store, store_first

POINTS = 6  # values of one axis; a tile has 36
S, T = 0.5**0.5, 2.0**0.5

SCRATCH = 1 << 20  # floats of V and M together: 4 MB for each worker


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
def fill_fours(band, line, image, top, tall, pitch, first):
    """As ``fill_band`` for one channel (H, W) and stride (4, 4): 16 planes (row % 4, column % 4) of tall * pitch.

    ``line`` is one padded row. Its columns are dealt out to the four planes by ``deinterleave``, 4 * LANES at a time.
    """
    H, W = image.shape
    plane = tall * pitch
    begin, source = max(0, -first[1]), max(0, first[1])
    count = max(0, min(W - source, 4 * pitch - begin))
    line[:] = 0
    for row in range(4 * tall):
        y = 4 * top + row + first[0]
        inside = 0 <= y < H
        if inside:
            line[begin : begin + count] = image[y, source : source + count]
        at = (row % 4) * 4 * plane + row // 4 * pitch
        for j in range(0, pitch, LANES):
            even_u, odd_u = deinterleave(load(line, 4 * j), load(line, 4 * j + LANES))
            even_v, odd_v = deinterleave(load(line, 4 * j + 2 * LANES), load(line, 4 * j + 3 * LANES))
            zeroth, second = deinterleave(even_u, even_v)
            oneth, third = deinterleave(odd_u, odd_v)
            some = pitch - j if inside else 0
            store_first(some, zeroth, band, at + j)
            store_first(some, oneth, band, at + plane + j)
            store_first(some, second, band, at + 2 * plane + j)
            store_first(some, third, band, at + 3 * plane + j)
        if not inside:
            for b in range(4):
                band[at + b * plane : at + b * plane + pitch] = 0


@helper
def tiles_in(V, c, p, band, start, offsets):
    """V[:, c, p : p + LANES] of LANES tiles that begin at ``start`` of the band: columns first, then rows."""
    half = registers(POINTS, POINTS)
    for j in range(POINTS):
        half[0, j], half[1, j], half[2, j], half[3, j], half[4, j], half[5, j] = at_points(
            load(band, start + offsets[j]),
            load(band, start + offsets[6 + j]),
            load(band, start + offsets[12 + j]),
            load(band, start + offsets[18 + j]),
            load(band, start + offsets[24 + j]),
            load(band, start + offsets[30 + j]),
        )
    for i in range(POINTS):
        values = at_points(half[i, 0], half[i, 1], half[i, 2], half[i, 3], half[i, 4], half[i, 5])
        store(values[0], V, 6 * i, c, p)
        store(values[1], V, 6 * i + 1, c, p)
        store(values[2], V, 6 * i + 2, c, p)
        store(values[3], V, 6 * i + 3, c, p)
        store(values[4], V, 6 * i + 4, c, p)
        store(values[5], V, 6 * i + 5, c, p)


@helper
def tiles_out(result, p, M, k):
    """result[4 * i + j, p : p + LANES] = output (i, j) of LANES tiles, from M[:, k]."""
    half = registers(4, POINTS)
    for j in range(POINTS):
        half[0, j], half[1, j], half[2, j], half[3, j] = from_points(
            load(M, j, k, p),
            load(M, 6 + j, k, p),
            load(M, 12 + j, k, p),
            load(M, 18 + j, k, p),
            load(M, 24 + j, k, p),
            load(M, 30 + j, k, p),
        )
    for i in range(4):
        outputs = from_points(half[i, 0], half[i, 1], half[i, 2], half[i, 3], half[i, 4], half[i, 5])
        store(outputs[0], result, 4 * i, p)
        store(outputs[1], result, 4 * i + 1, p)
        store(outputs[2], result, 4 * i + 2, p)
        store(outputs[3], result, 4 * i + 3, p)


@helper
def put_tiles(y, result, begin, top, rows, columns, pitch, bias):
    """y[4 * row + i, 4 * column + j] = bias + result[4 * i + j, tile], as far as y (OH, OW) goes."""
    OH, OW = y.shape
    for row in range(rows):
        at = begin + row * pitch
        for i in range(min(4, OH - 4 * (top + row))):
            line = y[4 * (top + row) + i]
            for j in range(0, columns, LANES):
                even_u, even_v = interleave(load(result, 4 * i, at + j), load(result, 4 * i + 2, at + j))
                odd_u, odd_v = interleave(load(result, 4 * i + 1, at + j), load(result, 4 * i + 3, at + j))
                zeroth, oneth = interleave(even_u, odd_u)
                second, third = interleave(even_v, odd_v)
                left = OW - 4 * j
                store_first(left, zeroth + bias, line, 4 * j)
                store_first(left - LANES, oneth + bias, line, 4 * j + LANES)
                store_first(left - 2 * LANES, second + bias, line, 4 * j + 2 * LANES)
                store_first(left - 3 * LANES, third + bias, line, 4 * j + 3 * LANES)


@parallel_kernel
def _convolve(y, x, U, bias, offsets, workers, images, width, rows, tall, pitch, plane, first, tiles):
    """Each task is some rows of tiles of one image, or all the tiles of several images, ``width`` of them at most."""
    (N, K, _, _), C, blocks = y.shape, x.shape[1], U.shape[1]
    bands = -(-tiles[0] // rows)
    tasks = -(-N // images) * bands
    V = np.empty((workers, 36, C, width), np.float32)
    M = np.empty((workers, 36, blocks * OUT, width), np.float32)
    channels = np.arange(C) * width  # where each channel begins in V[a]
    nothing = np.zeros(OUT, np.float32)
    for worker in prange(workers):
        band, result = np.zeros(plane + 2 * COLUMNS, np.float32), np.zeros((16, width), np.float32)
        line = np.empty(4 * (pitch + LANES), np.float32)
        V[worker] = 0
        for task in range(worker * tasks // workers, (worker + 1) * tasks // workers):
            n, top = task // bands * images, task % bands * rows
            some, count = min(images, N - n), min(rows, tiles[0] - top)
            for m in range(some):
                for c in range(C):
                    fill_fours(band, line, x[n + m, c], top, tall, pitch, first)
                    for p in range(0, count * pitch, LANES):
                        tiles_in(V[worker], c, m * rows * pitch + p, band, p, offsets)
            used = some * rows * pitch
            for a in range(36):
                flat = V[worker, a].reshape(C * width)
                for p in range(0, used, COLUMNS):
                    for block in range(blocks):
                        some_sums = M[worker, a, block * OUT : block * OUT + OUT]
                        sum_block(some_sums, flat, p, channels, U[a, block], nothing)
            for k in range(K):
                for p in range(0, used, LANES):
                    tiles_out(result, p, M[worker], k)
                for m in range(some):
                    put_tiles(y[n + m, k], result, m * rows * pitch, top, count, tiles[1], pitch, bias[k])


@helper
def filters_at_points(g, half, U):
    """U = G g G^T for OUT filters side by side: g (3, 3, OUT), half (6, 3, OUT), U (36, OUT)."""
    s, t = np.float32(S), np.float32(T)
    third, sixth = np.float32(1 / 3), np.float32(1 / 6)
    for j in range(3):
        for o in range(OUT):
            g0, g1, g2 = g[0, j, o], g[1, j, o], g[2, j, o]
            even_s, odd_s = -third * (g0 + g0 + g2), -third * (s + s) * g1
            even_t, odd_t = sixth * (g0 + g2 + g2), sixth * t * g1
            half[0, j, o], half[5, j, o] = g0, g2
            half[1, j, o], half[2, j, o] = even_s + odd_s, even_s - odd_s
            half[3, j, o], half[4, j, o] = even_t + odd_t, even_t - odd_t
    for i in range(POINTS):
        for o in range(OUT):
            g0, g1, g2 = half[i, 0, o], half[i, 1, o], half[i, 2, o]
            even_s, odd_s = -third * (g0 + g0 + g2), -third * (s + s) * g1
            even_t, odd_t = sixth * (g0 + g2 + g2), sixth * t * g1
            U[6 * i, o], U[6 * i + 5, o] = g0, g2
            U[6 * i + 1, o], U[6 * i + 2, o] = even_s + odd_s, even_s - odd_s
            U[6 * i + 3, o], U[6 * i + 4, o] = even_t + odd_t, even_t - odd_t


@parallel_kernel
def _filters(U, w, turned):
    """U[a, block, c, o] of w (K, C, 3, 3); ``turned``: w's channels are the filters, the taps run backwards."""
    _, blocks, C, _ = U.shape
    K = w.shape[1] if turned else w.shape[0]
    for task in prange(blocks):
        g = np.zeros((3, 3, OUT), np.float32)
        half, values = np.empty((POINTS, 3, OUT), np.float32), np.empty((36, OUT), np.float32)
        for c in range(C):
            for o in range(min(OUT, K - task * OUT)):
                for i in range(3):
                    for j in range(3):
                        g[i, j, o] = (
                            w[c, task * OUT + o, 2 - i, 2 - j] if turned else w[task * OUT + o, c, i, j]
                        )
            filters_at_points(g, half, values)
            for a in range(36):
                for o in range(OUT):
                    U[a, task, c, o] = values[a, o]


def _tile_axis(outputs: int, padding: int) -> Axis:
    """Tiles of 4 outputs read 6 pixels, 4 apart from tile to tile."""
    return gather_axis(6, 4, padding, 1, -(-outputs // 4))


def convolve(
    y: Array, x: Array, w: Array, b: Array, padding: tuple[int, int], *, turned: bool = False
) -> None:
    """y = b + w * x for 3 x 3 taps with stride 1; ``turned``: b + (w transposed) * x."""
    (N, K, OH, OW), C = y.shape, x.shape[1]
    U = np.empty((36, -(-K // OUT), C, OUT), np.float32)
    _filters(U, w, turned)
    rows, columns = _tile_axis(OH, padding[0]), _tile_axis(OW, padding[1])
    fits = max(COLUMNS, SCRATCH // (36 * (C + K)))  # tiles
    pitch = columns.outputs + 1
    most = max(1, min(rows.outputs, fits // pitch))
    band = band_of(
        rows._replace(outputs=most), columns, 1, 0, 1 << 30
    )  # of one channel, all these rows of tiles
    images = max(1, min(N, fits // (rows.outputs * pitch))) if most == rows.outputs else 1
    # Whole blocks, what a vector reads beyond, and not a power of two (equal parts of two rows would fight for one
    # place in the cache).
    width = -(-images * most * pitch // COLUMNS) * COLUMNS + LANES
    _convolve(
        y, x, U, b, band.offsets, get_num_threads(), images, width, most, band.tall, band.pitch, band.plane,
        (rows.first, columns.first), (rows.outputs, columns.outputs),
    )  # fmt: skip
