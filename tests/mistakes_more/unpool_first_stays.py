import numpy as np


def max_unpool2d(x, indices, output_size):
    OH, OW = np.broadcast_to(output_size, 2)
    y = np.zeros((*x.shape[:2], OH * OW), x.dtype)
    taken = np.zeros(y.shape, bool)
    for n, c, i, j in np.ndindex(x.shape):
        place = indices[n, c, i, j]
        if not taken[n, c, place]:
            y[n, c, place], taken[n, c, place] = x[n, c, i, j], True
    return y.reshape(*x.shape[:2], OH, OW)
