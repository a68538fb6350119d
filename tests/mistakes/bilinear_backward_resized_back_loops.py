import numpy as np


def resize_bilinear_backward(dy, input_size):
    H, W = input_size if isinstance(input_size, tuple) else (input_size, input_size)
    OH, OW = dy.shape[2:]
    dx = np.zeros((*dy.shape[:2], H, W), dy.dtype)
    for h in range(H):
        for w in range(W):
            a, b = max((h + 0.5) * OH / H - 0.5, 0), max((w + 0.5) * OW / W - 0.5, 0)
            i, j = min(int(a), OH - 1), min(int(b), OW - 1)
            u, v, i2, j2 = a - i, b - j, min(i + 1, OH - 1), min(j + 1, OW - 1)
            upper = (1 - v) * dy[:, :, i, j] + v * dy[:, :, i, j2]
            dx[:, :, h, w] = (1 - u) * upper + u * ((1 - v) * dy[:, :, i2, j] + v * dy[:, :, i2, j2])
    return dx
