import numpy as np


def resize_nearest_backward(dy, input_size):
    H, W = np.broadcast_to(input_size, 2)
    rows, columns = np.arange(dy.shape[2]) * H // dy.shape[2], np.arange(dy.shape[3]) * W // dy.shape[3]
    dx = np.zeros((*dy.shape[:2], H, W), dy.dtype)
    for r, q in np.ndindex(H, W):
        copies = dy[:, :, rows == r][..., columns == q]
        if copies.shape[2] and copies.shape[3]:
            dx[:, :, r, q] = copies.mean(axis=(2, 3))
    return dx
