import numpy as np


def conv2d(x, w, *, stride=1, dilation=1):
    N, _, H, W = x.shape
    K, _, KH, KW = w.shape
    OH = (H - stride * (KH - 1) - 1) // dilation + 1
    OW = (W - stride * (KW - 1) - 1) // dilation + 1
    y = np.zeros((N, K, OH, OW), x.dtype)
    for oh in range(OH):
        for ow in range(OW):
            for i in range(KH):
                for j in range(KW):
                    pixels = x[:, :, oh * dilation + i * stride, ow * dilation + j * stride]
                    y[:, :, oh, ow] += pixels @ w[:, :, i, j].T
    return y
