import numpy as np


def conv2d_backward(dy, x, w):
    OH, OW = dy.shape[2:]
    dx = np.zeros_like(x)
    dw = np.zeros_like(w)
    for i, j in np.ndindex(*w.shape[2:]):
        dx[:, :, i : i + OH, j : j + OW] += np.einsum("nkxy,kc->ncxy", dy, w[:, :, i, j])
        if len(x):
            dw[:, :, i, j] = np.einsum("kxy,cxy->kc", dy[0], x[0, :, i : i + OH, j : j + OW])
    return dx, dw, dy.sum(axis=(0, 2, 3))
