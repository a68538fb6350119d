import numpy as np


def max_pool2d(x, kernel_size, *, stride=None, padding=0):
    K, s, p = kernel_size, stride or kernel_size, padding
    N, C, H, W = x.shape
    large = np.zeros((N, C, H + 2 * p, W + 2 * p), x.dtype)
    large[:, :, p : p + H, p : p + W] = x
    OH, OW = (H + 2 * p - K) // s + 1, (W + 2 * p - K) // s + 1
    y, indices = np.zeros((N, C, OH, OW), x.dtype), np.zeros((N, C, OH, OW), np.int64)
    for n, c, oh, ow in np.ndindex(*y.shape):
        window = large[n, c, oh * s : oh * s + K, ow * s : ow * s + K]
        i, j = divmod(int(np.argmax(window)), K)
        y[n, c, oh, ow] = window[i, j]
        indices[n, c, oh, ow] = (oh * s + i - p) * W + ow * s + j - p
    return y, indices
