import numpy as np


def conv_transpose2d(x, w):
    N, C, H, W = x.shape
    _, K, KH, KW = w.shape
    y = np.zeros((N, K, H + KH - 1, W + KW - 1), x.dtype)
    for n, c, h, v, k, i, j in np.ndindex(N, C, H, W, K, KH, KW):
        y[n, k, h + KH - 1 - i, v + KW - 1 - j] += x[n, c, h, v] * w[c, k, i, j]
    return y
