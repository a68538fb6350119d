"""Lesson 8, softmax and losses: a solution. `minisegnet check 08 08_softmax_and_losses.py` marks it."""

import numpy as np


def softmax(x, *, axis=1):
    """Make probabilities of scores; the largest is subtracted first, so that no exponential is too large.

    >>> softmax(np.array([[1000.0, 1000]])).tolist()
    [[0.5, 0.5]]
    """
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def softmax_backward(dy, y, *, axis=1):
    """Let each score act on all the probabilities.

    >>> softmax_backward(np.array([[1.0, 0]]), np.array([[0.25, 0.75]])).tolist()
    [[0.1875, -0.1875]]
    """
    return y * (dy - (dy * y).sum(axis=axis, keepdims=True))


def log_softmax(x, *, axis=1):
    """Take the logarithm of softmax on paper, not of its result.

    >>> log_softmax(np.array([[1000.0, 0]])).tolist()
    [[0.0, -1000.0]]
    """
    x = x - x.max(axis=axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=axis, keepdims=True))


def log_softmax_backward(dy, y, *, axis=1):
    """Give each score its dy, less its part of all of them.

    >>> log_softmax_backward(np.array([[1.0, 0]]), np.log([[0.25, 0.75]])).round(6).tolist()
    [[0.75, -0.75]]
    """
    return dy - np.exp(y) * dy.sum(axis=axis, keepdims=True)


# ---------------------------------------------------------------------------------------------------------
# Cross-entropy


def counted(target, ignore_index):
    """Mark the targets that count, and put a label in the others' place that can be looked up."""
    counts = np.ones(target.shape, bool) if ignore_index is None else target != ignore_index
    return counts, np.where(counts, target, 0).astype(np.int64)


def weights_of(counts, labels, weight, pixel_weight, dtype):
    """Return what each target weighs; 0 where it doesn't count."""
    weighs = counts.astype(dtype)
    if weight is not None:
        weighs = weighs * weight[labels]
    if pixel_weight is not None:
        weighs = weighs * pixel_weight
    return np.where(counts, weighs, 0).astype(dtype)


def softmax_cross_entropy(
    logits, target, *, weight=None, pixel_weight=None, ignore_index=None, reduction="mean"
):
    """Minus the logarithm of the true class's probability.

    >>> loss, probs = softmax_cross_entropy(np.log([[1.0, 3], [1, 1]]), np.array([1, 0]))
    >>> round(float(loss), 3), probs.round(6).tolist()
    (0.49, [[0.25, 0.75], [0.5, 0.5]])
    """
    counts, labels = counted(target, ignore_index)
    weighs = weights_of(counts, labels, weight, pixel_weight, logits.dtype)
    log_p = np.take_along_axis(log_softmax(logits), labels[:, None], axis=1)[:, 0]  # of the true class
    # 0 times infinity is NaN: what doesn't count is left out, not multiplied by 0.
    each = -weighs * np.where(counts, log_p, 0)
    if reduction == "none":
        loss = each
    elif reduction == "sum" or weighs.sum() == 0:
        loss = each.sum()
    else:
        loss = each.sum() / weighs.sum()
    return np.asarray(loss, logits.dtype), softmax(logits)


def softmax_cross_entropy_backward(
    dloss, probs, target, *, weight=None, pixel_weight=None, ignore_index=None, reduction="mean"
):
    """Give each score p, less 1 at the true class.

    >>> probs, target = np.array([[0.25, 0.75], [0.5, 0.5]]), np.array([1, 0])
    >>> softmax_cross_entropy_backward(1.0, probs, target).tolist()
    [[0.125, -0.125], [-0.25, 0.25]]
    """
    counts, labels = counted(target, ignore_index)
    weighs = weights_of(counts, labels, weight, pixel_weight, probs.dtype)
    factor = np.asarray(dloss, probs.dtype) * weighs
    if reduction == "mean" and weighs.sum() != 0:
        factor = factor / weighs.sum()
    one_hot = np.zeros(probs.shape, probs.dtype)
    np.put_along_axis(one_hot, labels[:, None], 1, axis=1)
    dlogits = factor[:, None] * (probs - one_hot)
    return np.where(counts[:, None], dlogits, 0).astype(probs.dtype)


# ---------------------------------------------------------------------------------------------------------
# Two classes, one score


def element_weights(logits, weight, pixel_weight):
    """Return what each element weighs."""
    weighs = np.ones(logits.shape, logits.dtype)
    for factor in (weight, pixel_weight):
        if factor is not None:
            weighs = weighs * factor
    return weighs


def bce_with_logits(logits, target, *, weight=None, pixel_weight=None, ignore_index=None, reduction="mean"):
    """Cross-entropy with the probability 1/(1 + exp(-z)).

    >>> np.exp(-bce_with_logits(np.log([3.0, 1]), np.array([1.0, 0]), reduction="none")).round(6).tolist()
    [0.75, 0.5]
    """
    counts = np.ones(target.shape, bool) if ignore_index is None else target != ignore_index
    each = np.log1p(np.exp(-np.abs(logits))) + np.maximum(logits, 0) - logits * target
    each = np.where(counts, element_weights(logits, weight, pixel_weight) * each, 0).astype(logits.dtype)
    if reduction == "none":
        return each
    many = counts.sum() if reduction == "mean" else 1
    return np.asarray(each.sum() / max(many, 1), logits.dtype)


def bce_with_logits_backward(
    dloss, logits, target, *, weight=None, pixel_weight=None, ignore_index=None, reduction="mean"
):
    """Give each score p - t.

    >>> bce_with_logits_backward(1.0, np.zeros(2), np.array([1.0, 0])).tolist()
    [-0.25, 0.25]
    """
    counts = np.ones(target.shape, bool) if ignore_index is None else target != ignore_index
    e = np.exp(-np.abs(logits))  # never too large
    p = np.where(logits >= 0, 1, e) / (1 + e)
    many = max(counts.sum(), 1) if reduction == "mean" else 1
    dlogits = np.asarray(dloss) / many * element_weights(logits, weight, pixel_weight) * (p - target)
    return np.where(counts, dlogits, 0).astype(logits.dtype)
