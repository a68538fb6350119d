import numpy as np


def log_softmax_backward(dy, y, *, axis=1):
    dx = np.empty_like(y)
    for place in np.ndindex(y.shape):
        dx[place] = dy[place] * (1 - np.exp(y[place]))
    return dx
