import numpy as np


def conv2d(x, w, *, groups=1):
    CG = w.shape[1]
    windows = np.lib.stride_tricks.sliding_window_view(x[:, :CG], w.shape[2:], axis=(2, 3))
    return np.einsum("ncxyij,kcij->nkxy", windows, w)
