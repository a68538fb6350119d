import math

import numpy as np


def sigmoid_backward(dy, y):
    dx = np.zeros_like(dy)
    for place in np.ndindex(*y.shape):
        e = math.exp(-y[place])
        dx[place] = dy[place] * e / (1 + e) ** 2
    return dx
