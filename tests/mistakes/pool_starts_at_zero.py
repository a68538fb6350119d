import numpy as np


def max_pool2d(x, kernel_size):
    kh, kw = kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)
    N, C, H, W = x.shape
    y = np.zeros((N, C, H // kh, W // kw), x.dtype)
    indices = np.zeros(y.shape, np.int64)
    for n, c, i, j in np.ndindex(y.shape):
        best, place = 0.0, 0
        for row, column in np.ndindex(kh, kw):
            value = x[n, c, i * kh + row, j * kw + column]
            if value > best or value != value:
                best, place = value, (i * kh + row) * W + j * kw + column
        y[n, c, i, j], indices[n, c, i, j] = best, place
    return y, indices
