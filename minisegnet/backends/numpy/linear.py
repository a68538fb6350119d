"""The fully connected layer: one matrix product forward, two backward."""

import numpy as np

from minisegnet.arrays import Array


@np.errstate(over="ignore", invalid="ignore")
def linear(x: Array, w: Array, b: Array | None) -> Array:
    """``x @ w.T + b``."""
    y = np.matmul(x, w.T)  # (M, out)
    if b is not None:
        y += b
    return y


@np.errstate(over="ignore", invalid="ignore")
def linear_backward(dy: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
    """``dx = dy @ w``, ``dw = dy.T @ x``, and db sums dy."""
    dx = np.matmul(dy, w)  # (M, in)
    dw = np.matmul(dy.T, x)  # (out, in)
    return dx, dw, dy.sum(axis=0, dtype=np.float64).astype(dy.dtype)
