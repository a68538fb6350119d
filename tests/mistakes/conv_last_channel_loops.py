import numpy as np


def conv2d(x, w):
    N, C, H, W = x.shape
    K, _, KH, KW = w.shape
    y = np.zeros((N, K, H - KH + 1, W - KW + 1), x.dtype)
    for n, k, oh, ow in np.ndindex(*y.shape):
        for c in range(C):
            y[n, k, oh, ow] = np.sum(x[n, c, oh : oh + KH, ow : ow + KW] * w[k, c])
    return y
