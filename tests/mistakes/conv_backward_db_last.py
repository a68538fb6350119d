import numpy as np


def conv2d_backward(dy, x, w):
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros(len(w), x.dtype)
    KH, KW = w.shape[2:]
    for n, k, i, j in np.ndindex(dy.shape):
        db[k] = dy[n, k, i, j]
        dw[k] += dy[n, k, i, j] * x[n, :, i : i + KH, j : j + KW]
        dx[n, :, i : i + KH, j : j + KW] += dy[n, k, i, j] * w[k]
    return dx, dw, db
