import numpy as np


def pad2d(x, padding, *, mode="zero"):
    ph, pw = padding if isinstance(padding, tuple) else (padding, padding)
    H, W = x.shape[2:]
    y = np.zeros((*x.shape[:2], H + 2 * ph, W + 2 * pw), x.dtype)

    def source(i, length):
        if i < 0:
            return -i - 1
        return i if i < length else 2 * length - 1 - i

    for i in range(-ph, H + ph):
        for j in range(-pw, W + pw):
            if mode == "reflect" or (0 <= i < H and 0 <= j < W):
                y[:, :, i + ph, j + pw] = x[:, :, source(i, H), source(j, W)]
    return y
