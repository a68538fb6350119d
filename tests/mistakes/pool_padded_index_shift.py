import numpy as np


def max_pool2d(x, kernel_size, *, stride=None, padding=0):
    N, C, H, W = x.shape
    K, s, p = kernel_size, stride or kernel_size, padding
    wide = W + 2 * p
    y = np.empty((N, C, (H + 2 * p - K) // s + 1, (wide - K) // s + 1), x.dtype)
    indices = np.empty(y.shape, np.int64)
    for n, c, oh, ow in np.ndindex(*y.shape):
        pixels = [
            (x[n, c, h, w], h * wide + w)
            for h in range(max(oh * s - p, 0), min(oh * s - p + K, H))
            for w in range(max(ow * s - p, 0), min(ow * s - p + K, W))
        ]
        nans = [pixel for pixel in pixels if pixel[0] != pixel[0]]
        y[n, c, oh, ow], indices[n, c, oh, ow] = nans[-1] if nans else max(pixels, key=lambda pixel: pixel[0])
    return y, indices
