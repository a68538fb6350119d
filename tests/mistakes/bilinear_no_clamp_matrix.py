import numpy as np


def matrix(size, output):
    place = (np.arange(output) + 0.5) * size / output - 0.5
    if size == 1:
        return np.ones((output, 1))
    low = np.clip(np.floor(place).astype(int), 0, size - 2)
    result = np.zeros((output, size))
    result[np.arange(output), low] = 1 - (place - low)
    result[np.arange(output), low + 1] = place - low
    return result


def resize_bilinear(x, size):
    OH, OW = size if isinstance(size, tuple) else (size, size)
    rows, columns = matrix(x.shape[2], OH), matrix(x.shape[3], OW)
    return np.einsum("ih,nchw,jw->ncij", rows, x, columns).astype(x.dtype)
