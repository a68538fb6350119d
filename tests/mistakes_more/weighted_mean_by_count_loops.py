import numpy as np


def softmax_cross_entropy(logits, target, *, weight=None, ignore_index=None):
    probs, total, count = np.zeros_like(logits), 0.0, 0
    for place in np.ndindex(target.shape):
        at = (place[0], slice(None), *place[1:])
        e = np.exp(logits[at] - logits[at].max())
        probs[at] = e / e.sum()
        label = int(target[place])
        if label == ignore_index:
            continue
        count += 1
        one = np.log(e.sum()) - (logits[at][label] - logits[at].max())
        total += one if weight is None else weight[label] * one
    return np.array(total / count if count else 0, logits.dtype), probs
