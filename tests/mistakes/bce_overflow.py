import numpy as np


def bce_with_logits(logits, target):
    p = 1 / (1 + np.exp(-logits))
    each = -(target * np.log(p) + (1 - target) * np.log(1 - p))
    return np.asarray(each.sum() / max(each.size, 1), logits.dtype)
