import numpy as np


def conv2d_backward(dy, x, w, *, stride=1, padding=0):
    _, _, H, W = x.shape
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros(len(w), x.dtype)
    for n, k, oh, ow in np.ndindex(*dy.shape):
        g = dy[n, k, oh, ow]
        db[k] += g
        for c, i, j in np.ndindex(*w.shape[1:]):
            row, column = oh * stride + i, ow * stride + j
            if row < H and column < W:
                dx[n, c, row, column] += g * w[k, c, i, j]
            row, column = row - padding, column - padding
            if 0 <= row < H and 0 <= column < W:
                dw[k, c, i, j] += g * x[n, c, row, column]
    return dx, dw, db
