import numpy as np


def softmax_cross_entropy_backward(dloss, probs, target, *, ignore_index=None):
    counts = np.ones(target.shape, bool) if ignore_index is None else target != ignore_index
    dlogits = probs.copy()
    for place in np.ndindex(target.shape):
        if counts[place]:
            dlogits[(place[0], target[place], *place[1:])] -= 1
    return (dlogits * np.asarray(dloss) / max(counts.sum(), 1)).astype(probs.dtype)
