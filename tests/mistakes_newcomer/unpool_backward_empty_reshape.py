import numpy as np


def max_unpool2d_backward(dy, indices):
    N, C = indices.shape[:2]
    taken = np.take_along_axis(dy.reshape(N, C, -1), indices.reshape(N, C, -1), axis=2)
    return taken.reshape(indices.shape)
