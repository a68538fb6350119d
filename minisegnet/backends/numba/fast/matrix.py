"""Products of float32 matrices in vector registers: ``out[m, n] = bias[n] + the sum over k of a[m, k] * b[k, n]``.

The block is that of the convolution's weight gradient (``gradient_block`` in direct.py): TAPS rows of a meet FILTERS columns
of b, and their sums stay in registers while k runs. What it needs of b, FILTERS columns of some rows, is first copied
to one place, a **panel**, that fits into the second-level cache and serves many rows of a.

With a few rows only (one picture!) each number of b is used too seldom to be worth a copy. Then the time is that of
reading b once, in order, whatever is done with it; and where k is short, that of writing the result (``few_dots``,
``few_rows``).
"""

import numpy as np
from numba import get_num_threads, prange

from minisegnet.arrays import Array

from ..launch import helper, parallel_kernel
from .direct import ALONG, FILTERS, TAPS, gradient_block, transpose_block
from .vectors import LANES, load, load_first, registers, spread, store, store_first, total

DEEP = 1024  # rows of a panel: 128 KB
ROWS = 20 * TAPS  # of the result that one task computes


def product(out: Array, a: Array, b: Array, bias: Array, *, turned: bool) -> None:
    """out (M, N) = a (M, K) times b (K, N), or times b (N, K) turned, plus the bias (N,).

    Rows of a may be longer than K.
    """
    M, K = len(out), b.shape[turned]
    if M == 0:
        return
    if turned and M <= 6:
        few_dots(out, a, b, bias)
        return
    if not turned and (M <= 2 or K <= 4):
        few_rows(out, a, b, bias)
        return
    # The last block's missing rows read the last row once more.
    offsets = np.minimum(np.arange(-(-M // TAPS) * TAPS), M - 1) * a.shape[1]
    workers = get_num_threads()
    panels = np.empty((workers, min(DEEP, K), FILTERS), np.float32)
    results = np.empty((workers, min(ROWS, offsets.size), FILTERS), np.float32)
    _product(out, a.reshape(a.size), b, bias, turned, offsets, panels, results)


@parallel_kernel
def _product(out, a, b, bias, turned, offsets, panels, results):
    """Each task is FILTERS columns and up to ROWS rows of the result."""
    (M, N), K = out.shape, b.shape[1] if turned else b.shape[0]
    workers, bands = len(panels), -(-M // ROWS)
    tasks = -(-N // FILTERS) * bands
    for worker in prange(workers):
        panel, result = panels[worker], results[worker]
        for task in range(worker * tasks // workers, (worker + 1) * tasks // workers):
            n, top = task // bands * FILTERS, task % bands * ROWS
            rows = min(ROWS, M - top)
            result[:] = 0
            for k in range(0, K, DEEP):
                depth = min(DEEP, K - k)
                fill_panel(panel[:depth], b, k, n, turned)
                for q in range(0, rows, TAPS):
                    gradient_block(result[q : q + TAPS], a[k:], panel, depth, offsets[top + q :], 0, 0)
            for i in range(rows):
                for j in range(0, min(FILTERS, N - n), LANES):
                    biases = load_first(N - n - j, bias, n + j)
                    store_first(N - n - j, load(result, i, j) + biases, out, top + i, n + j)


@helper
def fill_panel(panel, b, k, n, turned):
    """panel[i, j] = b[k + i, n + j], or b[n + j, k + i]; 0 in the columns beyond."""
    if turned:
        for j in range(0, FILTERS, LANES):
            for i in range(0, len(panel), LANES):
                transpose_block(b, n + j, k + i, panel, i, j)
    else:
        for i in range(len(panel)):
            for j in range(0, FILTERS, LANES):
                store(load_first(b.shape[1] - n - j, b, k + i, n + j), panel, i, j)


@parallel_kernel
def turn(turned, a):
    """turned[j, i] = a[i, j]. Rows of ``turned`` are a multiple of LANES long, with 0 in what is beyond."""
    for task in prange(-(-turned.shape[0] // LANES)):
        j = task * LANES
        for i in range(0, turned.shape[1], LANES):
            transpose_block(a, i, j, turned, j, i)


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
