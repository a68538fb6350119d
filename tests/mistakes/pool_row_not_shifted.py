import numpy as np


def pair(value):
    return (value, value) if isinstance(value, int) else value


def max_pool2d(x, kernel_size, *, stride=None, padding=0):
    (N, C, H, W), (kh, kw), (ph, pw) = x.shape, pair(kernel_size), pair(padding)
    sh, sw = pair(kernel_size if stride is None else stride)
    y = np.full((N, C, (H + 2 * ph - kh) // sh + 1, (W + 2 * pw - kw) // sw + 1), -np.inf, x.dtype)
    indices = np.zeros(y.shape, np.int64)
    for n, c, i, j in np.ndindex(y.shape):
        first = True
        for u, v in np.ndindex(kh, kw):
            row, column = i * sh - ph + u, j * sw - pw + v
            if not (0 <= row < H and 0 <= column < W):
                continue
            value = x[n, c, row, column]
            if first or value > y[n, c, i, j] or value != value:
                y[n, c, i, j], indices[n, c, i, j] = value, (i * sh + u) * W + column
            first = False
    return y, indices
