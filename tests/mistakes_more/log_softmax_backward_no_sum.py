import numpy as np


def log_softmax_backward(dy, y, *, axis=1):
    return dy - np.exp(y) * dy
