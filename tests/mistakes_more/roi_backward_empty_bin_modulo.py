import numpy as np


def roi_pool_backward(dy, argmax, rois, input_shape):
    C, H, W = input_shape[1:]
    dx = np.zeros(input_shape, dy.dtype)
    for r in range(len(rois)):
        for c in range(C):
            for value, place in zip(dy[r, c].flat, argmax[r, c].flat, strict=True):
                row, column = divmod(int(place) % (H * W), W)
                dx[int(rois[r, 0]), c, row, column] += value
    return dx
