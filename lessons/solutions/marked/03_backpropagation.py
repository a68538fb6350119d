"""Lesson 3, backpropagation: a solution. `minisegnet check 03 03_backpropagation.py` marks it.

The convolution's backward is here in plain loops, as the lesson has it, with all options. (In solution 2 it is fast.)
"""

import numpy as np


def pair(value):
    """Write an option as (down, across)."""
    return (value, value) if isinstance(value, int) else tuple(value)


def linear(x, w, b=None):
    """Multiply by a matrix and add a bias.

    >>> linear(np.array([[1.0, 2]]), np.array([[1.0, 0], [3, 4]]), np.array([0.5, 0])).tolist()
    [[1.5, 11.0]]
    """
    y = x @ w.T  # (..., out)
    return y if b is None else y + b


def linear_backward(dy, x, w):
    """Give each x dy times the weights that it met, each w dy times the x that it met.

    >>> dx, dw, db = linear_backward(np.array([[1.0, -1]]), np.array([[1.0, 2]]), np.array([[1.0, 0], [3, 4]]))
    >>> dx.tolist(), dw.tolist(), db.tolist()
    ([[-2.0, -4.0]], [[1.0, 2.0], [-1.0, -2.0]], [1.0, -1.0])
    """
    out, features = w.shape
    many = int(np.prod(x.shape[:-1]))
    rows_dy, rows_x = dy.reshape(many, out), x.reshape(many, features)  # one row for each vector
    return dy @ w, rows_dy.T @ rows_x, rows_dy.sum(axis=0)


def relu(x):
    """Keep what is above 0. (np.maximum keeps NaN as well; np.where(x > 0, x, 0) would hide it.)

    >>> relu(np.array([-2.0, 0, 3])).tolist()
    [0.0, 0.0, 3.0]
    """
    return np.maximum(x, 0)


def relu_backward(dy, y):
    """Let dy through where something came through.

    >>> relu_backward(np.array([5.0, 6, 7]), np.array([0.0, 0, 3])).tolist()
    [0.0, 0.0, 7.0]
    """
    return np.where(y > 0, dy, 0).astype(dy.dtype)


def conv2d_backward(dy, x, w, *, stride=1, padding=0, dilation=1, groups=1, need_dx=True):
    """Go through the loops of the forward; y += w x becomes dw += dy x and dx += dy w.

    >>> dy, x, w = np.array([[[[1.0, -2]]]]), np.array([[[[1.0, 2, 3]]]]), np.array([[[[2.0, -1]]]])
    >>> dx, dw, db = conv2d_backward(dy, x, w)
    >>> dx.tolist(), dw.tolist(), db.tolist()
    ([[[[2.0, -5.0, 2.0]]]], [[[[-3.0, -4.0]]]], [-1.0])
    """
    (H, W), (K, C_of_group, KH, KW) = x.shape[2:], w.shape
    (sh, sw), (ph, pw), (dh, dw_) = pair(stride), pair(padding), pair(dilation)
    dx, dw, db = np.zeros(x.shape, x.dtype), np.zeros(w.shape, w.dtype), np.zeros(K, w.dtype)
    for n, k, i, j in np.ndindex(dy.shape):
        db[k] += dy[n, k, i, j]
        first = k // (K // groups) * C_of_group  # the first channel that filter k sees
        for c, u, v in np.ndindex(C_of_group, KH, KW):
            r, q = i * sh - ph + u * dh, j * sw - pw + v * dw_
            if 0 <= r < H and 0 <= q < W:
                dw[k, c, u, v] += dy[n, k, i, j] * x[n, first + c, r, q]
                dx[n, first + c, r, q] += dy[n, k, i, j] * w[k, c, u, v]
    return (dx if need_dx else None), dw, db
