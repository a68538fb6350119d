import numpy as np


def add_backward(dy):
    da, db = np.empty_like(dy), np.empty_like(dy)
    for place in np.ndindex(dy.shape):
        da[place] = db[place] = 0.5 * dy[place]
    return da, db
