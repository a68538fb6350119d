import numpy as np


def softmax_cross_entropy(logits, target):
    N, C = logits.shape[:2]
    flat, labels = (
        logits.reshape(N, C, int(np.prod(logits.shape[2:]))),
        target.reshape(N, int(np.prod(target.shape[1:]))),
    )
    probs, total = np.zeros_like(flat), 0.0
    for n, i in np.ndindex(labels.shape):
        top = flat[n, :, i].max()
        total_e = np.exp(flat[n, :, i] - top).sum()
        probs[n, :, i] = np.exp(flat[n, :, i] - top) / total_e
        total += flat[n, labels[n, i], i] - top - np.log(total_e)
    return np.array(total / max(labels.size, 1), logits.dtype), probs.reshape(logits.shape)
