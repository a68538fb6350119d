import numpy as np


def roi_pool_backward(dy, argmax, rois, input_shape):
    dx = np.zeros(input_shape, dy.dtype)
    for r, c, i, j in np.ndindex(*dy.shape):
        if argmax[r, c, i, j] >= 0:
            row, column = divmod(argmax[r, c, i, j], input_shape[3])
            dx[int(rois[r, 0]), c, row, column] = dy[r, c, i, j]
    return dx
