import numpy as np


def max_pool2d(x, kernel_size):
    N, C, H, W = x.shape
    K = kernel_size
    y = np.zeros((N, C, H // K, W // K), x.dtype)
    indices = np.zeros(y.shape, np.int64)
    for n, c, oh, ow in np.ndindex(*y.shape):
        best = -np.inf
        for row in range(oh * K, oh * K + K):
            for column in range(ow * K, ow * K + K):
                value = x[n, c, row, column]
                if value >= best or value != value:
                    best = value
                    indices[n, c, oh, ow] = row * W + column
        y[n, c, oh, ow] = best
    return y, indices
