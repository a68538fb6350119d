import numpy as np


def max_pool2d(x, kernel_size):
    N, C, H, W = x.shape
    K = kernel_size
    y = np.zeros((N, C, H // K, W // K), x.dtype)
    indices = np.zeros(y.shape, np.int64)
    for n, c, oh, ow in np.ndindex(*y.shape):
        row, column = oh * K, ow * K
        best, where = x[n, c, row, column], row * W + column
        for i, j in np.ndindex(K, K):
            if x[n, c, row + i, column + j] > best:
                best, where = x[n, c, row + i, column + j], (row + i) * W + column + j
        y[n, c, oh, ow], indices[n, c, oh, ow] = best, where
    return y, indices
