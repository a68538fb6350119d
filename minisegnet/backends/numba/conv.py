"""Convolution and transposed convolution, compiled: three kernels for both, and the table that chooses.

The reference asks of every tap and every output pixel whether the tap falls on the map. Here the loops are
turned inside out. For one row of y, one row of x and one tap, the pixels that meet are known beforehand: a
slice of each row (``tap_slices``). What remains inside is a loop over two slices without any question in
it, which the compiler turns into vector instructions. Every such loop stands twice, since only a row read
without gaps (stride 1) can be loaded as a vector.

Each iteration of a ``prange`` writes one row (or one filter plane) that no other iteration touches, so that
the result does not depend on the number of threads.

Where a filter sums over many products, these loops fetch much and compute little. ``fast/direct.py`` (float32) and
``fast/columns.py`` (float64) have other texts of the same three kernels for that, and ``fast/winograd.py`` saves
multiplications; ``text_for`` and ``suits_winograd`` choose.
"""

import math

import numpy as np
from numba import prange

from minisegnet.arrays import Array
from minisegnet.exactness import convolutions_are_exact
from minisegnet.sizes import Pair, conv2d_size, conv_transpose2d_size

from .activation import relu_backward, relu_in_place
from .fast import columns, direct, winograd
from .launch import helper, parallel_kernel


