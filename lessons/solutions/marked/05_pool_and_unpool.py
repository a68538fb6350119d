"""Lesson 5, pooling and unpooling: a solution. `minisegnet check 05 05_pool_and_unpool.py` marks it."""

import numpy as np


def pair(value):
    """Write an option as (down, across)."""
    return (value, value) if isinstance(value, int) else tuple(value)


def outputs(H, k, s, p, d, ceil_mode):
    """Count the windows along one axis."""
    left = H + 2 * p - d * (k - 1) - 1  # how far the first window can still move
    if not ceil_mode:
        return left // s + 1
    O = -(-left // s) + 1  # rounded up
    return O - 1 if (O - 1) * s >= H + p else O  # a window that starts in the padding is left out


def max_pool2d(x, kernel_size, *, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Keep the largest number of each window, and its place.

    >>> x = np.array([[[[1.0, 2, 6, 3], [3, 5, 2, 1], [1, 2, 2, 1], [7, 3, 4, 8]]]])
    >>> y, indices = max_pool2d(x, 2)
    >>> y.tolist(), indices.tolist()
    ([[[[5.0, 6.0], [7.0, 8.0]]]], [[[[5, 2], [12, 15]]]])
    """
    (N, C, H, W), (KH, KW), (ph, pw), (dh, dw) = x.shape, pair(kernel_size), pair(padding), pair(dilation)
    sh, sw = (KH, KW) if stride is None else pair(stride)
    OH, OW = outputs(H, KH, sh, ph, dh, ceil_mode), outputs(W, KW, sw, pw, dw, ceil_mode)
    y, indices = np.empty((N, C, OH, OW), x.dtype), np.empty((N, C, OH, OW), np.int64)
    for n, c, i, j in np.ndindex(N, C, OH, OW):
        best = None
        for u, v in np.ndindex(KH, KW):
            r, q = i * sh - ph + u * dh, j * sw - pw + v * dw
            if not (0 <= r < H and 0 <= q < W):
                continue  # padding never wins
            # > keeps the first of equal numbers. NaN is never larger than anything, so it is asked for.
            if best is None or x[n, c, r, q] > x[n, c, *best] or np.isnan(x[n, c, r, q]):
                best = (r, q)
        y[n, c, i, j], indices[n, c, i, j] = x[n, c, *best], best[0] * W + best[1]
    return y, indices


def max_pool2d_backward(dy, indices, input_size):
    """Add each dy where its maximum was.

    >>> max_pool2d_backward(np.array([[[[10.0, 1]]]]), np.array([[[[1, 1]]]]), (1, 3)).tolist()
    [[[[0.0, 11.0, 0.0]]]]
    """
    H, W = pair(input_size)
    dx = np.zeros((*dy.shape[:2], H * W), dy.dtype)
    for n, c, i, j in np.ndindex(dy.shape):
        dx[n, c, indices[n, c, i, j]] += dy[n, c, i, j]
    return dx.reshape(*dy.shape[:2], H, W)


def max_unpool2d(x, indices, output_size):
    """Put each value back to its place, the last one on top.

    >>> max_unpool2d(np.array([[[[1.0, 2]]]]), np.array([[[[2, 0]]]]), (1, 3)).tolist()
    [[[[2.0, 0.0, 1.0]]]]
    """
    OH, OW = pair(output_size)
    y = np.zeros((*x.shape[:2], OH * OW), x.dtype)
    for n, c, i, j in np.ndindex(x.shape):
        y[n, c, indices[n, c, i, j]] = x[n, c, i, j]
    return y.reshape(*x.shape[:2], OH, OW)


def max_unpool2d_backward(dy, indices):
    """Read at the places.

    >>> max_unpool2d_backward(np.array([[[[1.0, 2], [3, 4]]]]), np.array([[[[3, 0]]]])).tolist()
    [[[[4.0, 1.0]]]]
    """
    (N, C, H, W), (OH, OW) = indices.shape, dy.shape[2:]
    # Not reshape(N, C, -1): of an empty batch nobody can tell how long the rest is.
    flat, places = dy.reshape(N, C, OH * OW), indices.reshape(N, C, H * W)
    return np.take_along_axis(flat, places.astype(np.int64), axis=2).reshape(N, C, H, W)
