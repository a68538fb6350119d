import numpy as np


def conv2d(x, w, b=None):
    KH, KW = w.shape[2:]
    windows = np.lib.stride_tricks.sliding_window_view(x, (KH, KW), axis=(2, 3))
    y = np.einsum("nchwij,kcij->nkhw", windows, w)
    return y if b is None else y + b
