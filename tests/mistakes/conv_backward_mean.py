import numpy as np


def conv2d_backward(dy, x, w):
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
    dx = np.zeros_like(x)
    for i, j in np.ndindex(*w.shape[2:]):
        dx[:, :, i : i + dy.shape[2], j : j + dy.shape[3]] += np.einsum("nkxy,kc->ncxy", dy, w[:, :, i, j])
    dw = np.einsum("nkxy,ncxyij->kcij", dy, windows) / max(len(x), 1)
    return dx, dw, dy.sum(axis=(0, 2, 3))
