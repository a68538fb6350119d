import numpy as np


def avg_pool2d(x, kernel_size, *, stride=None, padding=0, count_include_pad=True):
    K, s, p = kernel_size, stride or kernel_size, padding
    H, W = x.shape[2:]
    y = np.zeros((*x.shape[:2], (H + 2 * p - K) // s + 1, (W + 2 * p - K) // s + 1), x.dtype)
    for oh, ow in np.ndindex(*y.shape[2:]):
        rows = slice(max(oh * s - p, 0), min(oh * s - p + K, H))
        columns = slice(max(ow * s - p, 0), min(ow * s - p + K, W))
        window = x[:, :, rows, columns]
        count = window[0:1, 0].size if count_include_pad else K * K
        count = (rows.stop - rows.start) * (columns.stop - columns.start) if count_include_pad else K * K
        y[:, :, oh, ow] = window.sum(axis=(2, 3)) / count
    return y
