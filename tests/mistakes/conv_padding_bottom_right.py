import numpy as np


def conv2d(x, w, b=None, *, stride=1, padding=0):
    N, C, H, W = x.shape
    K, _, KH, KW = w.shape
    large = np.zeros((N, C, H + 2 * padding, W + 2 * padding), x.dtype)
    large[:, :, :H, :W] = x
    y = np.zeros((N, K, (H + 2 * padding - KH) // stride + 1, (W + 2 * padding - KW) // stride + 1), x.dtype)
    for n, k, oh, ow in np.ndindex(*y.shape):
        top, left = oh * stride, ow * stride
        y[n, k, oh, ow] = (large[n, :, top : top + KH, left : left + KW] * w[k]).sum()
        if b is not None:
            y[n, k, oh, ow] += b[k]
    return y
