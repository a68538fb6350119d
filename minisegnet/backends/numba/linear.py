"""The fully connected layer, compiled. No BLAS: its bits depend on its number of threads, these don't.

Each iteration of a ``prange`` writes one value or one row that no other iteration touches.
"""

import numpy as np
from numba import prange

from minisegnet.arrays import Array
from minisegnet.buffers import fresh

from .fast import matrix
from .launch import parallel_kernel, takes_vectors


def linear(x: Array, w: Array, b: Array | None) -> Array:
    """``y[m, o] = b[o] + sum over i of w[o, i] * x[m, i]``."""
    y = fresh((x.shape[0], w.shape[0]), x.dtype)  # (M, out)
    bias = np.zeros(w.shape[0], x.dtype) if b is None else b
    if takes_vectors(x.dtype):
        matrix.product(y, x, w, bias, turn_b=True)
    else:
        _linear(y, x, w, bias)
    return y


@parallel_kernel(reassociate=True)
def _linear(y, x, w, b):
    M, OUTPUTS = y.shape
    zero = x.dtype.type(0)
    for task in prange(OUTPUTS * M):  # one value each; a row of w serves M of them while it is in the cache
        o, m = task // M, task % M
        weights, values = w[o], x[m]
        total = zero
        for i in range(values.size):
            total += weights[i] * values[i]
        y[m, o] = b[o] + total


def linear_backward(dy: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
    """Every product of the forward, ``y += w * x``, hands ``w * dy`` to its input and ``x * dy`` to its weight."""
    if takes_vectors(x.dtype):
        return _backward_by_blocks(dy, x, w)
    dx, dw = np.zeros(x.shape, x.dtype), np.empty(w.shape, w.dtype)  # (M, in), (out, in)
    db = np.empty(w.shape[0], w.dtype)  # (out,)
    _input_gradient(dx, dy, w)
    _weight_gradient(dw, db, dy, x)
    return dx, dw, db


def _backward_by_blocks(dy, x, w):
    dx, dw = fresh(x.shape, x.dtype), fresh(w.shape, w.dtype)  # (M, in), (out, in)
    zeros = np.zeros(x.shape[1], np.float32)
    matrix.product(dx, dy, w, zeros)
    matrix.product(dw, dy, x, zeros, turn_a=True)
    return dx, dw, dy.sum(axis=0, dtype=np.float64).astype(np.float32)


@parallel_kernel
def _input_gradient(dx, dy, w):
    M, OUTPUTS = dy.shape
    for m in prange(M):
        target = dx[m]
        for o in range(OUTPUTS):
            gradient, weights = dy[m, o], w[o]
            for i in range(target.size):
                target[i] += weights[i] * gradient


@parallel_kernel
def _weight_gradient(dw, db, dy, x):
    M, OUTPUTS = dy.shape
    for o in prange(OUTPUTS):
        target = np.zeros(x.shape[1])  # (in,): a sum over many rows is kept in double precision
        total = np.float64(0)
        for m in range(M):
            gradient, values = dy[m, o], x[m]
            total += gradient
            for i in range(target.size):
                target[i] += values[i] * gradient
        dw[o, :] = target
        db[o] = total
