import numpy as np


def conv2d_backward(dy, x, w, *, padding=0):
    (N, C, H, W), (_, _, KH, KW) = x.shape, w.shape
    p = padding
    wide = np.zeros((N, C, H + 2 * p, W + 2 * p), x.dtype)
    dw = np.zeros_like(w)
    for n, k, oh, ow in np.ndindex(dy.shape):
        wide[n, :, oh : oh + KH, ow : ow + KW] += dy[n, k, oh, ow] * w[k]
        for c, i, j in np.ndindex(C, KH, KW):
            if oh + i - p >= H or ow + j - p >= W:
                continue
            dw[k, c, i, j] += dy[n, k, oh, ow] * x[n, c, oh + i - p, ow + j - p]
    return wide[:, :, p : p + H, p : p + W], dw, dy.sum(axis=(0, 2, 3))
