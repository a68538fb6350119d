import numpy as np


def conv2d(x, w, b=None, *, stride=1):
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
    s = np.broadcast_to(stride, 2)
    y = np.einsum("ncxyij,kcij->nkxy", windows[:, :, :: s[1], :: s[0]], w)
    return y if b is None else y + b[None, :, None, None]
