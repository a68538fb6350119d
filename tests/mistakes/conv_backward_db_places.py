import numpy as np


def conv2d_backward(dy, x, w):
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for n, k, oh, ow in np.ndindex(*dy.shape):
        rows, columns = slice(oh, oh + w.shape[2]), slice(ow, ow + w.shape[3])
        dx[n, :, rows, columns] += dy[n, k, oh, ow] * w[k]
        dw[k] += dy[n, k, oh, ow] * x[n, :, rows, columns]
    db = np.add.reduce(dy, axis=0)
    return dx, dw, db
