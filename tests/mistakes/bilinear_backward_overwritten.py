import numpy as np


def resize_bilinear_backward(dy, input_size):
    H, W = np.broadcast_to(input_size, 2)
    OH, OW = dy.shape[2:]
    dx = np.zeros((*dy.shape[:2], H, W), dy.dtype)
    for i, j in np.ndindex(OH, OW):
        a, b = max((i + 0.5) * H / OH - 0.5, 0), max((j + 0.5) * W / OW - 0.5, 0)
        h, w = min(int(a), H - 1), min(int(b), W - 1)
        for row, u in ((h, 1 - a + h), (min(h + 1, H - 1), a - h)):
            for column, v in ((w, 1 - b + w), (min(w + 1, W - 1), b - w)):
                dx[:, :, row, column] = u * v * dy[:, :, i, j]
    return dx
