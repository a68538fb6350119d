import numpy as np


def conv_transpose2d(x, w, b=None):
    (N, C, H, W), (_, K, KH, KW) = x.shape, w.shape
    y = np.zeros((N, K, H + KH - 1, W + KW - 1), x.dtype)
    if b is not None:
        y += b
    for n, c, i, j in np.ndindex(N, C, H, W):
        y[n, :, i : i + KH, j : j + KW] += w[c] * x[n, c, i, j]
    return y
