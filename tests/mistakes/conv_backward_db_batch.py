import numpy as np


def conv2d_backward(dy, x, w):
    OH, OW = dy.shape[2:]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i, j in np.ndindex(*w.shape[2:]):
        dx[:, :, i : i + OH, j : j + OW] += np.einsum("nkxy,kc->ncxy", dy, w[:, :, i, j])
        dw[:, :, i, j] = np.einsum("nkxy,ncxy->kc", dy, x[:, :, i : i + OH, j : j + OW])
    return dx, dw, dy.sum(axis=(2, 3))
