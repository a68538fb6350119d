import numpy as np


def roi_pool_backward(dy, argmax, rois, input_shape):
    N, C, H, W = input_shape
    dx = np.zeros((N, C, H, W), dy.dtype)
    r, c, i, j = np.nonzero(argmax >= 0)
    place = argmax[r, c, i, j]
    np.add.at(dx[0], (c, place // W, place % W), dy[r, c, i, j])
    return dx
