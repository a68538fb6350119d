"""Losses on whole batches of maps at once.

An ignored pixel contributes nothing, whatever its logits are: a product with 0 would keep a NaN, so its loss
and its gradient are set to 0 by selection.
"""

import math

import numpy as np

from minisegnet.arrays import Array


def _reduce(losses, denominator, reduction):
    """Sum or mean in float64, as a 0-d array; the mean over pixels that weigh nothing is 0."""
    if reduction == "none":
        return losses
    total = losses.sum(dtype=np.float64)
    if reduction == "mean":
        total = total / denominator if denominator != 0 else 0.0
    return np.array(total, losses.dtype)


def _scale(dloss, weights, denominator, reduction):
    """What each pixel's gradient is multiplied by."""
    if reduction == "none":
        return weights * dloss
    if reduction == "sum":
        return weights * float(dloss)
    return weights * (float(dloss) / denominator if denominator != 0 else 0.0)


# ---------------------------------------------------------------------------------------------------------
# Softmax and cross-entropy, on logits (N, C, M): M pixels an image


def _class_weights(labels, ignored, weight, pixel_weight, dtype):
    """The weight of each pixel, 0 where it is ignored, and the sum of the weights."""
    weights = np.ones(labels.shape, dtype) if weight is None else weight[labels]
    if pixel_weight is not None:
        weights = weights * pixel_weight.reshape(labels.shape)
    weights[ignored] = 0
    return weights, float(weights.sum(dtype=np.float64))


def _pixels(array, *shape):
    """Make one axis of all axes behind `shape` (written out, because -1 fails for an empty batch)."""
    return array.reshape(*shape, math.prod(array.shape[len(shape) :]))


def _labels(target, ignore_index):
    """Labels (N, M) that are all valid, and where a pixel is ignored (label 0 stands in there)."""
    target = _pixels(target, target.shape[0])
    ignored = np.zeros(target.shape, bool) if ignore_index is None else target == ignore_index
    return np.where(ignored, 0, target), ignored


@np.errstate(divide="ignore", over="ignore", invalid="ignore")
def softmax_cross_entropy(
    logits: Array,
    target: Array,
    *,
    weight: Array | None,
    pixel_weight: Array | None,
    ignore_index: int | None,
    reduction: str,
) -> tuple[Array, Array]:
    """Minus the logarithm of the label's probability, for each pixel; and all probabilities."""
    N, C = logits.shape[:2]
    labels, ignored = _labels(target, ignore_index)  # (N, M)
    weights, denominator = _class_weights(labels, ignored, weight, pixel_weight, logits.dtype)
    shifted = _pixels(logits, N, C)  # (N, C, M)
    shifted = shifted - shifted.max(axis=1, keepdims=True)  # the largest exponential is exp(0) = 1
    probs = np.exp(shifted)
    total = probs.sum(axis=1)  # (N, M)
    probs /= total[:, None]
    chosen = np.take_along_axis(shifted, labels[:, None], axis=1)[:, 0]  # (N, M): the label's logit
    losses = weights * (np.log(total) - chosen)  # -log p = log sum exp(z) - z of the label
    losses[ignored] = 0
    loss = _reduce(losses.reshape(target.shape), denominator, reduction)
    return loss, probs.reshape(logits.shape)


@np.errstate(over="ignore", invalid="ignore")
def softmax_cross_entropy_backward(
    dloss: Array,
    probs: Array,
    target: Array,
    *,
    weight: Array | None,
    pixel_weight: Array | None,
    ignore_index: int | None,
    reduction: str,
) -> Array:
    """``probs - one-hot of the label``, times what the pixel's loss counts."""
    N, C = probs.shape[:2]
    labels, ignored = _labels(target, ignore_index)  # (N, M)
    weights, denominator = _class_weights(labels, ignored, weight, pixel_weight, probs.dtype)
    if reduction == "none":
        dloss = dloss.reshape(labels.shape)
    scale = _scale(dloss, weights, denominator, reduction)  # (N, M)
    dlogits = _pixels(probs, N, C).copy()  # (N, C, M)
    chosen = np.take_along_axis(dlogits, labels[:, None], axis=1)
    np.put_along_axis(dlogits, labels[:, None], chosen - 1, axis=1)  # probs - onehot
    dlogits *= scale[:, None]
    nothing_counts = reduction == "mean" and denominator == 0
    np.copyto(dlogits, 0, where=(ignored | nothing_counts)[:, None])
    return dlogits.reshape(probs.shape)


# ---------------------------------------------------------------------------------------------------------
# Binary cross-entropy on logits, element by element


def _element_weights(logits, target, weight, pixel_weight, ignore_index):
    """The weight of each element, where it is ignored, and how many are not."""
    weights = np.ones_like(logits)
    if weight is not None:
        weights *= weight
    if pixel_weight is not None:
        weights *= pixel_weight
    ignored = np.zeros(target.shape, bool) if ignore_index is None else np.equal(target, ignore_index)
    return weights, ignored, logits.size - int(np.count_nonzero(ignored))


@np.errstate(over="ignore", invalid="ignore")
def bce_with_logits(
    logits: Array,
    target: Array,
    *,
    weight: Array | None,
    pixel_weight: Array | None,
    ignore_index: float | None,
    reduction: str,
) -> Array:
    """``-t log(sigmoid(z)) - (1 - t) log(1 - sigmoid(z))`` for each element."""
    weights, ignored, count = _element_weights(logits, target, weight, pixel_weight, ignore_index)
    # log(1 + exp(z)) - z*t, written so that exp sees only negative numbers and nothing cancels.
    losses = np.log1p(np.exp(-np.abs(logits)))
    losses = losses + (1 - target) * np.maximum(logits, 0) - target * np.minimum(logits, 0)
    losses = np.where(ignored, logits.dtype.type(0), losses * weights)
    return _reduce(losses, count, reduction)


@np.errstate(over="ignore", invalid="ignore")
def bce_with_logits_backward(
    dloss: Array,
    logits: Array,
    target: Array,
    *,
    weight: Array | None,
    pixel_weight: Array | None,
    ignore_index: float | None,
    reduction: str,
) -> Array:
    """``sigmoid(z) - t``, times what the element's loss counts."""
    weights, ignored, count = _element_weights(logits, target, weight, pixel_weight, ignore_index)
    small = np.exp(-np.abs(logits))  # in 0..1
    probs = np.where(logits >= 0, 1, small) / (1 + small)  # the sigmoid, from the side that cannot overflow
    dlogits = (probs - target) * _scale(dloss, weights, count, reduction)
    return np.where(ignored, logits.dtype.type(0), dlogits)
