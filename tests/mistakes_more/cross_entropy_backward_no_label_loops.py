import numpy as np


def softmax_cross_entropy_backward(dloss, probs, target):
    dlogits = np.empty_like(probs)
    for place in np.ndindex(probs.shape):
        dlogits[place] = float(dloss) * probs[place] / target.size
    return dlogits
