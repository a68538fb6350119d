import numpy as np


def max_pool2d(x, kernel_size, *, stride=None, padding=0):
    K, s, p = kernel_size, stride or kernel_size, padding
    large = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), constant_values=-np.inf)
    W = large.shape[3]
    OH, OW = (large.shape[2] - K) // s + 1, (W - K) // s + 1
    y = np.zeros((*x.shape[:2], OH, OW), x.dtype)
    indices = np.zeros(y.shape, np.int64)
    for n, c, oh, ow in np.ndindex(*y.shape):
        best, where = None, -1
        for i, j in np.ndindex(K, K):
            row, column = oh * s + i, ow * s + j
            inside = p <= row < large.shape[2] - p and p <= column < W - p
            value = large[n, c, row, column]
            if inside and (best is None or value > best or value != value):
                best, where = value, row * W + column
        y[n, c, oh, ow], indices[n, c, oh, ow] = best, where
    return y, indices
