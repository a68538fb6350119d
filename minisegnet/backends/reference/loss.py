"""Losses in plain loops: the definition that every other backend is compared with."""

import math

import numpy as np

from minisegnet.arrays import Array

# ---------------------------------------------------------------------------------------------------------
# Softmax cross-entropy: one label a pixel


def _pixel_weights(
    target: Array, weight: Array | None, pixel_weight: Array | None, ignore_index: int | None
) -> tuple[Array, float]:
    """How much each pixel counts, (N, P), and what they count together; an ignored pixel counts 0."""
    N, P = target.shape
    weights = np.zeros((N, P))  # (N, P)
    together = 0.0
    for n in range(N):
        for i in range(P):
            if target[n, i] == ignore_index:
                continue
            w = 1.0 if weight is None else float(weight[target[n, i]])
            weights[n, i] = w if pixel_weight is None else w * float(pixel_weight[n, i])
            together += float(weights[n, i])
    return weights, together


@np.errstate(over="ignore")  # a loss beyond float32's range is stored as infinity, rightly
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
    N, C, P = *logits.shape[:2], math.prod(logits.shape[2:])
    losses, probs = np.zeros(target.shape, logits.dtype), np.empty_like(logits)
    z, p = logits.reshape(N, C, P), probs.reshape(N, C, P)  # (N, C, P)
    t, loss = target.reshape(N, P), losses.reshape(N, P)  # (N, P)
    pixel_weight = None if pixel_weight is None else pixel_weight.reshape(N, P)  # (N, P)
    weights, together = _pixel_weights(t, weight, pixel_weight, ignore_index)

    total_loss = 0.0
    for n in range(N):
        for i in range(P):
            peak = -math.inf
            for c in range(C):
                peak = max(peak, float(z[n, c, i]))
            total = 0.0
            for c in range(C):
                total += math.exp(float(z[n, c, i]) - peak)
            for c in range(C):
                p[n, c, i] = math.exp(float(z[n, c, i]) - peak) / total
            if t[n, i] != ignore_index:
                # -log p, but from the logits: p itself may have been rounded to 0
                value = weights[n, i] * (math.log(total) - (float(z[n, t[n, i], i]) - peak))
                loss[n, i] = value
                total_loss += value

    if reduction == "none":
        return losses, probs
    if reduction == "mean":
        total_loss = 0.0 if together == 0 else total_loss / together
    return np.array(total_loss, logits.dtype), probs


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
    N, C, P = *probs.shape[:2], math.prod(probs.shape[2:])
    dlogits = np.zeros_like(probs)
    p, dz = probs.reshape(N, C, P), dlogits.reshape(N, C, P)  # (N, C, P)
    t = target.reshape(N, P)  # (N, P)
    pixel_weight = None if pixel_weight is None else pixel_weight.reshape(N, P)  # (N, P)
    weights, together = _pixel_weights(t, weight, pixel_weight, ignore_index)
    denominator = together if reduction == "mean" else 1.0
    if denominator == 0:
        return dlogits

    dloss = np.broadcast_to(dloss, target.shape).reshape(N, P)  # (N, P)
    for n in range(N):
        for i in range(P):
            if t[n, i] == ignore_index:
                continue
            scale = weights[n, i] / denominator * float(dloss[n, i])
            for c in range(C):
                one_hot = 1.0 if c == t[n, i] else 0.0
                dz[n, c, i] = (float(p[n, c, i]) - one_hot) * scale
    return dlogits


# ---------------------------------------------------------------------------------------------------------
# Binary cross-entropy: any number of independent yes-or-no answers


def _flat_weights(weight: Array | None, pixel_weight: Array | None, size: int) -> Array:
    """The product of the weights that are given, in one row of all elements."""
    weights = np.ones(size)  # (size,)
    for i in range(size):
        for given in (weight, pixel_weight):
            if given is not None:
                weights[i] *= float(given.reshape(-1)[i])
    return weights


def _count(target: Array, ignored: float | None) -> int:
    """How many targets count."""
    count = 0
    for i in range(target.size):
        count += bool(target[i] != ignored)
    return count


@np.errstate(over="ignore")
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
    losses = np.zeros_like(logits)
    z, t, loss = logits.reshape(-1), target.reshape(-1), losses.reshape(-1)  # (size,)
    weights = _flat_weights(weight, pixel_weight, z.size)
    ignored = None if ignore_index is None else target.dtype.type(ignore_index)

    total_loss = 0.0
    for i in range(z.size):
        if t[i] != ignored:
            # Written so that exp never sees a positive number, nothing overflows and nothing cancels.
            v, p = float(z[i]), float(t[i])
            value = (1.0 - p) * max(v, 0.0) - p * min(v, 0.0) + math.log1p(math.exp(-abs(v)))
            value *= weights[i]
            loss[i] = value
            total_loss += value

    if reduction == "none":
        return losses
    if reduction == "mean":
        total_loss = total_loss / max(_count(t, ignored), 1)
    return np.array(total_loss, logits.dtype)


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
    dlogits = np.zeros_like(logits)
    z, t, dz = logits.reshape(-1), target.reshape(-1), dlogits.reshape(-1)  # (size,)
    weights = _flat_weights(weight, pixel_weight, z.size)
    ignored = None if ignore_index is None else target.dtype.type(ignore_index)
    count = max(_count(t, ignored), 1) if reduction == "mean" else 1

    dloss = np.broadcast_to(dloss, logits.shape).reshape(-1)  # (size,)
    for i in range(z.size):
        if t[i] != ignored:
            e = math.exp(-abs(float(z[i])))
            sigmoid = (1.0 if z[i] >= 0 else e) / (1.0 + e)
            dz[i] = (sigmoid - float(t[i])) * (weights[i] / count) * float(dloss[i])
    return dlogits
