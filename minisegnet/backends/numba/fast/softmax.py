"""Softmax and its relatives on float32 maps, LANES pixels at a time.

Arrays are seen as (O, A, I): A is the axis of the classes, and what lies behind it, I, are the pixels. The numbers of one
class are side by side along the pixels. So a vector holds pixels: while the classes stream past, the largest score of
each pixel and its sum of exponentials stay in registers, and the few lines of memory of LANES pixels and all classes stay
in the first-level cache from one pass over the classes to the next.

A row's last pixels may be fewer than LANES. ``load_first`` and ``store_first`` leave out what lies beyond.
"""

import numpy as np
from numba import prange

from ..launch import helper, parallel_kernel
from .elementary import exp, log
from .vectors import LANES, load, load_first, maximum, store, store_first, where

TASK = 64 * LANES  # pixels
ONE = np.float32(1)


# ---------------------------------------------------------------------------------------------------------
# Parts: x and y are (A, I), and LANES pixels from `at` on are looked at


@helper
def largest(x, at):
    """The largest score of each pixel."""
    A, I = x.shape
    peak = load_first(I - at, x, 0, at)
    for a in range(1, A):
        peak = maximum(peak, load_first(I - at, x, a, at))
    return peak


@helper
def exponentials(x, y, at, peak):
    """Write exp(score - peak) to y and return its sum over the classes."""
    A, I = x.shape
    sum_of_all = exp(load_first(I - at, x, 0, at) - peak)
    store_first(I - at, sum_of_all, y, 0, at)
    for a in range(1, A):
        value = exp(load_first(I - at, x, a, at) - peak)
        store_first(I - at, value, y, a, at)
        sum_of_all += value
    return sum_of_all


@helper
def multiply(y, at, factor):
    """Multiply each pixel by its factor."""
    A, I = y.shape
    for a in range(A):
        store_first(I - at, load_first(I - at, y, a, at) * factor, y, a, at)


# ---------------------------------------------------------------------------------------------------------
# Softmax


@parallel_kernel
def softmax(x, y):
    """``exp(x) / sum of exp(x)`` along axis 1 of (O, A, I)."""
    O, _, I = x.shape
    tasks = (I + TASK - 1) // TASK
    for task in prange(O * tasks):
        o, start = task // tasks, task % tasks * TASK
        for at in range(start, min(start + TASK, I), LANES):
            together = exponentials(x[o], y[o], at, largest(x[o], at))
            multiply(y[o], at, ONE / together)  # one division a pixel is enough


@parallel_kernel
def log_softmax(x, y):
    """``x - log(sum of exp(x))`` along axis 1 of (O, A, I)."""
    O, A, I = x.shape
    tasks = (I + TASK - 1) // TASK
    for task in prange(O * tasks):
        o, start = task // tasks, task % tasks * TASK
        for at in range(start, min(start + TASK, I), LANES):
            peak = largest(x[o], at)
            together = exp(load_first(I - at, x, o, 0, at) - peak)
            for a in range(1, A):
                together += exp(load_first(I - at, x, o, a, at) - peak)
            log_together = log(together)
            for a in range(A):
                store_first(I - at, (load_first(I - at, x, o, a, at) - peak) - log_together, y, o, a, at)


@parallel_kernel
def log_softmax_backward(dy, y, dx):
    """``dy - exp(y) * sum of dy`` along axis 1 of (O, A, I)."""
    O, A, I = y.shape
    tasks = (I + TASK - 1) // TASK
    for task in prange(O * tasks):
        o, start = task // tasks, task % tasks * TASK
        for at in range(start, min(start + TASK, I), LANES):
            sum_of_dy = load_first(I - at, dy, o, 0, at)
            for a in range(1, A):
                sum_of_dy += load_first(I - at, dy, o, a, at)
            for a in range(A):
                gradient = load_first(I - at, dy, o, a, at) - exp(load_first(I - at, y, o, a, at)) * sum_of_dy
                store_first(I - at, gradient, dx, o, a, at)


# ---------------------------------------------------------------------------------------------------------
# Cross-entropy


@parallel_kernel
def cross_entropy(logits, target, weights, ignored, probs, losses):
    """Probabilities (N, C, P), and each pixel's loss (N, P): minus the logarithm of its label's probability.

    The label's score is another class's for each pixel, so that it is fetched pixel by pixel.
    """
    N, C, P = logits.shape
    tasks = (P + TASK - 1) // TASK
    for task in prange(N * tasks):
        n, start = task // tasks, task % tasks * TASK
        peaks, logs = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
        for at in range(start, min(start + TASK, P), LANES):
            peak = largest(logits[n], at)
            together = exponentials(logits[n], probs[n], at, peak)
            multiply(probs[n], at, ONE / together)
            store(peak, peaks, 0)
            store(log(together), logs, 0)
            for i in range(min(LANES, P - at)):
                label = target[n, at + i]
                if label != ignored:
                    # -log p, but from the logits: p itself may have been rounded to 0
                    losses[n, at + i] = weights[n, at + i] * (logs[i] - (logits[n, label, at + i] - peaks[i]))


@parallel_kernel
def cross_entropy_backward(dloss, probs, target, weights, ignored, denominator, dlogits):
    """``probs - one-hot of the label``, times what the pixel's loss counts; 0 where the pixel is ignored.

    First all classes as if the pixel had no label; then 1 is subtracted at the label, pixel by pixel.
    ``dloss`` has one number for each pixel, or one for all.
    """
    N, C, P = probs.shape
    tasks = (P + TASK - 1) // TASK
    for task in prange(N * tasks):
        n, start = task // tasks, task % tasks * TASK
        scales, counts = np.zeros(LANES, np.float32), np.zeros(LANES, np.float32)
        for at in range(start, min(start + TASK, P), LANES):
            pixels = min(LANES, P - at)
            for i in range(pixels):
                dloss_here = dloss[0] if dloss.size == 1 else dloss[n * P + at + i]
                scales[i] = weights[n, at + i] / denominator * dloss_here
                counts[i] = target[n, at + i] != ignored
            scale, counted = load(scales, 0), load(counts, 0) > np.float32(0)
            for c in range(C):
                gradient = where(counted, load_first(P - at, probs, n, c, at) * scale, np.float32(0))
                store_first(P - at, gradient, dlogits, n, c, at)  # 0 even where a probability is NaN
            for i in range(pixels):
                label = target[n, at + i]
                if label != ignored:
                    dlogits[n, label, at + i] = (probs[n, label, at + i] - ONE) * scales[i]
