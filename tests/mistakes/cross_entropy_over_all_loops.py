import math

import numpy as np


def softmax_cross_entropy(logits, target, *, ignore_index=None):
    z = logits.reshape(*logits.shape[:2], math.prod(logits.shape[2:]))
    t = target.reshape(len(logits), z.shape[2])
    probs, total = np.zeros_like(z), 0.0
    for n, i in np.ndindex(*t.shape):
        peak = max(z[n, :, i])
        e = [math.exp(v - peak) for v in z[n, :, i]]
        probs[n, :, i] = [v / sum(e) for v in e]
        if t[n, i] != ignore_index:
            total += math.log(sum(e)) - (z[n, t[n, i], i] - peak)
    return np.array(total / max(t.size, 1), logits.dtype), probs.reshape(logits.shape)
