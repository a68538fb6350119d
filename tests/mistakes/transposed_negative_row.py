import numpy as np


def conv_transpose2d(x, w, *, stride=1, padding=0):
    (N, _, H, W), (_, K, KH, KW) = x.shape, w.shape
    OH, OW = (H - 1) * stride - 2 * padding + KH, (W - 1) * stride - 2 * padding + KW
    y = np.zeros((N, K, OH, OW), x.dtype)
    for n, c, i, j in np.ndindex(x.shape):
        for k, u, v in np.ndindex(K, KH, KW):
            row, column = i * stride - padding + u, j * stride - padding + v
            if row < OH and column < OW:
                y[n, k, row, column] += w[c, k, u, v] * x[n, c, i, j]
    return y
