"""Lesson 7, interpolation: a solution. `minisegnet check 07 07_bilinear.py` marks it.

Resizing one axis is a matrix product: row i of the matrix has the shares of output i. Both axes: one matrix from the
left, one from the right. The backward needs no new thought: the matrices, transposed.
"""

import numpy as np


def pair(value):
    """Write a size as (down, across)."""
    return (value, value) if isinstance(value, int) else tuple(value)


def shares(H, OH, align_corners, dtype):
    """Return the matrix (OH, H) that resizes one axis."""
    matrix = np.zeros((OH, H), dtype)
    for i in range(OH):
        if align_corners:
            place = i * (H - 1) / (OH - 1) if OH > 1 else 0.0
        else:
            place = (i + 0.5) * H / OH - 0.5
        place = min(max(place, 0.0), H - 1.0)  # at the edge the edge is repeated
        r = min(int(place), H - 1)
        t = place - r
        matrix[i, r] += 1 - t
        matrix[i, min(r + 1, H - 1)] += t  # r + 1 may be outside; then t is 0
    return matrix


def resize_bilinear(x, size, *, align_corners=False):
    """Mix the nearest pixels.

    >>> resize_bilinear(np.array([[[[0.0, 4]]]]), (1, 4)).tolist()
    [[[[0.0, 1.0, 3.0, 4.0]]]]
    """
    (H, W), (OH, OW) = x.shape[2:], pair(size)
    down, across = shares(H, OH, align_corners, x.dtype), shares(W, OW, align_corners, x.dtype)
    return down @ x @ across.T  # (OH, H) @ (N, C, H, W) @ (W, OW)


def resize_bilinear_backward(dy, input_size, *, align_corners=False):
    """Give each pixel its shares back.

    >>> resize_bilinear_backward(np.array([[[[1.0, 4, 8, 0]]]]), (1, 2)).tolist()
    [[[[6.0, 7.0]]]]
    """
    (OH, OW), (H, W) = dy.shape[2:], pair(input_size)
    down, across = shares(H, OH, align_corners, dy.dtype), shares(W, OW, align_corners, dy.dtype)
    return down.T @ dy @ across  # (H, OH) @ (N, C, OH, OW) @ (OW, W)


def sources(H, OH):
    """Return the row that each output copies, in integers."""
    return np.arange(OH) * H // OH


def resize_nearest(x, size):
    """Copy pixels.

    >>> resize_nearest(np.array([[[[1.0, 2]]]]), (2, 4)).tolist()
    [[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]]
    """
    (H, W), (OH, OW) = x.shape[2:], pair(size)
    return x[:, :, sources(H, OH)[:, None], sources(W, OW)]


def resize_nearest_backward(dy, input_size):
    """Add up what the copies of a pixel bring back.

    >>> resize_nearest_backward(np.array([[[[1.0, 2, 3, 4]]]]), (1, 2)).tolist()
    [[[[3.0, 7.0]]]]
    """
    (OH, OW), (H, W) = dy.shape[2:], pair(input_size)
    dx = np.zeros((*dy.shape[:2], H, W), dy.dtype)
    rows, columns = sources(H, OH), sources(W, OW)
    for i, j in np.ndindex(OH, OW):
        dx[:, :, rows[i], columns[j]] += dy[:, :, i, j]
    return dx
