import numpy as np


def conv2d_backward(dy, x, w, *, stride=1, padding=0):
    s, p = stride, padding
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    dx, dw = np.zeros_like(padded), np.zeros_like(w)
    for u, v in np.ndindex(w.shape[2:]):
        seen = np.s_[:, :, u : u + s * dy.shape[2] : s, v : v + s * dy.shape[3] : s]
        dw[:, :, u, v] = np.einsum("nkij,ncij->kc", dy, padded[seen])
        dx[seen] += np.einsum("nkij,kc->ncij", dy, w[:, :, u, v])
    return dx[:, :, p:-p, p:-p], dw, dy.sum((0, 2, 3))
