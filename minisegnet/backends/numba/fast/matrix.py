"""Products of float32 matrices in vector registers: ``out[m, n] = bias[n] + the sum over k of a[m, k] * b[k, n]``.

OUT rows of a meet COLUMNS columns of b, and their sums stay in registers while k runs (``product_block``). Both
matrices are copied first, so that what is used one after the other lies so: a as **blocks** of OUT rows, once; and b
as **panels** of COLUMNS columns, one at a time, which fits into the second-level cache and serves many rows of a.
Copying is also where a matrix is turned (transposed) if need be.

With a few rows only (one picture!) each number of b is used too seldom to be worth a copy. Then the time is that of
reading b once, in order, whatever is done with it; and where k is short, that of writing the result (``few_dots``,
``few_rows``).
"""

import numpy as np
from numba import get_num_threads, prange

from minisegnet.arrays import Array
from minisegnet.buffers import fresh

from ..launch import helper, parallel_kernel
from .direct import transpose_block
from .vectors import LANES, load, load_first, registers, spread, store, store_first, total

# A block of results: as large as the registers allow (32 with AVX-512, 16 before).
OUT, ACROSS = (12, 2) if LANES == 16 else (4, 2)
COLUMNS = ACROSS * LANES

DEEP = 1024  # rows of a panel: 128 KB
BAND = 32  # blocks of rows that one task computes, at most


