import numpy as np


def conv2d(x, w, b=None, *, stride=1, padding=0):
    (C, H, W), (K, _, KH, KW) = x.shape, w.shape
    OH, OW = (H + 2 * padding - KH) // stride + 1, (W + 2 * padding - KW) // stride + 1
    y = np.zeros((K, OH, OW))
    for k, oh, ow in np.ndindex(K, OH, OW):
        for c, i, j in np.ndindex(C, KH, KW):
            row, column = oh * stride - padding + i, ow * stride - padding + j
            if 0 <= row < H and 0 <= column < W:
                y[k, oh, ow] += w[k, c, i, j] * x[c, row, column]
    return y if b is None else y + b[:, None, None]
