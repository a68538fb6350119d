import numpy as np


def max_pool2d(x, kernel_size, *, padding=0):
    K, p = kernel_size, padding
    large = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(large, (K, K), axis=(2, 3))[:, :, ::K, ::K]
    flat = windows.reshape(*windows.shape[:4], -1)
    at = np.argmax(flat, axis=-1)
    y = flat.max(axis=-1)
    rows = np.arange(y.shape[2])[:, None] * K + at // K
    columns = np.arange(y.shape[3])[None, :] * K + at % K
    return y, rows * large.shape[3] + columns
