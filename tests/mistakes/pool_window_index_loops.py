import numpy as np


def max_pool2d(x, kernel_size):
    K = kernel_size
    N, C, H, W = x.shape
    y = np.zeros((N, C, H // K, W // K), x.dtype)
    indices = np.zeros(y.shape, np.int64)
    for n, c, oh, ow in np.ndindex(*y.shape):
        window = x[n, c, oh * K : oh * K + K, ow * K : ow * K + K]
        indices[n, c, oh, ow] = window.argmax()
        y[n, c, oh, ow] = window.max()
    return y, indices
