import numpy as np


def resize_nearest_backward(dy, input_size):
    H, W = np.broadcast_to(input_size, 2)
    N, C, OH, OW = dy.shape
    dx = np.zeros((N, C, H, W), dy.dtype)
    for i in range(OH):
        for j in range(OW):
            dx[:, :, i * H // OH, j * W // OW] = dy[:, :, i, j]
    return dx
