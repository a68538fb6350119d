"""Lesson 10, FCN's skips: a solution. `minisegnet check 10 10_fcn_skips.py` marks it."""

import numpy as np


def pair(value):
    """Write a size as (down, across)."""
    return (value, value) if isinstance(value, int) else tuple(value)


def middle(H, W, h, w):
    """Rows and columns of the middle (h, w) of a map (H, W)."""
    top, left = (H - h) // 2, (W - w) // 2
    return slice(top, top + h), slice(left, left + w)


def crop2d(x, size):
    """Cut out the middle; a copy, so that whoever changes it doesn't change x.

    >>> crop2d(np.arange(16.0).reshape(1, 1, 4, 4), 2).tolist()
    [[[[5.0, 6.0], [9.0, 10.0]]]]
    """
    rows, columns = middle(*x.shape[2:], *pair(size))
    return x[:, :, rows, columns].copy()


def crop2d_backward(dy, input_size):
    """Put dy into the middle of zeros.

    >>> crop2d_backward(np.array([[[[7.0]]]]), (1, 4)).tolist()
    [[[[0.0, 7.0, 0.0, 0.0]]]]
    """
    H, W = pair(input_size)
    dx = np.zeros((*dy.shape[:2], H, W), dy.dtype)
    rows, columns = middle(H, W, *dy.shape[2:])
    dx[:, :, rows, columns] = dy
    return dx


def add(a, b):
    """Add.

    >>> add(np.array([1.0, 2]), np.array([10.0, 20])).tolist()
    [11.0, 22.0]
    """
    return a + b


def add_backward(dy):
    """Give dy to both, in two arrays.

    >>> [part.tolist() for part in add_backward(np.array([3.0]))]
    [[3.0], [3.0]]
    """
    return dy.copy(), dy.copy()
