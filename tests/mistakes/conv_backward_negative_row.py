import numpy as np


def conv2d_backward(dy, x, w, *, padding=0):
    H, W = x.shape[2:]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for oh, ow, i, j in np.ndindex(*dy.shape[2:], *w.shape[2:]):
        row, column = oh + i - padding, ow + j - padding
        if row < H and column < W:
            dx[:, :, row, column] += dy[:, :, oh, ow] @ w[:, :, i, j]
            dw[:, :, i, j] += dy[:, :, oh, ow].T @ x[:, :, row, column]
    return dx, dw, dy.sum(axis=(0, 2, 3))
