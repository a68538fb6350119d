"""Batch normalisation of float32 maps in vector registers, with or without the ReLU behind it.

These loops wait for memory. So a channel is finished before the next begins: its numbers are read from memory once, for
the statistics, and are still in the core's cache when they are normalised.

Sums of float32 lose digits when they are long. So a row is cut into chunks: within a chunk SUMS x LANES short sums
run side by side in float32, and float64 adds up the chunks. Where float32 overflows, and where a NaN or an infinity
comes by, the channel is summed once more, number by number in float64, which settles what the result is.

``cut`` is what makes a ReLU of it: a number that is at most ``cut`` becomes 0 (and passes no gradient). For a plain
normalisation ``cut`` is NaN: no number is at most NaN.
"""

import math

import numpy as np
from numba import prange

from ..launch import helper, parallel_kernel
from .vectors import LANES, load, load_first, registers, store, store_first, total, where

CHUNK = 4096  # numbers: they stay in the first-level cache between the two passes over them
SUMS = 4  # an addition takes about four clock ticks; so many can run side by side
BLOCK = SUMS * LANES
RELU, PLAIN = np.float32(0), np.float32(np.nan)  # values of `cut`
ONES = np.ones(LANES, np.float32)


# ---------------------------------------------------------------------------------------------------------
# Mean and variance


@helper
def sum_of(row, start, stop):
    """Sum of row[start:stop], in float32."""
    sums = registers(SUMS)
    whole = start + (stop - start) // BLOCK * BLOCK
    for i in range(start, whole, BLOCK):
        for v in range(SUMS):
            sums[v] += load(row, i + v * LANES)
    for i in range(whole, stop, LANES):
        sums[0] += load_first(stop - i, row, i)
    return total((sums[0] + sums[1]) + (sums[2] + sums[3]))


@helper
def deviations(row, start, stop, mean):
    """Sum of the deviations from ``mean``, and of their squares."""
    sums, squares = registers(SUMS), registers(SUMS)
    whole = start + (stop - start) // BLOCK * BLOCK
    for i in range(start, whole, BLOCK):
        for v in range(SUMS):
            deviation = load(row, i + v * LANES) - mean
            sums[v] += deviation
            squares[v] += deviation * deviation
    for i in range(whole, stop, LANES):
        inside = load_first(stop - i, ONES, 0)  # 1 in the lanes that belong to the row
        deviation = load_first(stop - i, row, i) - mean * inside
        sums[0] += deviation
        squares[0] += deviation * deviation
    return (
        total((sums[0] + sums[1]) + (sums[2] + sums[3])),
        total((squares[0] + squares[1]) + (squares[2] + squares[3])),
    )


@helper
def channel_statistics(values, c):
    """Mean and variance of channel c of values (N, C, L), in float64.

    Each chunk has its own mean and its own sum of squared deviations, and two neighbours are merged: the squares add
    up, and the distance of the means comes on top (Chan, Golub and LeVeque, 1979). In a chunk, what a float32 mean lacks is found by
    the sum of the deviations from it, which would otherwise be 0.
    """
    N, _, L = values.shape
    count, mean, squares = 0, 0.0, 0.0
    for n in range(N):
        row = values[n, c]
        for start in range(0, L, CHUNK):
            stop = min(start + CHUNK, L)
            more = stop - start
            near = np.float32(sum_of(row, start, stop) / more)
            rest, chunk_squares = deviations(row, start, stop, near)
            apart = near + rest / more - mean  # how far the chunk's mean is from that of all before
            together = count + more
            squares += chunk_squares - rest / more * rest + apart * apart * (count * (more / together))
            mean += apart * (more / together)
            count = together
    return mean, max(squares, 0.0) / count


@helper
def exact_statistics(values, c):
    """The same number by number in float64, in two passes."""
    N, _, L = values.shape
    sum_of_all = 0.0
    for n in range(N):
        for i in range(L):
            sum_of_all += values[n, c, i]
    mean = sum_of_all / (N * L)
    squares = 0.0
    for n in range(N):
        for i in range(L):
            deviation = values[n, c, i] - mean
            squares += deviation * deviation
    return mean, squares / (N * L)


# ---------------------------------------------------------------------------------------------------------
# Forward


@helper
def normalise_row(y, x, mean, inv_std, scale, shift, cut):
    """One channel of one image."""
    L = x.size
    whole = L // LANES * LANES
    for i in range(0, whole, LANES):
        value = scale * ((load(x, i) - mean) * inv_std) + shift
        store(where(value <= cut, 0, value), y, i)
    value = scale * ((load_first(L - whole, x, whole) - mean) * inv_std) + shift
    store_first(L - whole, where(value <= cut, 0, value), y, whole)


