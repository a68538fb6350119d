"""Joining, adding, cutting and padding. Everything here is slices and copies."""

from collections.abc import Sequence

import numpy as np

from minisegnet.arrays import Array
from minisegnet.sizes import Pair, crop2d_start


def concat(arrays: Sequence[Array], *, axis: int) -> Array:
    """One array after the other."""
    return np.concatenate(arrays, axis=axis)


def concat_backward(dy: Array, sizes: Sequence[int], *, axis: int) -> list[Array]:
    """Slices of dy, copied."""
    parts, start = [], 0
    for length in sizes:
        part = (slice(None),) * axis + (slice(start, start + length),)
        parts.append(dy[part].copy())
        start += length
    return parts


@np.errstate(over="ignore", invalid="ignore")
def add(a: Array, b: Array) -> Array:
    """Element by element."""
    return np.add(a, b, out=np.empty_like(a))  # `out` keeps a 0-d array an array


def add_backward(dy: Array) -> tuple[Array, Array]:
    """A sum passes its gradient on to both."""
    return dy.copy(), dy.copy()


def crop2d(x: Array, size: Pair) -> Array:
    """A slice, copied."""
    (h, w), (top, left) = size, crop2d_start(x.shape[2:], size)
    return x[:, :, top : top + h, left : left + w].copy()  # (N, C, h, w)


def crop2d_backward(dy: Array, input_size: Pair) -> Array:
    """dy in the middle of zeros."""
    (N, C, h, w), (H, W) = dy.shape, input_size
    top, left = crop2d_start((H, W), (h, w))
    dx = np.zeros((N, C, H, W), dy.dtype)
    dx[:, :, top : top + h, left : left + w] = dy
    return dx


def pad2d(x: Array, padding: Pair, *, mode: str) -> Array:
    """The map in the middle of a larger one; for a reflection the border is copied from it, backwards."""
    (N, C, H, W), (ph, pw) = x.shape, padding
    y = np.zeros((N, C, H + 2 * ph, W + 2 * pw), x.dtype)
    y[:, :, ph : ph + H, pw : pw + W] = x
    if mode == "reflect":
        # First the columns of the map itself, then whole rows, which takes the corners along.
        for to, source in _mirrors(W, pw):
            y[:, :, ph : ph + H, to] = y[:, :, ph : ph + H, source]
        for to, source in _mirrors(H, ph):
            y[:, :, to] = y[:, :, source]
    return y  # (N, C, H + 2*ph, W + 2*pw)


@np.errstate(over="ignore", invalid="ignore")
def pad2d_backward(dy: Array, padding: Pair, *, mode: str) -> Array:
    """The middle of dy, after a reflected border has been added to what it mirrors."""
    ph, pw = padding
    H, W = dy.shape[2] - 2 * ph, dy.shape[3] - 2 * pw
    if mode == "reflect":
        # The forward's copies in reverse order: each gives its gradient back to where it was copied from.
        dy = dy.copy()
        for copied, source in _mirrors(H, ph):
            dy[:, :, source] += dy[:, :, copied]
        for copied, source in _mirrors(W, pw):
            dy[..., source] += dy[..., copied]
    return dy[:, :, ph : ph + H, pw : pw + W].copy()  # (N, C, H, W)


def _mirrors(size, padding):
    """On one padded axis: the border's slices, and the slices inside of which they are mirror images."""
    if padding == 0:
        return []
    last = padding + size - 1  # the last position of the map itself
    return [
        (slice(0, padding), slice(2 * padding, padding, -1)),
        (slice(last + 1, last + 1 + padding), slice(last - 1, last - 1 - padding, -1)),
    ]
