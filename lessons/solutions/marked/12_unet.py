"""Lesson 12, what U-Net moves around: a solution. `minisegnet check 12 12_unet.py` marks it."""

import numpy as np


def pair(value):
    """Write an option as (down, across)."""
    return (value, value) if isinstance(value, int) else tuple(value)


def concat(arrays, *, axis=1):
    """Put arrays side by side.

    >>> concat([np.array([[1.0]]), np.array([[2.0, 3]])]).tolist()
    [[1.0, 2.0, 3.0]]
    """
    return np.concatenate(arrays, axis=axis)


def concat_backward(dy, sizes, *, axis=1):
    """Cut dy after each part; copies, so that whoever changes one doesn't change dy.

    >>> [part.tolist() for part in concat_backward(np.array([[1.0, 2, 3]]), [1, 2])]
    [[[1.0]], [[2.0, 3.0]]]
    """
    ends = np.cumsum(sizes)[:-1]
    return [part.copy() for part in np.split(dy, ends, axis=axis)]


def came_from(H, p, mode):
    """Return, for each row of the padded map, the row that it was copied from; -1 for a zero."""
    rows = np.arange(-p, H + p)
    if mode == "zero":
        return np.where((rows < 0) | (rows >= H), -1, rows)
    rows = np.abs(rows)  # row -1 is row 1
    return np.where(rows >= H, 2 * (H - 1) - rows, rows)


def pad2d(x, padding, *, mode="zero"):
    """Put a frame around each map.

    >>> pad2d(np.array([[[[1.0, 2, 3]]]]), (0, 2), mode="reflect").tolist()
    [[[[3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0]]]]
    """
    (H, W), (ph, pw) = x.shape[2:], pair(padding)
    rows, columns = came_from(H, ph, mode)[:, None], came_from(W, pw, mode)
    y = x[:, :, rows, columns]  # (N, C, H + 2 ph, W + 2 pw)
    return np.where((rows < 0) | (columns < 0), 0, y).astype(x.dtype)


def pad2d_backward(dy, padding, *, mode="zero"):
    """Give each pixel what all its copies bring back.

    >>> pad2d_backward(np.array([[[[1.0, 2, 3, 4, 5]]]]), (0, 1), mode="reflect").tolist()
    [[[[2.0, 9.0, 4.0]]]]
    """
    ph, pw = pair(padding)
    H, W = dy.shape[2] - 2 * ph, dy.shape[3] - 2 * pw
    rows, columns = came_from(H, ph, mode), came_from(W, pw, mode)
    dx = np.zeros((*dy.shape[:2], H, W), dy.dtype)
    for i, j in np.ndindex(len(rows), len(columns)):
        if rows[i] >= 0 and columns[j] >= 0:
            dx[:, :, rows[i], columns[j]] += dy[:, :, i, j]
    return dx
