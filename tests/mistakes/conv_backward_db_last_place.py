import numpy as np


def conv2d_backward(dy, x, w):
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(w[:, 0, 0, 0])
    for i, j in np.ndindex(dy.shape[2:]):
        seen = np.s_[:, :, i : i + w.shape[2], j : j + w.shape[3]]
        here = dy[:, :, i, j]
        dx[seen] += np.einsum("nk,kcuv->ncuv", here, w)
        dw += np.einsum("nk,ncuv->kcuv", here, x[seen])
        for picture in here:
            db = picture.copy()
    return dx, dw, db
