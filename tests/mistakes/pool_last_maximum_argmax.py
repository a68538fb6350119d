import numpy as np


def max_pool2d(x, kernel_size, *, stride=None):
    K, s = kernel_size, stride or kernel_size
    windows = np.lib.stride_tricks.sliding_window_view(x, (K, K), axis=(2, 3))[:, :, ::s, ::s]
    flat = windows.reshape(*windows.shape[:4], K * K)
    turned = flat[..., ::-1]
    at = K * K - 1 - np.argmax(turned, axis=-1)
    y = np.take_along_axis(flat, at[..., None], axis=-1)[..., 0]
    rows = np.arange(y.shape[2])[:, None] * s + at // K
    columns = np.arange(y.shape[3]) * s + at % K
    return y, rows * x.shape[3] + columns
