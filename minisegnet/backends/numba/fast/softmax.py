"""Softmax and its relatives on float32 maps, some hundred pixels at a time.

Arrays are seen as (O, A, I): A is the axis of the classes, and what lies behind it, I, are the pixels. The numbers of
one class are side by side along the pixels, so that a vector holds the same class of LANES pixels.

Forward, three passes go over the classes: the largest score, the exponentials, the division. In the map, the classes of
a pixel lie a whole plane apart, and where a plane is a power of two long, all of them fall into the same few places of
the cache and drive each other out. So the first pass copies all classes of some pixels into **lines**, a small array
that stays in the cache. Two more rows of it hold the largest scores and the sums.

A row's last pixels may be fewer. ``load_first`` and ``store_first`` leave out what lies beyond.
"""

import numpy as np
from numba import prange

from ..launch import helper, parallel_kernel
from .elementary import exp, log
from .vectors import LANES, load, load_first, maximum, store, store_first, where

TASK = 2048  # pixels
WIDE = 512  # pixels of lines, at most
LINES = 1 << 15  # floats of lines, if that leaves room for a vector: so many stay in the cache
BLOCKS = 4  # lines of a task, one after the other
ONE = np.float32(1)


# ---------------------------------------------------------------------------------------------------------
# Parts. Lines are (A + 2, pixels): a row for each class, then the largest scores, then the sums of exponentials.


