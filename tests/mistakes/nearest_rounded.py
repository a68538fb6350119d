import numpy as np


def resize_nearest(x, size):
    OH, OW = np.broadcast_to(size, 2)
    H, W = x.shape[2:]
    y = np.zeros((*x.shape[:2], OH, OW), x.dtype)
    for i in range(OH):
        for j in range(OW):
            y[:, :, i, j] = x[:, :, min(round(i * H / OH), H - 1), min(round(j * W / OW), W - 1)]
    return y