def product(
    out: Array, a: Array, b: Array, bias: Array, *, turn_a: bool = False, turn_b: bool = False
) -> None:
    """out (M, N) = a (M, K) times b (K, N), plus the bias (N,). ``turn_a``: a is (K, M); ``turn_b``: b is (N, K).

    From how many rows and how long sums on the copies pay was measured at 1024 columns.
    """
    M, K = len(out), b.shape[turn_b]
    if turn_b and not turn_a and M <= 6:
        few_dots(out, a, b, bias)
    elif not turn_b and not turn_a and M <= 2:
        few_rows(out, a, b, bias)
    elif not turn_b and K <= 4:
        few_rows(out, np.ascontiguousarray(a.T) if turn_a else a, b, bias)
    elif M > 0:
        count = -(-M // OUT)
        band = -(-count // -(-count // BAND))  # blocks of rows of each task: nearly equal
        workers = get_num_threads()
        blocks = fresh((count, K, OUT))
        panels = fresh((workers, min(DEEP, K), COLUMNS))
        biases = np.zeros(-(-len(bias) // COLUMNS) * COLUMNS, np.float32)  # whole vectors
        biases[: len(bias)] = bias
        _fill_blocks(blocks, a, turn_a)
        _product(out, blocks, b, biases, turn_b, band, panels)


@parallel_kernel
def _fill_blocks(blocks, a, turn):
    """blocks[i, k, o] = a[i * OUT + o, k], or a[k, i * OUT + o]; 0 in the rows beyond."""
    count, K, _ = blocks.shape
    M = a.shape[1] if turn else a.shape[0]
    for i in prange(count):
        block, first = blocks[i], i * OUT
        some = min(OUT, M - first)
        for k in range(K):
            if turn:
                for o in range(some):
                    block[k, o] = a[k, first + o]
            else:
                for o in range(some):
                    block[k, o] = a[first + o, k]
            for o in range(some, OUT):
                block[k, o] = 0


@helper
def fill_panel(panel, b, k, n, turn):
    """panel[i, j] = b[k + i, n + j], or b[n + j, k + i]; 0 in the columns beyond."""
    if turn:
        for j in range(0, COLUMNS, LANES):
            for i in range(0, len(panel), LANES):
                transpose_block(b, n + j, k + i, panel, i, j)
    elif n + COLUMNS <= b.shape[1]:
        for i in range(len(panel)):
            for j in range(0, COLUMNS, LANES):
                store(load(b, k + i, n + j), panel, i, j)
    else:
        for i in range(len(panel)):
            for j in range(0, COLUMNS, LANES):
                store(load_first(b.shape[1] - n - j, b, k + i, n + j), panel, i, j)


@helper
def product_block(out, m, n, block, panel, biases, begin):
    """Add a block times a panel to OUT x COLUMNS results, from out[m, n] on; ``begin`` them with the bias."""
    sums = registers(OUT, ACROSS)
    columns = registers(ACROSS)
    for k in range(len(panel)):
        for v in range(ACROSS):
            columns[v] = load(panel, k, v * LANES)
        for o in range(OUT):
            value = spread(block, k, o)
            for v in range(ACROSS):
                sums[o, v] += value * columns[v]
    for o in range(OUT):
        if m + o < out.shape[0]:
            for v in range(ACROSS):
                at = n + v * LANES
                there = out.shape[1] - at
                before = load(biases, at) if begin else load_first(there, out, m + o, at)
                store_first(there, before + sums[o, v], out, m + o, at)


@parallel_kernel
def _product(out, blocks, b, biases, turn_b, band, panels):
    """Each task is COLUMNS columns of a band of blocks of rows."""
    (count, K, _), workers = blocks.shape, len(panels)
    bands = -(-count // band)
    tasks = len(biases) // COLUMNS * bands
    for worker in prange(workers):
        for task in range(worker * tasks // workers, (worker + 1) * tasks // workers):
            n, first = task // bands * COLUMNS, task % bands * band
            for k in range(0, max(K, 1), DEEP):
                panel = panels[worker, : min(DEEP, K - k)]
                fill_panel(panel, b, k, n, turn_b)
                for i in range(first, min(first + band, count)):
                    product_block(out, i * OUT, n, blocks[i, k:], panel, biases, k == 0)


# ---------------------------------------------------------------------------------------------------------
# A few rows of a, or short sums

DOTS = 8  # rows of b that meet a row of a at a time: so many sums run beside each other


@helper
def dot_block(sums, a, m, b, n):
    """sums[j] = the sum over k of a[m, k] * b[n + j, k]. Rows that aren't there read the last one."""
    lanes = registers(DOTS)
    N, K = b.shape
    whole = K // LANES * LANES
    for k in range(0, whole, LANES):
        values = load(a, m, k)
        for j in range(DOTS):
            lanes[j] += load(b, min(n + j, N - 1), k) * values
    values = load_first(K - whole, a, m, whole)
    for j in range(DOTS):
        lanes[j] += load_first(K - whole, b, min(n + j, N - 1), whole) * values
        sums[j] = total(lanes[j])


@parallel_kernel
def few_dots(out, a, b, bias):
    """Each task is DOTS columns of the result, whose rows of b serve all rows of a."""
    M, N = out.shape
    for task in prange(-(-N // DOTS)):
        n = task * DOTS
        sums = np.empty(DOTS, np.float32)
        for m in range(M):
            dot_block(sums, a, m, b, n)
            for j in range(min(DOTS, N - n)):
                out[m, n + j] = bias[n + j] + sums[j]


WIDE = 8  # vectors of b beside each other


@helper
def row_block(out, a, m, b, n, bias):
    """WIDE vectors of row m of the result, from column n on."""
    lanes = registers(WIDE)
    for k in range(len(b)):
        value = spread(a, m, k)
        for v in range(WIDE):
            lanes[v] += value * load(b, k, n + v * LANES)
    for v in range(WIDE):
        store(lanes[v] + load(bias, n + v * LANES), out, m, n + v * LANES)


@helper
def row_end(out, a, m, b, n, bias):
    """The last columns of row m, from n on: one vector at a time, the last of them not full."""
    N = b.shape[1]
    for j in range(n, N, LANES):
        lanes = registers(1)
        lanes[0] += load_first(N - j, bias, j)
        for k in range(len(b)):
            lanes[0] += spread(a, m, k) * load_first(N - j, b, k, j)
        store_first(N - j, lanes[0], out, m, j)


@parallel_kernel
def few_rows(out, a, b, bias):
    """Each task is WIDE vectors of each row of the result."""
    M, N = out.shape
    for task in prange(-(-N // (WIDE * LANES))):
        n = task * WIDE * LANES
        for m in range(M):
            if n + WIDE * LANES <= N:
                row_block(out, a, m, b, n, bias)
            else:
                row_end(out, a, m, b, n, bias)
