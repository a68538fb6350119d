import numpy as np


def conv2d(x, w, b=None):
    (N, _, H, W), (K, _, KH, KW) = x.shape, w.shape
    y = np.zeros((N, K, H - KH + 1, W - KW + 1), x.dtype)
    for n, k, oh, ow in np.ndindex(y.shape):
        y[n, k, oh, ow] = b[k] + (w[k] * x[n, :, oh : oh + KH, ow : ow + KW]).sum()
    return y
