import numpy as np


def concat(arrays, axis=1):
    result = arrays[0]
    for array in arrays[1:]:
        result = np.concatenate((array, result), axis)
    return result