@parallel_kernel
def train(y, x, scale, shift, eps, cut, means, variances, mean, inv_std):
    """Normalise x (N, C, L) by its own statistics, which come back in float64 and as they were used."""
    N, C, L = x.shape
    for c in prange(C):
        channel_mean, variance = channel_statistics(x, c)
        if not math.isfinite(variance):
            channel_mean, variance = exact_statistics(x, c)
        means[c], variances[c] = channel_mean, variance
        mean[c], inv_std[c] = channel_mean, 1 / math.sqrt(variance + eps)
        for n in range(N):
            normalise_row(y[n, c], x[n, c], mean[c], inv_std[c], scale[c], shift[c], cut)


@parallel_kernel
def normalise(y, x, mean, inv_std, scale, shift, cut):
    """Normalise x (N, C, L) by given statistics."""
    N, C, L = x.shape
    for task in prange(N * C):
        n, c = task // C, task % C
        normalise_row(y[n, c], x[n, c], mean[c], inv_std[c], scale[c], shift[c], cut)


# ---------------------------------------------------------------------------------------------------------
# Backward


@helper
def row_sums(dy, y, x, start, stop, mean, inv_std, cut):
    """Sum of dy times the normalised x, and sum of dy, over a chunk of a row; dy where y is above ``cut``."""
    products, totals = registers(SUMS), registers(SUMS)
    whole = start + (stop - start) // BLOCK * BLOCK
    for i in range(start, whole, BLOCK):
        for v in range(SUMS):
            at = i + v * LANES
            gradient = where(load(y, at) <= cut, 0, load(dy, at))
            products[v] += gradient * ((load(x, at) - mean) * inv_std)
            totals[v] += gradient
    for i in range(whole, stop, LANES):
        rest = stop - i
        gradient = where(load_first(rest, y, i) <= cut, 0, load_first(rest, dy, i))
        products[0] += gradient * ((load_first(rest, x, i) - mean) * inv_std)
        totals[0] += gradient
    return (
        total((products[0] + products[1]) + (products[2] + products[3])),
        total((totals[0] + totals[1]) + (totals[2] + totals[3])),
    )


@helper
def channel_sums(dy, y, x, c, mean, inv_std, cut):
    """Both sums of channel c, in float64."""
    N, _, L = x.shape
    sum_products, sum_dy = 0.0, 0.0
    for n in range(N):
        for start in range(0, L, CHUNK):
            stop = min(start + CHUNK, L)
            products, gradients = row_sums(dy[n, c], y[n, c], x[n, c], start, stop, mean, inv_std, cut)
            sum_products += products
            sum_dy += gradients
    return sum_products, sum_dy


@helper
def exact_sums(dy, y, x, c, mean, inv_std, cut):
    """The same number by number in float64."""
    N, _, L = x.shape
    sum_products, sum_dy = 0.0, 0.0
    for n in range(N):
        for i in range(L):
            gradient = np.float32(0) if y[n, c, i] <= cut else dy[n, c, i]
            sum_products += gradient * ((x[n, c, i] - mean) * inv_std)
            sum_dy += gradient
    return sum_products, sum_dy


@helper
def project_row(dx, dy, y, x, mean, inv_std, scale, mean_dy, mean_product, cut):
    """Take out of dy what mean and variance have of it."""
    L = x.size
    whole = L // LANES * LANES
    for i in range(0, whole, LANES):
        gradient = where(load(y, i) <= cut, 0, load(dy, i))
        normalised = (load(x, i) - mean) * inv_std
        store(scale * (gradient - mean_dy - normalised * mean_product), dx, i)
    rest = L - whole
    gradient = where(load_first(rest, y, whole) <= cut, 0, load_first(rest, dy, whole))
    normalised = (load_first(rest, x, whole) - mean) * inv_std
    store_first(rest, scale * (gradient - mean_dy - normalised * mean_product), dx, whole)


@parallel_kernel
def train_backward(dx, dy, y, x, mean, inv_std, scale, cut, sum_products, sum_dy):
    """Gradient of ``train`` with respect to x (N, C, L), and both sums of each channel."""
    N, C, L = x.shape
    for c in prange(C):
        products, gradients = channel_sums(dy, y, x, c, mean[c], inv_std[c], cut)
        if not (math.isfinite(products) and math.isfinite(gradients)):
            products, gradients = exact_sums(dy, y, x, c, mean[c], inv_std[c], cut)
        sum_products[c], sum_dy[c] = products, gradients
        mean_product, mean_dy = np.float32(products / (N * L)), np.float32(gradients / (N * L))
        for n in range(N):
            project_row(
                dx[n, c],
                dy[n, c],
                y[n, c],
                x[n, c],
                mean[c],
                inv_std[c],
                scale[c],
                mean_dy,
                mean_product,
                cut,
            )
