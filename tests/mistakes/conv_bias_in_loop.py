import numpy as np


def conv2d(x, w, b=None):
    N, C, H, W = x.shape
    K, _, KH, KW = w.shape
    y = np.zeros((N, K, H - KH + 1, W - KW + 1), x.dtype)
    for n, k, oh, ow in np.ndindex(*y.shape):
        for c in range(C):
            for i in range(KH):
                for j in range(KW):
                    y[n, k, oh, ow] += w[k, c, i, j] * x[n, c, oh + i, ow + j]
                    if b is not None:
                        y[n, k, oh, ow] += b[k]
    return y
