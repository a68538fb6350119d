import numpy as np


def conv2d_backward(dy, x, w):
    KH, KW = w.shape[2:]
    dw = np.zeros_like(w)
    for i, j in np.ndindex(dy.shape[2:]):
        dw += np.einsum("nk,ncuv->kcuv", dy[:, :, i, j], x[:, :, i : i + KH, j : j + KW])
    return dw, dy.sum(axis=(0, 2, 3))
