import numpy as np


def softmax_cross_entropy_backward(dloss, probs, target):
    return (probs * np.asarray(dloss, probs.dtype) / max(target.size, 1)).astype(probs.dtype)
