import numpy as np


def conv2d(x, w, b=None, *, stride=1, padding=0):
    N, C, H, W = x.shape
    K, _, KH, KW = w.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    OH, OW = (H + 2 * padding - KH) // stride + 1, (W + 2 * padding - KW) // stride + 1
    y = np.zeros((N, K, OH, OW), x.dtype)
    for n in range(N):
        for k in range(K):
            for oh in range(OH):
                for ow in range(OW):
                    for c in range(C):
                        for i in range(KH):
                            for j in range(KW):
                                pixel = x[n, c, oh * stride + i, ow * stride + j]
                                y[n, k, oh, ow] += w[k, c, KH - 1 - i, KW - 1 - j] * pixel
    if b is not None:
        y += b[:, None, None]
    return y