def conv2d(
    x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Each output value is the sum of the weights times the pixels that they lie on."""
    N, K = x.shape[0], w.shape[0]
    OH, OW = conv2d_size(x.shape[2:], w.shape[2:], stride=stride, padding=padding, dilation=dilation)
    y = np.empty((N, K, OH, OW), x.dtype)  # (N, K, OH, OW)
    gather(y, x, w, np.zeros(K, x.dtype) if b is None else b, stride, padding, dilation, groups)
    return y


def conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    *,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    need_dx: bool,
) -> tuple[Array | None, Array, Array]:
    """Every product of the forward, ``y += w * x``, hands ``w * dy`` to its pixel and ``x * dy`` to its weight."""
    dx = None
    if need_dx:
        dx = np.empty_like(x, order="C")  # (N, C, H, W)
        scatter(dx, dy, w, np.zeros(x.shape[1], x.dtype), stride, padding, dilation, groups)
    dw, db = np.empty_like(w, order="C"), np.empty(w.shape[0], w.dtype)  # (K, CG, KH, KW), (K,)
    weight_gradient(dw, dy, x, stride, padding, dilation, groups)
    _channel_sums(db, dy)
    return dx, dw, db


def conv2d_relu(
    x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """``relu(conv2d(x, w, b))``."""
    y = conv2d(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)
    relu_in_place(y)  # y is ours alone
    return y


def conv2d_relu_backward(
    dy: Array,
    y: Array,
    x: Array,
    w: Array,
    *,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    need_dx: bool,
) -> tuple[Array | None, Array, Array]:
    """First back through relu, then through the convolution."""
    dy = relu_backward(dy, y)
    return conv2d_backward(
        dy, x, w, stride=stride, padding=padding, dilation=dilation, groups=groups, need_dx=need_dx
    )


def conv_transpose2d(
    x: Array,
    w: Array,
    b: Array | None,
    *,
    stride: Pair,
    padding: Pair,
    output_padding: Pair,
    dilation: Pair,
    groups: int,
) -> Array:
    """Copy and add, as the gradient of a convolution does: x stands for dy, and what comes out for dx."""
    N, K = x.shape[0], w.shape[1] * groups
    OH, OW = conv_transpose2d_size(
        x.shape[2:],
        w.shape[2:],
        stride=stride,
        padding=padding,
        output_padding=output_padding,
        dilation=dilation,
    )
    y = np.empty((N, K, OH, OW), x.dtype)  # (N, K, OH, OW)
    scatter(y, x, w, np.zeros(K, x.dtype) if b is None else b, stride, padding, dilation, groups)
    return y


def conv_transpose2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    *,
    stride: Pair,
    padding: Pair,
    output_padding: Pair,
    dilation: Pair,
    groups: int,
) -> tuple[Array, Array, Array]:
    """Back through copy and add: a convolution of dy gives dx, and in dw the two maps change places."""
    dx = np.empty_like(x, order="C")  # (N, C, H, W)
    gather(dx, dy, w, np.zeros(x.shape[1], x.dtype), stride, padding, dilation, groups)
    dw, db = np.empty_like(w, order="C"), np.empty(dy.shape[1], w.dtype)  # (C, KG, KH, KW), (K,)
    weight_gradient(dw, x, dy, stride, padding, dilation, groups)
    _channel_sums(db, dy)
    return dx, dw, db


# ---------------------------------------------------------------------------------------------------------
# Which text runs. y is the small map and x the large one, as in the kernels below.


def text_for(w: Array, groups: int) -> str:
    """Choose the text: plain, direct or columns (or winograd, if ``suits_winograd``).

    | | few products a pixel | many |
    |---|---|---|
    | float32 | plain | direct (register blocks) |
    | float64 | plain | columns |

    To get a block of pixels ready costs the same whatever is done with it. Measured on one core, for 1 to 8 channels
    and filters, with 3 x 3 and with 1 x 1 taps: ``direct`` is faster than the plain loops from some 32 products a pixel
    on, and eight times at 8 x 8 x 3 x 3. ``columns`` wins from 8 channels to 8 on.
    """
    K, CG, KH, KW = w.shape
    KG = K // groups
    if w.dtype == np.float32:
        return "direct" if KG * CG * KH * KW >= 32 else "plain"
    return "columns" if KG >= 8 and CG >= 8 else "plain"


def suits_winograd(y: Array, w: Array, stride: Pair, dilation: Pair, groups: int) -> bool:
    """Whether Winograd's tiles pay: dense 3 x 3 filters, many channels, and a map worth turning the filters for.

    What its steps before and after the products cost doesn't grow with the number of channels on the other side, and
    what turning the filters costs doesn't grow with the map.
    """
    if w.dtype != np.float32 or w.shape[2:] != (3, 3) or (stride, dilation, groups) != ((1, 1), (1, 1), 1):
        return False
    pixels = y.shape[0] * y.shape[2] * y.shape[3]
    return min(w.shape[:2]) >= 48 and pixels >= 1024 and not convolutions_are_exact()


def gather(
    y: Array, x: Array, w: Array, b: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> None:
    """y = b + w * x."""
    text = text_for(w, groups)
    if suits_winograd(y, w, stride, dilation, groups):
        winograd.convolve(y, x, w, b, padding)
    elif text == "plain":
        _gather(y, x, w, b, stride, padding, dilation, groups)
    elif text == "direct":
        direct.gather(y, x, w, b, stride, padding, dilation, groups)
    else:
        (N, K, OH, OW), kernel_size = y.shape, w.shape[2:]
        small, filters = (
            y.reshape(N, K, OH * OW),
            w.reshape(K, math.prod(w.shape[1:])),
        )  # (N, K, OH*OW), (K, Q)
        columns.gather(small, x, filters, b, (OH, OW), kernel_size, stride, padding, dilation, groups)


def scatter(
    x: Array, y: Array, w: Array, b: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> None:
    """x = b + (w transposed) * y."""
    text = text_for(w, groups)
    if suits_winograd(x, w, stride, dilation, groups):
        winograd.convolve(x, y, w, b, (2 - padding[0], 2 - padding[1]), turned=True)
    elif text == "plain":
        _scatter(x, y, w, b, stride, padding, dilation, groups)
    elif text == "direct":
        direct.scatter(x, y, w, b, stride, padding, dilation, groups)
    else:
        (N, K, OH, OW), kernel_size = y.shape, w.shape[2:]
        filters = w.reshape(groups, K // groups, math.prod(w.shape[1:]))  # (groups, KG, Q)
        turned = np.ascontiguousarray(filters.transpose(0, 2, 1))  # (groups, Q, KG)
        small = y.reshape(N, K, OH * OW)  # (N, K, OH*OW)
        columns.scatter(x, small, turned, b, (OH, OW), kernel_size, stride, padding, dilation, groups)


def weight_gradient(
    w: Array, y: Array, x: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> None:
    """w = the sum of y times x over all the pairs of pixels that each weight joins."""
    text = text_for(w, groups)
    if text == "plain":
        _weight_gradient(w, y, x, stride, padding, dilation, groups)
    elif text == "direct":
        direct.weight_gradient(w, y, x, stride, padding, dilation, groups)
    else:
        (N, K, OH, OW), kernel_size = y.shape, w.shape[2:]
        small, filters = (
            y.reshape(N, K, OH * OW),
            w.reshape(K, math.prod(w.shape[1:])),
        )  # (N, K, OH*OW), (K, Q)
        columns.weight_gradient(filters, small, x, (OH, OW), kernel_size, stride, padding, dilation, groups)


# ---------------------------------------------------------------------------------------------------------
# The plain kernels. y is the small map and x the large one: y[o] meets x[o * stride - padding + tap * dilation].


@helper
def tap_slices(taps, stride, padding, dilation, outputs, size):
    """Of each tap on one axis: it joins outputs ``first:last`` with inputs ``begin:end:stride``."""
    slices = np.zeros((taps, 4), np.int64)  # (KW, 4); a tap that meets only padding keeps 0:0 and 0:0
    for tap in range(taps):
        first, last, begin = columns.tap_range(tap, stride, padding, dilation, outputs, size)
        if first < last:
            slices[tap, 0], slices[tap, 1] = first, last
            slices[tap, 2], slices[tap, 3] = begin, begin + (last - first) * stride
    return slices


@parallel_kernel
def _gather(y, x, w, b, stride, padding, dilation, groups):
    """y = b + w * x: each row of y collects from the rows of x under its filter."""
    N, K, OH, OW = y.shape
    H, W = x.shape[2:]
    CG, KH, KW = w.shape[1:]
    KG = K // groups
    sh, sw = stride
    ph, pw = padding
    dh, dw = dilation
    slices = tap_slices(KW, sw, pw, dw, OW, W)
    for task in prange(N * K * OH):  # one row of y each
        n, k, oh = task // (K * OH), task // OH % K, task % OH
        channel = k // KG * CG  # the first input channel of this filter's group
        target = y[n, k, oh]
        target[:] = b[k]
        for c in range(CG):
            for i in range(KH):
                row = oh * sh - ph + i * dh
                if 0 <= row < H:
                    for j in range(KW):
                        first, last, begin, end = slices[j]
                        weight = w[k, c, i, j]
                        if sw == 1:
                            out, dense = target[first:last], x[n, channel + c, row, begin:end]
                            for t in range(out.size):
                                out[t] += weight * dense[t]
                        else:
                            out, spaced = target[first:last], x[n, channel + c, row, begin:end:sw]
                            for t in range(out.size):
                                out[t] += weight * spaced[t]


@parallel_kernel
def _scatter(x, y, w, b, stride, padding, dilation, groups):
    """x = b + (w transposed) * y: each row of x collects what the rows of y send through their filters."""
    N, C, H, W = x.shape
    K, OH, OW = y.shape[1:]
    CG, KH, KW = w.shape[1:]
    KG = K // groups
    sh, sw = stride
    ph, pw = padding
    dh, dw = dilation
    slices = tap_slices(KW, sw, pw, dw, OW, W)
    for task in prange(N * C * H):  # one row of x each
        n, c, row = task // (C * H), task // H % C, task % H
        group = c // CG
        target = x[n, c, row]
        target[:] = b[c]
        for k in range(group * KG, (group + 1) * KG):
            for i in range(KH):
                oh = (row + ph - i * dh) // sh
                if 0 <= oh < OH and oh * sh - ph + i * dh == row:  # a stride passes over some rows
                    for j in range(KW):
                        first, last, begin, end = slices[j]
                        weight = w[k, c - group * CG, i, j]
                        if sw == 1:
                            dense, source = target[begin:end], y[n, k, oh, first:last]
                            for t in range(source.size):
                                dense[t] += weight * source[t]
                        else:
                            spaced, source = target[begin:end:sw], y[n, k, oh, first:last]
                            for t in range(source.size):
                                spaced[t] += weight * source[t]


@parallel_kernel(reassociate=True)
def _weight_gradient(w, y, x, stride, padding, dilation, groups):
    """w[k, c, i, j] = the sum of y times x over all the pairs of pixels that this weight joins."""
    K, CG, KH, KW = w.shape
    N, _, OH, OW = y.shape
    H, W = x.shape[2:]
    KG = K // groups
    sh, sw = stride
    ph, pw = padding
    dh, dw = dilation
    row_slices = tap_slices(KH, sh, ph, dh, OH, H)
    slices = tap_slices(KW, sw, pw, dw, OW, W)
    zero = x.dtype.type(0)
    for task in prange(K * CG):  # one filter plane each
        k, c = task // CG, task % CG
        channel = k // KG * CG + c
        total = np.zeros((KH, KW))  # (KH, KW): row sums are added up in double precision
        for n in range(N):
            for i in range(KH):
                for oh in range(row_slices[i, 0], row_slices[i, 1]):
                    row = oh * sh - ph + i * dh
                    for j in range(KW):
                        first, last, begin, end = slices[j]
                        row_sum = zero
                        source = y[n, k, oh, first:last]
                        if sw == 1:
                            dense = x[n, channel, row, begin:end]
                            for t in range(source.size):
                                row_sum += source[t] * dense[t]
                        else:
                            spaced = x[n, channel, row, begin:end:sw]
                            for t in range(source.size):
                                row_sum += source[t] * spaced[t]
                        total[i, j] += row_sum
        for i in range(KH):
            for j in range(KW):
                w[k, c, i, j] = total[i, j]


@parallel_kernel(reassociate=True)
def _channel_sums(b, y):
    """b[k] = the sum of channel k: the bias was added to each of its pixels."""
    N, K, OH, OW = y.shape
    for k in prange(K):
        total = np.float64(0)
        for n in range(N):
            for oh in range(OH):
                for ow in range(OW):
                    total += y[n, k, oh, ow]
        b[k] = total
