"""The fully connected layer: one matrix product forward, two backward."""

import numpy as np

from minisegnet.arrays import Array

from .threads import in_parallel, pieces


@np.errstate(over="ignore", invalid="ignore")
def linear(x: Array, w: Array, b: Array | None) -> Array:
    """``x @ w.T + b``."""
    y = _product(x, w.T)  # (M, out)
    if b is not None:
        y += b
    return y


@np.errstate(over="ignore", invalid="ignore")
def linear_backward(dy: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
    """``dx = dy @ w``, ``dw = dy.T @ x``, and db sums dy."""
    dx = _product(dy, w)  # (M, in)
    dw = _product(dy.T, x)  # (out, in)
    return dx, dw, dy.sum(axis=0, dtype=np.float64).astype(dy.dtype)


def _product(a, b):
    """``a @ b``; the longer axis of the result is cut into a few pieces, which the threads share (threads.py)."""
    (rows, _), (_, cols) = a.shape, b.shape
    y = np.empty((rows, cols), a.dtype)

    def some_rows(part):
        np.matmul(a[part], b, out=y[part])

    def some_cols(part):
        np.matmul(a, b[:, part], out=y[:, part])

    if rows >= cols:
        in_parallel(some_rows, [(part,) for part in pieces(rows, most=4, shortest=64)])
    else:
        in_parallel(some_cols, [(part,) for part in pieces(cols, most=4, shortest=64)])
    return y
