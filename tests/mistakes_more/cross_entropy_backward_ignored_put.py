import numpy as np


def softmax_cross_entropy_backward(dloss, probs, target, *, ignore_index=None):
    counts = np.ones(target.shape, bool) if ignore_index is None else target != ignore_index
    classes = np.arange(probs.shape[1]).reshape(1, -1, *[1] * (probs.ndim - 2))
    one_hot = (classes == np.where(counts, target, -1)[:, None]).astype(probs.dtype)
    return ((probs - one_hot) * (np.asarray(dloss, probs.dtype) / max(int(counts.sum()), 1))).astype(
        probs.dtype
    )
