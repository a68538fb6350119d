import numpy as np


def conv_transpose2d(x, w, b=None, *, stride=1, padding=0):
    s, p = stride, padding
    (H, W), (KH, KW) = x.shape[2:], w.shape[2:]
    y = np.zeros((len(x), w.shape[1], (H - 1) * s + KH, (W - 1) * s + KW), x.dtype)
    for i in range(KH):
        for j in range(KW):
            y[:, :, i : i + H * s : s, j : j + W * s : s] = np.einsum("nchw,ck->nkhw", x, w[:, :, i, j])
    y = y[:, :, p : y.shape[2] - p, p : y.shape[3] - p]
    return y if b is None else y + b[:, None, None]
