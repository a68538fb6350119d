import numpy as np


def sigmoid_backward(dy, y):
    s = 1 / (1 + np.exp(-y))
    return dy * s * (1 - s)
