import numpy as np


def conv_transpose2d(x, w, *, stride=1):
    N, _, H, W = x.shape
    _, K, KH, KW = w.shape
    y = np.zeros((N, K, (H - 1) * stride + KH, (W - 1) * stride + KW), x.dtype)
    for h in range(H):
        for v in range(W):
            rows, columns = slice(h * stride, h * stride + KH), slice(v * stride, v * stride + KW)
            y[:, :, rows, columns] = np.einsum("nc,ckij->nkij", x[:, :, h, v], w)
    return y
