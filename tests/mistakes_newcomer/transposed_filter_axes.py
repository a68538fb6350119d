import numpy as np


def conv_transpose2d(x, w):
    N, C, H, W = x.shape
    K, _, KH, KW = w.shape
    y = np.zeros((N, K, H + KH - 1, W + KW - 1), x.dtype)
    for n, i, j in np.ndindex(N, H, W):
        for k, c in np.ndindex(K, C):
            y[n, k, i : i + KH, j : j + KW] += w[k, c] * x[n, c, i, j]
    return y
