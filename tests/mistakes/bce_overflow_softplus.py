import numpy as np


def bce_with_logits(logits, target):
    each = np.log(1 + np.exp(logits)) - target * logits
    return np.array(each.sum() / max(each.size, 1), dtype=logits.dtype)
