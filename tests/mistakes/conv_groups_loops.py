import numpy as np


def conv2d(x, w, b=None, *, stride=1, padding=0, dilation=1, groups=1):
    (sh, sw), (ph, pw), (dh, dw) = (
        v if isinstance(v, tuple) else (v, v) for v in (stride, padding, dilation)
    )
    N, _, H, W = x.shape
    K, C, KH, KW = w.shape
    OH, OW = (H + 2 * ph - dh * (KH - 1) - 1) // sh + 1, (W + 2 * pw - dw * (KW - 1) - 1) // sw + 1
    y = np.zeros((N, K, OH, OW), x.dtype)
    for n, k, oh, ow in np.ndindex(*y.shape):
        total = 0.0 if b is None else b[k]
        for c, i, j in np.ndindex(C, KH, KW):
            row, column = oh * sh + i * dh - ph, ow * sw + j * dw - pw
            if 0 <= row < H and 0 <= column < W:
                total = total + w[k, c, i, j] * x[n, c, row, column]
        y[n, k, oh, ow] = total
    return y
