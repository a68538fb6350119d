"""Losses, compiled: the loops of the reference in the order that memory likes, on all cores.

No thread adds to a number that another adds to. The kernels write one loss a pixel, and partial sums one a
task; NumPy adds these up in float64 and always in the same order.

Rows of pixels are cut out first and counted from 0: an index that might be negative (Python's x[-1]) costs a test
for every element and keeps the loop out of the vector registers.
"""

import math

import numpy as np
from numba import prange

from minisegnet.arrays import Array
from minisegnet.buffers import fresh, fresh_like

from .activation import in_vectors
from .fast import sigmoid as fast_sigmoid
from .fast import softmax as fast_softmax
from .launch import parallel_kernel, takes_vectors

PIXELS = 1 << 10  # pixels in one task: their classes stay in the cache between the passes
NO_LABEL = -1  # stands for ignore_index=None: no label (0 to C-1) and no target (0 to 1) is equal to it

# ---------------------------------------------------------------------------------------------------------
# Softmax cross-entropy: one label a pixel


def _pixel_weights(
    target: Array, weight: Array | None, pixel_weight: Array | None, ignored: int, C: int, dtype: np.dtype
) -> tuple[Array, float]:
    """How much each pixel counts, (N, P), and what they count together; an ignored pixel counts 0."""
    N, P = target.shape
    weight = np.ones(C, dtype) if weight is None else weight  # (C,)
    shape = (0, 0) if pixel_weight is None else (N, P)
    pixel_weight = fresh(shape, dtype) if pixel_weight is None else pixel_weight.reshape(shape)
    weights = fresh((N, P), dtype)  # (N, P)
    sums = np.zeros(N * ((P + PIXELS - 1) // PIXELS))  # (N * tasks,)
    _weigh(target, weight, pixel_weight, ignored, weights, sums)
    return weights, float(sums.sum())


@parallel_kernel
def _weigh(target, weight, pixel_weight, ignored, weights, sums):
    N, P = target.shape
    zero = weights.dtype.type(0)
    tasks = (P + PIXELS - 1) // PIXELS  # for each image
    for task in prange(N * tasks):
        n, start = task // tasks, task % tasks * PIXELS
        together = 0.0
        for i in range(start, min(start + PIXELS, P)):
            label = target[n, i]
            counts = zero if label == ignored else weight[label]
            if pixel_weight.size > 0:
                counts *= pixel_weight[n, i]
            weights[n, i] = counts
            together += counts
        sums[task] = together


@np.errstate(over="ignore", invalid="ignore")  # what is too large becomes infinity, and inf - inf NaN
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
    losses, probs = fresh(target.shape, logits.dtype), fresh_like(logits)
    z, p = logits.reshape(N, C, P), probs.reshape(N, C, P)  # (N, C, P)
    t, loss = target.reshape(N, P), losses.reshape(N, P)  # (N, P)
    ignored = NO_LABEL if ignore_index is None else ignore_index
    weights, together = _pixel_weights(t, weight, pixel_weight, ignored, C, logits.dtype)
    if in_vectors(z):
        fast_softmax.cross_entropy(z, t, weights, ignored, p, loss)
    else:
        loss[:] = 0
        peak, total = np.full((N, P), -np.inf, logits.dtype), np.zeros((N, P), logits.dtype)  # (N, P)
        _softmax_cross_entropy(z, t, weights, ignored, p, loss, peak, total)

    if reduction == "none":
        return losses, probs
    total_loss = float(losses.sum(dtype=np.float64))
    if reduction == "mean":
        total_loss = 0.0 if together == 0 else total_loss / together
    return np.array(total_loss, logits.dtype), probs


@parallel_kernel
def _softmax_cross_entropy(logits, target, weights, ignored, probs, losses, peak, total):
    N, C, P = logits.shape
    tasks = (P + PIXELS - 1) // PIXELS
    for task in prange(N * tasks):
        n, start = task // tasks, task % tasks * PIXELS
        stop = min(start + PIXELS, P)
        peaks, totals = peak[n, start:stop], total[n, start:stop]
        for c in range(C):
            zs = logits[n, c, start:stop]
            for i in range(len(zs)):
                peaks[i] = zs[i] if zs[i] > peaks[i] else peaks[i]
        for c in range(C):
            zs, ps = logits[n, c, start:stop], probs[n, c, start:stop]
            for i in range(len(zs)):
                ps[i] = math.exp(zs[i] - peaks[i])
                totals[i] += ps[i]
        for c in range(C):
            ps = probs[n, c, start:stop]
            for i in range(len(ps)):
                ps[i] /= totals[i]
        for i in range(start, stop):
            if target[n, i] != ignored:
                # -log p, but from the logits: p itself may have been rounded to 0
                chosen = logits[n, target[n, i], i] - peak[n, i]  # the label's logit
                losses[n, i] = weights[n, i] * (math.log(total[n, i]) - chosen)


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
    N, C, P = *probs.shape[:2], math.prod(probs.shape[2:])
    dlogits = fresh_like(probs)
    p, dz = probs.reshape(N, C, P), dlogits.reshape(N, C, P)  # (N, C, P)
    t = target.reshape(N, P)  # (N, P)
    ignored = NO_LABEL if ignore_index is None else ignore_index
    weights, together = _pixel_weights(t, weight, pixel_weight, ignored, C, probs.dtype)
    denominator = together if reduction == "mean" else 1.0
    if denominator == 0:
        dlogits[:] = 0
        return dlogits

    if in_vectors(p):
        fast_softmax.cross_entropy_backward(dloss.reshape(-1), p, t, weights, ignored, denominator, dz)
        return dlogits
    dloss = np.full(target.shape, dloss, probs.dtype).reshape(N, P)  # (N, P)
    _softmax_cross_entropy_backward(dloss, p, t, weights, ignored, denominator, dz, fresh_like(weights))
    return dlogits


@parallel_kernel
def _softmax_cross_entropy_backward(dloss, probs, target, weights, ignored, denominator, dlogits, scale):
    N, C, P = probs.shape
    tasks = (P + PIXELS - 1) // PIXELS
    zero, one = probs.dtype.type(0), probs.dtype.type(1)
    for task in prange(N * tasks):
        n, start = task // tasks, task % tasks * PIXELS
        stop = min(start + PIXELS, P)
        labels, scales = target[n, start:stop], scale[n, start:stop]
        for i in range(start, stop):
            scale[n, i] = weights[n, i] / denominator * dloss[n, i]
        for c in range(C):
            ps, dzs = probs[n, c, start:stop], dlogits[n, c, start:stop]
            for i in range(len(ps)):
                one_hot = one if labels[i] == c else zero
                d = (ps[i] - one_hot) * scales[i]
                dzs[i] = zero if labels[i] == ignored else d  # 0 even where d is NaN


# ---------------------------------------------------------------------------------------------------------
# Binary cross-entropy: any number of independent yes-or-no answers


def _flat_weights(weight: Array | None, pixel_weight: Array | None, dtype: np.dtype) -> Array:
    """The product of the weights that are given, in one row of all elements; a single 1 where none is."""
    if weight is None and pixel_weight is None:
        return np.ones(1, dtype)  # (1,)
    if weight is None or pixel_weight is None:
        return (pixel_weight if weight is None else weight).reshape(-1)  # (size,)
    return (weight * pixel_weight).reshape(-1)  # (size,)


def _ignored(ignore_index: float | None, dtype: np.dtype) -> np.floating:
    """The target that doesn't count, in the targets' own dtype: kernels compare with it."""
    return dtype.type(NO_LABEL if ignore_index is None else ignore_index)


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
    losses = fresh_like(logits)
    z, t, loss = logits.reshape(-1), target.reshape(-1), losses.reshape(-1)  # (size,)
    weights = _flat_weights(weight, pixel_weight, logits.dtype)
    ignored = _ignored(ignore_index, target.dtype)
    run = fast_sigmoid.bce_with_logits if takes_vectors(z.dtype) else _bce_with_logits
    run(z, t, weights, ignored, loss)

    if reduction == "none":
        return losses
    total_loss = float(losses.sum(dtype=np.float64))
    if reduction == "mean":
        total_loss = total_loss / max(np.count_nonzero(t != ignored), 1)
    return np.array(total_loss, logits.dtype)


@parallel_kernel
def _bce_with_logits(logits, target, weights, ignored, losses):
    zero, one, size = logits.dtype.type(0), logits.dtype.type(1), logits.size
    for task in prange((size + PIXELS - 1) // PIXELS):
        for i in range(task * PIXELS, min((task + 1) * PIXELS, size)):
            # Written so that exp never sees a positive number, nothing overflows and nothing cancels.
            z, t = logits[i], target[i]
            above, below = (z if z > zero else zero), (zero if z > zero else z)
            value = (one - t) * above - t * below + math.log1p(math.exp(-abs(z)))
            losses[i] = zero if t == ignored else weights[i if weights.size > 1 else 0] * value


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
    dlogits = fresh_like(logits)
    z, t, dz = logits.reshape(-1), target.reshape(-1), dlogits.reshape(-1)  # (size,)
    weights = _flat_weights(weight, pixel_weight, logits.dtype)
    ignored = _ignored(ignore_index, target.dtype)
    count = max(np.count_nonzero(t != ignored), 1) if reduction == "mean" else 1

    run = fast_sigmoid.bce_with_logits_backward if takes_vectors(z.dtype) else _bce_with_logits_backward
    run(dloss.reshape(-1), z, t, weights, ignored, logits.dtype.type(count), dz)
    return dlogits


@parallel_kernel
def _bce_with_logits_backward(dloss, logits, target, weights, ignored, count, dlogits):
    zero, one, size = logits.dtype.type(0), logits.dtype.type(1), logits.size
    for task in prange((size + PIXELS - 1) // PIXELS):
        for i in range(task * PIXELS, min((task + 1) * PIXELS, size)):
            e = math.exp(-abs(logits[i]))
            sigmoid = (one if logits[i] >= zero else e) / (one + e)
            weight, dy = weights[i if weights.size > 1 else 0], dloss[i if dloss.size > 1 else 0]
            gradient = (sigmoid - target[i]) * (weight / count) * dy
            dlogits[i] = zero if target[i] == ignored else gradient
