"""The fully connected layer: every output is a weighted sum of all inputs.

Sums are kept in double precision and rounded once, at the end.
"""

import numpy as np

from minisegnet.arrays import Array

quiet = np.errstate(all="ignore")  # infinity and NaN are ordinary values here, not worth a warning


@quiet
def linear(x: Array, w: Array, b: Array | None) -> Array:
    """``y[m, o] = b[o] + sum over i of w[o, i] * x[m, i]``."""
    M, INPUTS = x.shape
    OUTPUTS = w.shape[0]
    y = np.zeros((M, OUTPUTS))  # (M, out)
    for m in range(M):
        for o in range(OUTPUTS):
            if b is not None:
                y[m, o] = b[o]
            for i in range(INPUTS):
                y[m, o] += w[o, i] * x[m, i]
    return y.astype(x.dtype)


@quiet
def linear_backward(dy: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
    """Every product of the forward, ``y += w * x``, hands ``w * dy`` to its input and ``x * dy`` to its weight."""
    M, INPUTS = x.shape
    OUTPUTS = w.shape[0]
    dx, dw, db = np.zeros(x.shape), np.zeros(w.shape), np.zeros(OUTPUTS)  # (M, in), (out, in), (out,)
    for m in range(M):
        for o in range(OUTPUTS):
            db[o] += dy[m, o]
            for i in range(INPUTS):
                dx[m, i] += w[o, i] * dy[m, o]
                dw[o, i] += x[m, i] * dy[m, o]
    return dx.astype(x.dtype), dw.astype(x.dtype), db.astype(x.dtype)
