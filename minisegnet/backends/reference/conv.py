"""Convolution and transposed convolution from the definition: one loop for every axis.

A tap is one position (i, j) of the filter. Tap i of output row oh meets input row
``oh * stride - padding + i * dilation``. Rows and columns outside the map are padding: they hold zero,
so that they are skipped. C/groups and K/groups are written CG and KG.

Sums are kept in double precision and rounded once, at the end.
"""

import numpy as np

from minisegnet.arrays import Array
from minisegnet.sizes import Pair, conv2d_size, conv_transpose2d_size

from .activation import relu, relu_backward

quiet = np.errstate(all="ignore")  # infinity and NaN are ordinary values here, not worth a warning


@quiet
def conv2d(
    x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """Each output value is the sum of the weights times the pixels that they lie on."""
    N, _, H, W = x.shape
    K, CG, KH, KW = w.shape
    KG = K // groups
    (sh, sw), (ph, pw), (dh, dw) = stride, padding, dilation
    OH, OW = conv2d_size((H, W), (KH, KW), stride=stride, padding=padding, dilation=dilation)
    y = np.zeros((N, K, OH, OW))  # (N, K, OH, OW)
    for n in range(N):
        for k in range(K):
            first = k // KG * CG  # the first input channel of this filter's group
            for oh in range(OH):
                for ow in range(OW):
                    if b is not None:
                        y[n, k, oh, ow] = b[k]
                    for c in range(CG):
                        for i in range(KH):
                            for j in range(KW):
                                row, column = oh * sh - ph + i * dh, ow * sw - pw + j * dw
                                if 0 <= row < H and 0 <= column < W:
                                    y[n, k, oh, ow] += w[k, c, i, j] * x[n, first + c, row, column]
    return y.astype(x.dtype)


@quiet
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
    N, _, H, W = x.shape
    K, CG, KH, KW = w.shape
    KG = K // groups
    (sh, sw), (ph, pw), (dh, dw) = stride, padding, dilation
    OH, OW = dy.shape[2:]
    x_gradient = np.zeros(x.shape)  # (N, C, H, W)
    w_gradient = np.zeros(w.shape)  # (K, CG, KH, KW)
    b_gradient = np.zeros(K)  # (K,)
    for n in range(N):
        for k in range(K):
            first = k // KG * CG
            for oh in range(OH):
                for ow in range(OW):
                    gradient = dy[n, k, oh, ow]
                    b_gradient[k] += gradient
                    for c in range(CG):
                        for i in range(KH):
                            for j in range(KW):
                                row, column = oh * sh - ph + i * dh, ow * sw - pw + j * dw
                                if 0 <= row < H and 0 <= column < W:
                                    x_gradient[n, first + c, row, column] += w[k, c, i, j] * gradient
                                    w_gradient[k, c, i, j] += x[n, first + c, row, column] * gradient
    dx = x_gradient.astype(x.dtype) if need_dx else None
    return dx, w_gradient.astype(x.dtype), b_gradient.astype(x.dtype)


def conv2d_relu(
    x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """``relu(conv2d(x, w, b))``."""
    return relu(conv2d(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups))


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


@quiet
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
    """Copy and add: each input value scales a copy of its filter, and where copies overlap they add up."""
    N, C, H, W = x.shape
    _, KG, KH, KW = w.shape
    K, CG = KG * groups, C // groups
    (sh, sw), (ph, pw), (dh, dw) = stride, padding, dilation
    OH, OW = conv_transpose2d_size(
        (H, W), (KH, KW), stride=stride, padding=padding, output_padding=output_padding, dilation=dilation
    )
    y = np.zeros((N, K, OH, OW))  # (N, K, OH, OW)
    if b is not None:
        for k in range(K):
            y[:, k] = b[k]
    for n in range(N):
        for c in range(C):
            first = c // CG * KG  # the first output channel of this filter's group
            for row in range(H):
                for column in range(W):
                    for k in range(KG):
                        for i in range(KH):
                            for j in range(KW):
                                oh, ow = row * sh - ph + i * dh, column * sw - pw + j * dw
                                if 0 <= oh < OH and 0 <= ow < OW:
                                    y[n, first + k, oh, ow] += w[c, k, i, j] * x[n, c, row, column]
    return y.astype(x.dtype)


@quiet
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
    """Each input value collects, through its filter, what the pixels it was copied to send back."""
    N, C, H, W = x.shape
    _, KG, KH, KW = w.shape
    K, CG = KG * groups, C // groups
    (sh, sw), (ph, pw), (dh, dw) = stride, padding, dilation
    OH, OW = dy.shape[2:]
    x_gradient = np.zeros(x.shape)  # (N, C, H, W)
    w_gradient = np.zeros(w.shape)  # (C, KG, KH, KW)
    b_gradient = np.zeros(K)  # (K,)
    for n in range(N):
        for k in range(K):
            for oh in range(OH):
                for ow in range(OW):
                    b_gradient[k] += dy[n, k, oh, ow]
        for c in range(C):
            first = c // CG * KG
            for row in range(H):
                for column in range(W):
                    for k in range(KG):
                        for i in range(KH):
                            for j in range(KW):
                                oh, ow = row * sh - ph + i * dh, column * sw - pw + j * dw
                                if 0 <= oh < OH and 0 <= ow < OW:
                                    gradient = dy[n, first + k, oh, ow]
                                    x_gradient[n, c, row, column] += w[c, k, i, j] * gradient
                                    w_gradient[c, k, i, j] += x[n, c, row, column] * gradient
    return x_gradient.astype(x.dtype), w_gradient.astype(x.dtype), b_gradient.astype(x.dtype)
