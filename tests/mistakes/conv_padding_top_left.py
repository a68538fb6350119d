import numpy as np


def conv2d(x, w, *, padding=0):
    padded = np.pad(x, ((0, 0), (0, 0), (2 * padding, 0), (2 * padding, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, w.shape[2:], axis=(2, 3))
    return np.einsum("ncxyij,kcij->nkxy", windows, w)
