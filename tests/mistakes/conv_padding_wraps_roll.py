import numpy as np


def conv2d(x, w, *, padding=0):
    p, (KH, KW) = padding, w.shape[2:]
    rows = np.arange(-p, x.shape[2] + p)
    columns = np.arange(-p, x.shape[3] + p)
    large = np.take(np.take(x, rows, axis=2, mode="wrap"), columns, axis=3, mode="wrap")
    windows = np.lib.stride_tricks.sliding_window_view(large, (KH, KW), axis=(2, 3))
    return np.tensordot(windows, w, ((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)
