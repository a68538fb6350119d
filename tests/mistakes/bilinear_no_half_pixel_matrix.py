import numpy as np


def matrix(size, output):
    place = np.arange(output) * size / output
    low = place.astype(int)
    result = np.zeros((output, size))
    result[np.arange(output), low] += 1 - (place - low)
    result[np.arange(output), np.minimum(low + 1, size - 1)] += place - low
    return result


def resize_bilinear(x, size):
    OH, OW = size if isinstance(size, tuple) else (size, size)
    return (matrix(x.shape[2], OH) @ x @ matrix(x.shape[3], OW).T).astype(x.dtype)
