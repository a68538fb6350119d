"""Lesson 2, convolution: a solution. `minisegnet check 02 02_convolution.py` marks it.

Both functions loop over the filter's few places only. For one place (u, v), the pixels that it meets in all windows
are a slice of the padded picture: every sh-th row from u*dh on. What remains is one matrix product.
"""

import numpy as np


def pair(value):
    """Write an option as (down, across)."""
    return (value, value) if isinstance(value, int) else tuple(value)


def met(u, v, OH, OW, stride, dilation):
    """Rows and columns of the padded picture that place (u, v) of the filter meets, window after window."""
    (sh, sw), (dh, dw) = pair(stride), pair(dilation)
    rows = slice(u * dh, u * dh + (OH - 1) * sh + 1, sh)
    columns = slice(v * dw, v * dw + (OW - 1) * sw + 1, sw)
    return rows, columns


def padded(x, padding):
    """Put zeros around the pictures."""
    ph, pw = pair(padding)
    return np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))  # (N, C, H + 2 ph, W + 2 pw)


def conv2d(x, w, b=None, *, stride=1, padding=0, dilation=1, groups=1):
    """Slide filters over pictures; in each place multiply and add up.

    >>> x = np.array([[[[1.0, 2, 0], [0, 1, 3], [2, 1, 0]]]])
    >>> conv2d(x, np.array([[[[1.0, 0], [-1, 2]]]])).tolist()
    [[[[3.0, 7.0], [0.0, 0.0]]]]
    """
    (N, C, H, W), (K, _, KH, KW) = x.shape, w.shape
    (sh, sw), (ph, pw), (dh, dw) = pair(stride), pair(padding), pair(dilation)
    OH = (H + 2 * ph - dh * (KH - 1) - 1) // sh + 1
    OW = (W + 2 * pw - dw * (KW - 1) - 1) // sw + 1
    x = padded(x, padding).reshape(N, groups, C // groups, H + 2 * ph, W + 2 * pw)
    w = w.reshape(groups, K // groups, C // groups, KH, KW)  # each group has filters of its own
    y = np.zeros((N, groups, K // groups, OH, OW), x.dtype)
    for u, v in np.ndindex(KH, KW):
        rows, columns = met(u, v, OH, OW, stride, dilation)
        y += np.einsum("gkc,ngcij->ngkij", w[..., u, v], x[..., rows, columns])
    y = y.reshape(N, K, OH, OW)
    return y if b is None else y + b[:, None, None]


def conv2d_backward(dy, x, w, *, stride=1, padding=0, dilation=1, groups=1, need_dx=True):
    """Go through the same places; y += w x becomes dw += dy x and dx += dy w.

    >>> dy, x, w = np.array([[[[1.0, -2]]]]), np.array([[[[1.0, 2, 3]]]]), np.array([[[[2.0, -1]]]])
    >>> dx, dw, db = conv2d_backward(dy, x, w)
    >>> dx.tolist(), dw.tolist(), db.tolist()
    ([[[[2.0, -5.0, 2.0]]]], [[[[-3.0, -4.0]]]], [-1.0])
    """
    (N, C, H, W), (K, _, KH, KW), (ph, pw) = x.shape, w.shape, pair(padding)
    OH, OW = dy.shape[2:]
    db = dy.sum(axis=(0, 2, 3))  # (K,)
    dy = dy.reshape(N, groups, K // groups, OH, OW)
    w = w.reshape(groups, K // groups, C // groups, KH, KW)
    x = padded(x, padding).reshape(N, groups, C // groups, H + 2 * ph, W + 2 * pw)
    dx, dw = np.zeros(x.shape, x.dtype), np.zeros(w.shape, w.dtype)
    for u, v in np.ndindex(KH, KW):
        rows, columns = met(u, v, OH, OW, stride, dilation)
        dw[..., u, v] = np.einsum("ngkij,ngcij->gkc", dy, x[..., rows, columns])
        dx[..., rows, columns] += np.einsum("ngkij,gkc->ngcij", dy, w[..., u, v])  # windows overlap: +=
    dx = dx.reshape(N, C, H + 2 * ph, W + 2 * pw)[:, :, ph : ph + H, pw : pw + W]  # padding needs no dx
    return (np.ascontiguousarray(dx) if need_dx else None), dw.reshape(K, C // groups, KH, KW), db
