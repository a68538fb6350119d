import numpy as np


def roi_pool_backward(dy, argmax, rois, input_shape):
    N, C, H, W = input_shape
    flat = np.zeros((N, C, H * W), dy.dtype)
    r, c, i, j = np.nonzero(argmax >= 0)
    flat[rois[r, 0].astype(int), c, argmax[r, c, i, j]] += dy[r, c, i, j]
    return flat.reshape(input_shape)
