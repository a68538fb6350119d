import numpy as np


def roi_pool_backward(dy, argmax, rois, input_shape):
    dx = np.zeros(input_shape, dy.dtype)
    flat = dx.reshape(*input_shape[:2], input_shape[2] * input_shape[3])
    for r, c, i, j in np.ndindex(dy.shape):
        if argmax[r, c, i, j] >= 0:
            flat[0, c, argmax[r, c, i, j]] += dy[r, c, i, j]
    return dx
