"""Convolutions of many channels, as sums over columns.

The plain kernels (``numba/conv.py``) spend their time on fetching: for each multiplication they load a value of x
and load and store one of y. Here the windows of some rows of y are first written out as a matrix (``unfold``): row q
holds what tap q of the filter sees at each pixel. Then all three directions are sums over rows of that matrix, and
four rows of it can be used for four rows of the result at a time: sixteen multiplications for eight
loads.

    y[k, p]  += w[k, q] * columns[q, p]        forward                      (unfold, then ``multiply``)
    x        <- w[k, q] * y[k, p]              gradient of the input        (``multiply``, then ``fold``)
    w[k, q]  += y[k, p] * columns[q, p]        gradient of the weights      (unfold, then ``correlate``)

The names are those of the plain kernels: y is the small map and x the large one, w has one row a filter. Each
iteration of a ``prange`` writes what no other does, so that the result doesn't depend on the number of threads.
"""

import numpy as np
from numba import njit, prange

from ..launch import OPTIONS, helper, parallel_kernel

COLUMNS_BYTES = 1 << 18  # of a block of columns: it should stay in a core's cache
COLUMNS = 72  # about so many rows at a time (8 channels of 3x3): a block is then some hundred pixels long


@helper
def tap_range(tap, stride, padding, dilation, outputs, size):
    """The outputs first:last that a tap serves on one axis, and the input position of the first of them."""
    start = tap * dilation - padding  # the input position that output 0 meets
    first = min(max(0, -(start // stride)), outputs)
    last = max(first, min(outputs, -((start - size) // stride)))
    return first, last, start + first * stride


@helper
def unfold(columns, image, top, bottom, kernel_size, stride, padding, dilation, OW):
    """columns[q, p] = what tap q sees at pixel p of rows top:bottom of y; in the padding that is 0."""
    (C, H, W), (KH, KW) = image.shape, kernel_size
    for c in range(C):
        for i in range(KH):
            for j in range(KW):
                first, last, begin = tap_range(j, stride[1], padding[1], dilation[1], OW, W)
                column = columns[(c * KH + i) * KW + j]
                for oh in range(top, bottom):
                    line = column[(oh - top) * OW : (oh - top + 1) * OW]
                    row = oh * stride[0] - padding[0] + i * dilation[0]
                    if row < 0 or row >= H or first == last:
                        line[:] = 0
                        continue
                    line[:first] = 0
                    line[last:] = 0
                    seen, source = line[first:last], image[c, row, begin:]
                    if stride[1] == 1:
                        for t in range(seen.size):
                            seen[t] = source[t]
                    else:
                        for t in range(seen.size):
                            seen[t] = source[t * stride[1]]


@helper
def fold(image, columns, top, bottom, kernel_size, stride, padding, dilation, OW):
    """The way back: add columns[q, p] to the pixel that tap q saw at pixel p."""
    (C, H, W), (KH, KW) = image.shape, kernel_size
    for c in range(C):
        for i in range(KH):
            for j in range(KW):
                first, last, begin = tap_range(j, stride[1], padding[1], dilation[1], OW, W)
                column = columns[(c * KH + i) * KW + j]
                for oh in range(top, bottom):
                    row = oh * stride[0] - padding[0] + i * dilation[0]
                    if row < 0 or row >= H or first == last:
                        continue
                    line = column[(oh - top) * OW : (oh - top + 1) * OW]
                    sent, target = line[first:last], image[c, row, begin:]
                    if stride[1] == 1:
                        for t in range(sent.size):
                            target[t] += sent[t]
                    else:
                        for t in range(sent.size):
                            target[t * stride[1]] += sent[t]


@helper
def multiply(y, y_start, w, w_start, x, x_start, Q, P):
    """y[k, p] += w[k, q] * x[q, p] for Q rows of x and P pixels, four rows of y and four of x at a time."""
    K = w.shape[0]
    for k in range(0, K - K % 4, 4):
        y0, y1 = y[k][y_start : y_start + P], y[k + 1][y_start : y_start + P]
        y2, y3 = y[k + 2][y_start : y_start + P], y[k + 3][y_start : y_start + P]
        w0, w1 = w[k][w_start : w_start + Q], w[k + 1][w_start : w_start + Q]
        w2, w3 = w[k + 2][w_start : w_start + Q], w[k + 3][w_start : w_start + Q]
        for q in range(0, Q - Q % 4, 4):
            x0, x1 = x[q][x_start : x_start + P], x[q + 1][x_start : x_start + P]
            x2, x3 = x[q + 2][x_start : x_start + P], x[q + 3][x_start : x_start + P]
            a0, a1, a2, a3 = w0[q], w0[q + 1], w0[q + 2], w0[q + 3]
            b0, b1, b2, b3 = w1[q], w1[q + 1], w1[q + 2], w1[q + 3]
            c0, c1, c2, c3 = w2[q], w2[q + 1], w2[q + 2], w2[q + 3]
            d0, d1, d2, d3 = w3[q], w3[q + 1], w3[q + 2], w3[q + 3]
            for p in range(P):
                y0[p] += a0 * x0[p] + a1 * x1[p] + a2 * x2[p] + a3 * x3[p]
                y1[p] += b0 * x0[p] + b1 * x1[p] + b2 * x2[p] + b3 * x3[p]
                y2[p] += c0 * x0[p] + c1 * x1[p] + c2 * x2[p] + c3 * x3[p]
                y3[p] += d0 * x0[p] + d1 * x1[p] + d2 * x2[p] + d3 * x3[p]
        for q in range(Q - Q % 4, Q):  # the up to three rows of x that are left
            x0 = x[q][x_start : x_start + P]
            a0, b0, c0, d0 = w0[q], w1[q], w2[q], w3[q]
            for p in range(P):
                y0[p] += a0 * x0[p]
                y1[p] += b0 * x0[p]
                y2[p] += c0 * x0[p]
                y3[p] += d0 * x0[p]
    for k in range(K - K % 4, K):  # and the up to three rows of y
        y0 = y[k][y_start : y_start + P]
        for q in range(Q):
            x0, a0 = x[q][x_start : x_start + P], w[k, w_start + q]
            for p in range(P):
                y0[p] += a0 * x0[p]


@njit(fastmath={"contract", "reassoc"}, **OPTIONS)
def correlate(total, y, y_start, x, P):
    """total[k, q] += the sum over P pixels of y[k, p] * x[q, p], four rows of y and two of x at a time."""
    K, Q = total.shape
    zero = x.dtype.type(0)
    for k in range(0, K - K % 4, 4):
        y0, y1 = y[k][y_start : y_start + P], y[k + 1][y_start : y_start + P]
        y2, y3 = y[k + 2][y_start : y_start + P], y[k + 3][y_start : y_start + P]
        for q in range(0, Q - Q % 2, 2):
            x0, x1 = x[q][:P], x[q + 1][:P]
            a0, b0, c0, d0 = zero, zero, zero, zero
            a1, b1, c1, d1 = zero, zero, zero, zero
            for p in range(P):
                a0 += y0[p] * x0[p]
                b0 += y1[p] * x0[p]
                c0 += y2[p] * x0[p]
                d0 += y3[p] * x0[p]
                a1 += y0[p] * x1[p]
                b1 += y1[p] * x1[p]
                c1 += y2[p] * x1[p]
                d1 += y3[p] * x1[p]
            total[k, q] += a0
            total[k + 1, q] += b0
            total[k + 2, q] += c0
            total[k + 3, q] += d0
            total[k, q + 1] += a1
            total[k + 1, q + 1] += b1
            total[k + 2, q + 1] += c1
            total[k + 3, q + 1] += d1
    for k in range(K):
        for q in range(Q):
            if k >= K - K % 4 or q >= Q - Q % 2:  # what is left over
                y0, x0 = y[k][y_start : y_start + P], x[q][:P]
                a0 = zero
                for p in range(P):
                    a0 += y0[p] * x0[p]
                total[k, q] += a0


# ---------------------------------------------------------------------------------------------------------
# The three directions. y is (N, K, OH * OW), x (N, C, H, W), w (K, Q) with Q = C/groups * KH * KW.


@helper
def rows_at_a_time(Q, OH, OW, itemsize):
    """How many rows of y a block of Q columns may hold."""
    return max(1, min(OH, COLUMNS_BYTES // (Q * OW * itemsize)))


@helper
def channels_at_a_time(taps):
    """Of how many channels of x the columns are made at a time."""
    return max(1, COLUMNS // taps)


@parallel_kernel
def gather(y, x, w, b, size, kernel_size, stride, padding, dilation, groups):
    """y = b + w * columns of x, some channels of x after the others."""
    (N, K, _), (OH, OW) = y.shape, size
    CG, KG, taps = x.shape[1] // groups, K // groups, kernel_size[0] * kernel_size[1]
    some = min(channels_at_a_time(taps), CG)
    rows = rows_at_a_time(some * taps, OH, OW, x.itemsize)
    blocks = (OH + rows - 1) // rows
    for task in prange(N * groups * blocks):  # some rows of y in one group of one image
        n, g, block = task // (groups * blocks), task // blocks % groups, task % blocks
        top, bottom = block * rows, min(block * rows + rows, OH)
        P = (bottom - top) * OW
        target = y[n, g * KG : (g + 1) * KG]
        for k in range(KG):
            target[k, top * OW : bottom * OW] = b[g * KG + k]
        columns = np.empty((some * taps, P), x.dtype)
        for first in range(0, CG, some):
            last = min(first + some, CG)
            channels = x[n, g * CG + first : g * CG + last]
            unfold(columns, channels, top, bottom, kernel_size, stride, padding, dilation, OW)
            weights, Q = w[g * KG : (g + 1) * KG], (last - first) * taps
            multiply(target, top * OW, weights, first * taps, columns, 0, Q, P)


@parallel_kernel
def scatter(x, y, w_turned, b, size, kernel_size, stride, padding, dilation, groups):
    """x = b + what the pixels of y send back through their filters; w_turned is (groups, Q, K/groups)."""
    (N, C, _, _), (OH, OW) = x.shape, size
    CG, KG, taps = C // groups, y.shape[1] // groups, kernel_size[0] * kernel_size[1]
    some = channels_at_a_time(taps)
    parts = (CG + some - 1) // some
    for task in prange(N * groups * parts):  # some channels of x in one group of one image
        n, g, part = task // (groups * parts), task // parts % groups, task % parts
        first, last = part * some, min(part * some + some, CG)
        image = x[n, g * CG + first : g * CG + last]
        for c in range(last - first):
            image[c, :, :] = b[g * CG + first + c]
        weights = w_turned[g, first * taps : last * taps]
        rows = rows_at_a_time((last - first) * taps, OH, OW, x.itemsize)
        for top in range(0, OH, rows):
            bottom = min(top + rows, OH)
            P = (bottom - top) * OW
            columns = np.zeros(((last - first) * taps, P), x.dtype)
            multiply(columns, 0, weights, 0, y[n, g * KG : (g + 1) * KG], top * OW, KG, P)
            fold(image, columns, top, bottom, kernel_size, stride, padding, dilation, OW)


@parallel_kernel
def weight_gradient(w, y, x, size, kernel_size, stride, padding, dilation, groups):
    """w[k, q] = the sum over images and pixels of y * columns of x; w is (K, Q)."""
    (N, C, _, _), (OH, OW) = x.shape, size
    CG, KG, taps = C // groups, y.shape[1] // groups, kernel_size[0] * kernel_size[1]
    some = channels_at_a_time(taps)
    parts = (CG + some - 1) // some
    for task in prange(groups * parts):  # the weights of some channels of x in one group
        g, part = task // parts, task % parts
        first, last = part * some, min(part * some + some, CG)
        Q = (last - first) * taps
        total = np.zeros((KG, Q))  # (KG, Q): sums of blocks are added up in double precision
        rows = rows_at_a_time(Q, OH, OW, x.itemsize)
        for n in range(N):
            channels = x[n, g * CG + first : g * CG + last]
            for top in range(0, OH, rows):
                bottom = min(top + rows, OH)
                P = (bottom - top) * OW
                columns = np.empty((Q, P), x.dtype)
                unfold(columns, channels, top, bottom, kernel_size, stride, padding, dilation, OW)
                correlate(total, y[n, g * KG : (g + 1) * KG], top * OW, columns, P)
        for k in range(KG):
            w[g * KG + k, first * taps : last * taps] = total[k]
