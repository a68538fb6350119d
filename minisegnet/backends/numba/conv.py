"""Convolution and transposed convolution, compiled: three kernels for both, and the table that chooses.

The reference asks of every tap and every output pixel whether the tap falls on the map. Here the loops are
turned inside out. For one row of y, one row of x and one tap, the pixels that meet are known beforehand: a
slice of each row (``tap_slices``). What remains inside is a loop over two slices without any question in
it, which the compiler turns into vector instructions. Every such loop stands twice, since only a row read
without gaps (stride 1) can be loaded as a vector.

Each iteration of a ``prange`` writes one row (or one filter plane) that no other iteration touches, so that
the result does not depend on the number of threads.

Where a filter sums over many products, these loops fetch much and compute little. The files in ``fast/`` have other
texts of the same three kernels for that; ``text_for`` chooses.
"""

import math

import numpy as np
from numba import prange

from minisegnet.arrays import Array
from minisegnet.buffers import fresh, fresh_like
from minisegnet.constants import derived
from minisegnet.exactness import convolutions_are_exact
from minisegnet.sizes import Pair, conv2d_size, conv_transpose2d_size

from .activation import relu_backward, relu_in_place
from .fast import columns, depthwise, direct, pointwise, unfolded, winograd
from .fast.vectors import LANES
from .launch import helper, parallel_kernel, takes_vectors


