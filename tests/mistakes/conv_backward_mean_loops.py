import numpy as np


def conv2d_backward(dy, x, w):
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros(len(w), x.dtype)
    for n, k, oh, ow in np.ndindex(*dy.shape):
        db[k] += dy[n, k, oh, ow]
        for c, i, j in np.ndindex(*w.shape[1:]):
            dx[n, c, oh + i, ow + j] += dy[n, k, oh, ow] * w[k, c, i, j]
            dw[k, c, i, j] += dy[n, k, oh, ow] * x[n, c, oh + i, ow + j] / len(x)
    return dx, dw, db
