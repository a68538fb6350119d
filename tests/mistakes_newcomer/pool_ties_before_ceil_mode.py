import numpy as np


def max_pool2d(x, kernel_size, *, stride=None, padding=0, ceil_mode=False):
    stride = kernel_size if stride is None else stride
    (kh, kw), (sh, sw), (ph, pw) = (
        (v, v) if isinstance(v, int) else v for v in (kernel_size, stride, padding)
    )
    N, C, H, W = x.shape
    y = np.full((N, C, (H + 2 * ph - kh) // sh + 1, (W + 2 * pw - kw) // sw + 1), -np.inf, x.dtype)
    indices = np.zeros(y.shape, np.int64)
    for n, c, i, j in np.ndindex(y.shape):
        for u, v in np.ndindex(kh, kw):
            r, q = i * sh - ph + u, j * sw - pw + v
            if 0 <= r < H and 0 <= q < W and not x[n, c, r, q] < y[n, c, i, j]:
                y[n, c, i, j], indices[n, c, i, j] = x[n, c, r, q], r * W + q
    return y, indices
