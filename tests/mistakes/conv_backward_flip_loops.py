import numpy as np


def conv2d_backward(dy, x, w, *, stride=1, padding=0):
    s, p = stride, padding
    _, C, H, W = x.shape
    _, _, KH, KW = w.shape
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for n, k, oh, ow in np.ndindex(*dy.shape):
        for c, i, j in np.ndindex(C, KH, KW):
            row, column = oh * s - p + i, ow * s - p + j
            if 0 <= row < H and 0 <= column < W:
                dx[n, c, row, column] += w[k, c, KH - 1 - i, KW - 1 - j] * dy[n, k, oh, ow]
                dw[k, c, i, j] += x[n, c, row, column] * dy[n, k, oh, ow]
    return dx, dw, dy.sum(axis=(0, 2, 3))
