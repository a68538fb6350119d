"""Lesson 6, transposed convolution: a solution. `minisegnet check 06 06_transposed_convolution.py` marks it.

It paints on a canvas that is large enough for all copies of the filter, and then cuts the output out of it. The
backward puts dy on such a canvas, and reads where the forward painted.
"""

import numpy as np


def pair(value):
    """Write an option as (down, across)."""
    return (value, value) if isinstance(value, int) else tuple(value)


def canvas_size(H, k, s, p, d, output_padding):
    """Return the length of an output, and of the canvas that it is cut out of (from p on), along one axis."""
    O = (H - 1) * s - 2 * p + d * (k - 1) + output_padding + 1
    return O, max((H - 1) * s + d * (k - 1) + 1, p + O)


def painted(u, v, H, W, stride, dilation):
    """Rows and columns of the canvas that place (u, v) of the filter paints, one for each input pixel."""
    (sh, sw), (dh, dw) = pair(stride), pair(dilation)
    rows = slice(u * dh, u * dh + (H - 1) * sh + 1, sh)
    return rows, slice(v * dw, v * dw + (W - 1) * sw + 1, sw)


def sizes(H, W, KH, KW, stride, padding, dilation, output_padding):
    """Return (OH, OW) and the canvas' (height, width)."""
    options = (pair(stride), pair(padding), pair(dilation), pair(output_padding))
    (sh, sw), (ph, pw), (dh, dw), (oh, ow) = options
    (OH, tall), (OW, wide) = canvas_size(H, KH, sh, ph, dh, oh), canvas_size(W, KW, sw, pw, dw, ow)
    return OH, OW, tall, wide


def conv_transpose2d(x, w, b=None, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1):
    """Let each pixel paint a copy of the filter; copies add.

    >>> x, w = np.array([[[[1.0, 2]]]]), np.array([[[[1.0, 10, 100]]]])
    >>> conv_transpose2d(x, w, stride=2).tolist()
    [[[[1.0, 10.0, 102.0, 20.0, 200.0]]]]
    """
    (N, C, H, W), (_, K_of_group, KH, KW), (ph, pw) = x.shape, w.shape, pair(padding)
    OH, OW, tall, wide = sizes(H, W, KH, KW, stride, padding, dilation, output_padding)
    x = x.reshape(N, groups, C // groups, H, W)
    w = w.reshape(groups, C // groups, K_of_group, KH, KW)
    canvas = np.zeros((N, groups, K_of_group, tall, wide), x.dtype)
    for u, v in np.ndindex(KH, KW):
        rows, columns = painted(u, v, H, W, stride, dilation)
        canvas[..., rows, columns] += np.einsum("ngcij,gck->ngkij", x, w[..., u, v])
    y = canvas[..., ph : ph + OH, pw : pw + OW].reshape(N, groups * K_of_group, OH, OW)
    return y.copy() if b is None else y + b[:, None, None]


def conv_transpose2d_backward(dy, x, w, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1):
    """Read dy where the forward painted: for each pixel and each place of the filter.

    >>> x, w = np.array([[[[1.0, 2]]]]), np.array([[[[1.0, 10, 100]]]])
    >>> dx, dw, db = conv_transpose2d_backward(np.array([[[[1.0, 0, 1, 0, 2]]]]), x, w, stride=2)
    >>> dx.tolist(), dw.tolist(), db.tolist()
    ([[[[101.0, 201.0]]]], [[[[3.0, 0.0, 5.0]]]], [4.0])
    """
    (N, C, H, W), (_, K_of_group, KH, KW), (ph, pw) = x.shape, w.shape, pair(padding)
    OH, OW, tall, wide = sizes(H, W, KH, KW, stride, padding, dilation, output_padding)
    db = dy.sum(axis=(0, 2, 3))
    canvas = np.zeros((N, groups, K_of_group, tall, wide), dy.dtype)  # what was cut off gets no dy: 0
    canvas[..., ph : ph + OH, pw : pw + OW] = dy.reshape(N, groups, K_of_group, OH, OW)
    x = x.reshape(N, groups, C // groups, H, W)
    w = w.reshape(groups, C // groups, K_of_group, KH, KW)
    dx, dw = np.zeros(x.shape, x.dtype), np.zeros(w.shape, w.dtype)
    for u, v in np.ndindex(KH, KW):
        rows, columns = painted(u, v, H, W, stride, dilation)
        read = canvas[..., rows, columns]  # (N, groups, K/groups, H, W)
        dx += np.einsum("ngkij,gck->ngcij", read, w[..., u, v])
        dw[..., u, v] = np.einsum("ngkij,ngcij->gck", read, x)
    return dx.reshape(N, C, H, W), dw.reshape(C, K_of_group, KH, KW), db