def conv2d(
    x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Each output value is the sum of the weights times the pixels that they lie on."""
    return _forward(x, w, b, stride, padding, dilation, groups, relu=False)


def _forward(
    x: Array, w: Array, b: Array | None, stride: Pair, padding: Pair, dilation: Pair, groups: int, relu: bool
) -> Array:
    N, K = x.shape[0], w.shape[0]
    OH, OW = conv2d_size(x.shape[2:], w.shape[2:], stride=stride, padding=padding, dilation=dilation)
    y = fresh((N, K, OH, OW), x.dtype)  # (N, K, OH, OW)
    gather(y, x, w, np.zeros(K, x.dtype) if b is None else b, stride, padding, dilation, groups, relu)
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
        dx = fresh_like(x)  # (N, C, H, W)
        scatter(dx, dy, w, np.zeros(x.shape[1], x.dtype), stride, padding, dilation, groups)
    dw, db = fresh_like(w), np.empty(w.shape[0], w.dtype)  # (K, CG, KH, KW), (K,)
    weight_gradient(dw, dy, x, stride, padding, dilation, groups)
    _channel_sums(db, dy)
    return dx, dw, db


def conv2d_relu(
    x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """``relu(conv2d(x, w, b))``."""
    return _forward(x, w, b, stride, padding, dilation, groups, relu=True)


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
    y = fresh((N, K, OH, OW), x.dtype)  # (N, K, OH, OW)
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
    dx, dw = fresh_like(x), fresh_like(w)  # (N, C, H, W), (C, KG, KH, KW)
    db = np.empty(dy.shape[1], w.dtype)  # (K,)
    if text_for(w, x, dy, stride, padding, dilation, groups) == "patches":
        pointwise.patch_gradients(dx, dw, dy, x, w)
    else:
        gather(dx, dy, w, np.zeros(x.shape[1], x.dtype), stride, padding, dilation, groups)
        weight_gradient(dw, x, dy, stride, padding, dilation, groups)
    _channel_sums(db, dy)
    return dx, dw, db


# ---------------------------------------------------------------------------------------------------------
# Which text runs. y is the small map and x the large one, as in the kernels below.


def text_for(
    w: Array, small: Array, large: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> str:
    """Choose the text for filters w (K, C/groups, KH, KW) between a small and a large map.

    | text | dtype | when |
    |---|---|---|
    | wide | float32 | each channel has one filter of its own, with a stride and whole vectors of taps in a row |
    | depthwise | float32 | the same, with a stride of 1 or 2 |
    | pointwise | float32 | 1 x 1: each output pixel sees one input pixel |
    | patches | float32 | stride = kernel size, no edges: each pixel of the large map belongs to one of the small |
    | winograd | float32 | 3 x 3, dense, from 16 channels on both sides and 256 pixels on |
    | unfolded | float32 | dense, from 128 channels on both sides on, maps of at most 64 pixels |
    | direct | float32 | all else that has at least 32 products a pixel |
    | columns | float64, and float32 with MINISEGNET_PLAIN=1 | from 8 channels on both sides on |
    | plain | | the rest |

    The numbers were measured on one core. ``direct`` overtakes the plain loops at some 32 products a pixel, and is
    eight times as fast at 8 x 8 x 3 x 3. ``direct``'s time over Winograd's, forward and gradient of the filters: 8 to 8
    channels 1.0 and 0.8, 16 to 16 1.3 and 1.1, 64 to 64 2.0 and 1.7; 256 to 256 on 64 pixels 0.6 and 1.1, 128 to 128
    on 256 pixels 1.2 and 1.4. Over ``unfolded``'s, on two: 7 x 7 taps on 4 x 4 pixels, 128 to 128 channels 2.1 and 2.5,
    256 to 256 on 8 x 8 1.6 and 1.7, 128 to 128 1.2 and 1.1, 64 to 64 0.9 and 0.6.
    """
    K, CG, KH, KW = w.shape
    enough = (K // groups) * CG * KH * KW >= 32
    if not takes_vectors(w.dtype):
        return "columns" if K // groups >= 8 and CG >= 8 else "plain"
    if groups == K and CG == 1:
        if KW % LANES == 0 and stride[1] > 1 == dilation[1]:
            return "wide"
        if stride[1] <= 2:
            return "depthwise"
    if groups == 1 and padding == (0, 0) and enough:
        if (KH, KW) == stride == (1, 1):
            return "pointwise"
        covered = large.shape[2:] == (small.shape[2] * KH, small.shape[3] * KW)
        if (KH, KW) == stride and KW == 2 and covered:
            return "patches"
    if (KH, KW) == (3, 3) and stride == dilation == (1, 1) and groups == 1 and min(K, CG) >= 16:
        pixels = small.shape[0] * small.shape[2] * small.shape[3]
        if pixels >= 256 and not convolutions_are_exact():
            return "winograd"
    if groups == 1 and min(K, CG) >= 128 and unfolded.suits(w, small):
        return "unfolded"
    return "direct" if enough else "plain"


def gather(
    y: Array,
    x: Array,
    w: Array,
    b: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    relu: bool = False,
) -> None:
    """y = b + w * x, or the ReLU of that: some texts do it while they store, for the others it is another pass."""
    floor = np.float32(0) if relu else direct.NO_FLOOR
    match text_for(w, y, x, stride, padding, dilation, groups):
        case "depthwise":
            depthwise.gather(y, x, w, b, stride, padding, dilation)
        case "wide":
            depthwise.gather_wide(y, x, w, b, stride, padding, dilation)
        case "pointwise":
            filters = derived(w, "pointwise", lambda: pointwise.packed(w[:, :, 0, 0]))
            return pointwise.products(y, x, filters, b, floor)
        case "winograd":
            return winograd.convolve(y, x, w, b, padding, floor=floor)
        case "unfolded":
            return unfolded.gather(y, x, w, b, stride, padding, dilation, floor)
        case "direct" | "patches":
            return direct.gather(y, x, w, b, stride, padding, dilation, groups, floor)
        case "columns":
            small, filters = _flat(w, y)
            columns.gather(small, x, filters, b, y.shape[2:], w.shape[2:], stride, padding, dilation, groups)
        case _:
            _gather(y, x, w, b, stride, padding, dilation, groups)
    if relu:
        relu_in_place(y)


def scatter(
    x: Array, y: Array, w: Array, b: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> None:
    """x = b + (w transposed) * y."""
    text = text_for(w, y, x, stride, padding, dilation, groups)
    if text == "depthwise" and stride != (1, 1):
        text = "plain"
    match text:
        case "depthwise":
            depthwise.scatter(x, y, w, b, padding, dilation)
        case "wide":
            depthwise.scatter_wide(x, y, w, b, stride, padding, dilation)
        case "pointwise":
            pointwise.products(x, y, pointwise.packed(w[:, :, 0, 0].T), b)
        case "patches":
            pointwise.patches(x, y, w, b)
        case "winograd":
            winograd.convolve(x, y, w, b, (2 - padding[0], 2 - padding[1]), turned=True)
        case "unfolded":
            unfolded.scatter(x, y, w, b, stride, padding, dilation)
        case "direct":
            direct.scatter(x, y, w, b, stride, padding, dilation, groups)
        case "columns":
            small, filters = _flat(w, y)
            filters = filters.reshape(groups, len(w) // groups, filters.shape[1])  # (groups, KG, Q)
            turned = np.ascontiguousarray(filters.transpose(0, 2, 1))  # (groups, Q, KG)
            columns.scatter(x, small, turned, b, y.shape[2:], w.shape[2:], stride, padding, dilation, groups)
        case _:
            _scatter(x, y, w, b, stride, padding, dilation, groups)


def weight_gradient(
    w: Array, y: Array, x: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> None:
    """w = the sum of y times x over all the pairs of pixels that each weight joins."""
    match text_for(w, y, x, stride, padding, dilation, groups):
        case "depthwise":
            depthwise.weight_gradient(w, y, x, stride, padding, dilation)
        case "wide":
            depthwise.weight_gradient_wide(w, y, x, stride, padding, dilation)
        case "pointwise":
            pointwise.product_gradients(w[:, :, 0, 0], y, x)
        case "winograd":
            winograd.weight_gradient(w, y, x, padding)
        case "unfolded":
            unfolded.weight_gradient(w, y, x, stride, padding, dilation)
        case "direct" | "patches":
            direct.weight_gradient(w, y, x, stride, padding, dilation, groups)
        case "columns":
            small, filters = _flat(w, y)
            columns.weight_gradient(
                filters, small, x, y.shape[2:], w.shape[2:], stride, padding, dilation, groups
            )
        case _:
            _weight_gradient(w, y, x, stride, padding, dilation, groups)


def _flat(w: Array, y: Array) -> tuple[Array, Array]:
    """The small map and the filters as matrices, as ``columns`` wants them."""
    N, K, OH, OW = y.shape
    return y.reshape(N, K, OH * OW), w.reshape(K, math.prod(w.shape[1:]))  # (N, K, OH*OW), (K, Q)


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