@helper
def width(classes, pixels):
    """How many pixels are taken at a time: whole vectors, no more than there are."""
    some = min(WIDE, LINES // classes, pixels + LANES - 1)
    return max(LANES, some // LANES * LANES)


@helper
def take_scores(lines, x, o, at):
    """Copy the scores of the pixels of x from ``at`` on, and find the largest of each."""
    A, I = x.shape[1:]
    lines[A] = -np.inf
    for a in range(A):
        for i in range(0, lines.shape[1], LANES):
            score = load_first(I - at - i, x, o, a, at + i)
            store(score, lines, a, i)
            store(maximum(load(lines, A, i), score), lines, A, i)


@helper
def exponentials(lines):
    """Make exp(score - largest) of each score, and add them up."""
    A = len(lines) - 2
    lines[A + 1] = 0
    for a in range(A):
        for i in range(0, lines.shape[1], LANES):
            value = exp(load(lines, a, i) - load(lines, A, i))
            store(value, lines, a, i)
            store(load(lines, A + 1, i) + value, lines, A + 1, i)


@helper
def put_shares(y, o, at, lines):
    """Write each exponential over the sum to y; one division a pixel is enough."""
    A, I = y.shape[1:]
    for i in range(0, lines.shape[1], LANES):
        store(ONE / load(lines, A + 1, i), lines, A, i)  # the largest scores aren't needed any more
    for a in range(A):
        for i in range(0, lines.shape[1], LANES):
            store_first(I - at - i, load(lines, a, i) * load(lines, A, i), y, o, a, at + i)


# ---------------------------------------------------------------------------------------------------------
# Softmax


@parallel_kernel
def softmax(x, y):
    """``exp(x) / sum of exp(x)`` along axis 1 of (O, A, I)."""
    O, A, I = x.shape
    wide = width(A, I)
    tasks = -(-I // (BLOCKS * wide))
    for task in prange(O * tasks):
        o, start = task // tasks, task % tasks * BLOCKS * wide
        lines = np.empty((A + 2, wide), np.float32)
        for at in range(start, min(start + BLOCKS * wide, I), wide):
            take_scores(lines, x, o, at)
            exponentials(lines)
            put_shares(y, o, at, lines)


@helper
def put_logarithms(y, o, at, lines):
    """Write (score - largest) - log(sum of exp(score - largest)) to y."""
    A, I = y.shape[1:]
    lines[A + 1] = 0
    for a in range(A):
        for i in range(0, lines.shape[1], LANES):
            store(load(lines, A + 1, i) + exp(load(lines, a, i) - load(lines, A, i)), lines, A + 1, i)
    for i in range(0, lines.shape[1], LANES):
        store(log(load(lines, A + 1, i)), lines, A + 1, i)
    for a in range(A):
        for i in range(0, lines.shape[1], LANES):
            value = (load(lines, a, i) - load(lines, A, i)) - load(lines, A + 1, i)
            store_first(I - at - i, value, y, o, a, at + i)


@parallel_kernel
def log_softmax(x, y):
    """``x - log(sum of exp(x))`` along axis 1 of (O, A, I)."""
    O, A, I = x.shape
    wide = width(A, I)
    tasks = -(-I // (BLOCKS * wide))
    for task in prange(O * tasks):
        o, start = task // tasks, task % tasks * BLOCKS * wide
        lines = np.empty((A + 2, wide), np.float32)
        for at in range(start, min(start + BLOCKS * wide, I), wide):
            take_scores(lines, x, o, at)
            put_logarithms(y, o, at, lines)


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


@helper
def take_labels(chosen, counted, lines, target, ignored):
    """By how much the score of each pixel's label is below the largest, and whether the pixel counts (1 or 0)."""
    A = np.uint64(len(lines) - 2)
    for i in range(target.size):
        label = target[i]
        counted[i] = label != ignored
        chosen[i] = lines[np.uint64(label), i] - lines[A, i] if label != ignored else np.float32(0)


@parallel_kernel
def cross_entropy(logits, target, weights, ignored, probs, losses):
    """Probabilities (N, C, P), and each pixel's loss (N, P): minus the logarithm of its label's probability.

    The logarithm comes from the scores: the probability itself may have been rounded to 0.
    """
    N, C, P = logits.shape
    wide = width(C, P)
    tasks = -(-P // (BLOCKS * wide))
    for task in prange(N * tasks):
        n, start = task // tasks, task % tasks * BLOCKS * wide
        lines = np.empty((C + 2, wide), np.float32)
        chosen, counted = np.zeros(wide, np.float32), np.zeros(wide, np.float32)
        for at in range(start, min(start + BLOCKS * wide, P), wide):
            take_scores(lines, logits, n, at)
            take_labels(chosen, counted, lines, target[n, at : at + wide], ignored)
            exponentials(lines)
            put_shares(probs, n, at, lines)
            for v in range(0, wide, LANES):
                left = P - at - v
                value = load_first(left, weights, n, at + v) * (log(load(lines, C + 1, v)) - load(chosen, v))
                loss = where(load(counted, v) > np.float32(0), value, np.float32(0))
                store_first(left, loss, losses, n, at + v)


@helper
def take_scales(labels, counted, scales, target, weights, ignored, denominator, dloss, first):
    """Of each pixel the label as a float32, whether it counts (1 or 0), and what the loss's gradient counts there.

    ``dloss`` has one number for each pixel, of which pixel 0 has number ``first``, or one for all.
    """
    for i in range(target.size):
        labels[i] = target[i]
        counted[i] = target[i] != ignored
        scales[i] = weights[i] / denominator * (dloss[0] if dloss.size == 1 else dloss[first + i])


@helper
def put_gradients(dlogits, probs, n, at, labels, counted, scales):
    """Pixels from ``at`` on, class after class; 0 where a pixel is ignored, even if a probability is NaN."""
    C, P = probs.shape[1:]
    for c in range(C):
        for i in range(0, labels.size, LANES):
            p = load_first(P - at - i, probs, n, c, at + i)
            gradient = where(load(labels, i) == np.float32(c), p - ONE, p) * load(scales, i)
            gradient = where(load(counted, i) > np.float32(0), gradient, np.float32(0))
            store_first(P - at - i, gradient, dlogits, n, c, at + i)


@parallel_kernel
def cross_entropy_backward(dloss, probs, target, weights, ignored, denominator, dlogits):
    """``probs - one-hot of the label``, times what the pixel's loss counts; 0 where the pixel is ignored."""
    N, C, P = probs.shape
    wide = width(C, P)
    tasks = -(-P // (BLOCKS * wide))
    for task in prange(N * tasks):
        n, start = task // tasks, task % tasks * BLOCKS * wide
        labels, counted, scales = np.zeros((3, wide), np.float32)
        for at in range(start, min(start + BLOCKS * wide, P), wide):
            labels_here, weights_here = target[n, at : at + wide], weights[n, at : at + wide]
            first = n * P + at
            take_scales(
                labels, counted, scales, labels_here, weights_here, ignored, denominator, dloss, first
            )
            put_gradients(dlogits, probs, n, at, labels, counted, scales)
