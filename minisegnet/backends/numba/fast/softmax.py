"""Softmax and its relatives on float32 maps, WIDE pixels at a time.

Arrays are seen as (O, A, I): A is the axis of the classes, and what lies behind it, I, are the pixels. The numbers of
one class are side by side along the pixels. So a vector holds pixels, and while the classes stream past, the largest
score of each pixel and its sum of exponentials stay in registers.

Forward, three passes go over the classes: the largest score, the exponentials, the division. In the map, the classes of
a pixel lie a whole plane apart, and where a plane is a power of two long, all of them fall into the same few places of
the cache and drive each other out. So the first pass copies WIDE pixels of all classes side by side into **lines**, a
small array that stays in the cache. Two more rows of it hold the largest scores and the sums.

A row's last pixels may be fewer than WIDE. ``load_first`` and ``store_first`` leave out what lies beyond.
"""

import numpy as np
from numba import prange

from ..launch import helper, parallel_kernel
from .elementary import exp, log
from .vectors import LANES, load, load_first, maximum, registers, store, store_first, where

VECTORS = 4
WIDE = VECTORS * LANES
TASK = 16 * WIDE  # pixels
ONE = np.float32(1)


# ---------------------------------------------------------------------------------------------------------
# Parts. Lines are (A + 2, WIDE): a row for each class, then the largest scores, then the sums of exponentials.


@helper
def new_lines(classes):
    """Room for WIDE pixels."""
    return np.empty((classes + 2, WIDE), np.float32)


@helper
def take_scores(lines, x, o, at):
    """Copy the scores of WIDE pixels of x from ``at`` on, and find the largest of each."""
    A, I = x.shape[1:]
    peaks = registers(VECTORS)
    for v in range(VECTORS):
        peaks[v] = peaks[v] - np.inf
    for a in range(A):
        for v in range(VECTORS):
            score = load_first(I - at - v * LANES, x, o, a, at + v * LANES)
            peaks[v] = maximum(peaks[v], score)
            store(score, lines, a, v * LANES)
    for v in range(VECTORS):
        store(peaks[v], lines, A, v * LANES)


@helper
def exponentials(lines):
    """Make exp(score - largest) of each score, and add them up."""
    A = len(lines) - 2
    peaks, sums = registers(VECTORS), registers(VECTORS)
    for v in range(VECTORS):
        peaks[v] = load(lines, A, v * LANES)
    for a in range(A):
        for v in range(VECTORS):
            value = exp(load(lines, a, v * LANES) - peaks[v])
            sums[v] += value
            store(value, lines, a, v * LANES)
    for v in range(VECTORS):
        store(sums[v], lines, A + 1, v * LANES)


@helper
def put_shares(y, o, at, lines):
    """Write each exponential over the sum to y; one division a pixel is enough."""
    A, I = y.shape[1:]
    factors = registers(VECTORS)
    for v in range(VECTORS):
        factors[v] = ONE / load(lines, A + 1, v * LANES)
    for a in range(A):
        for v in range(VECTORS):
            share = load(lines, a, v * LANES) * factors[v]
            store_first(I - at - v * LANES, share, y, o, a, at + v * LANES)


# ---------------------------------------------------------------------------------------------------------
# Softmax


@parallel_kernel
def softmax(x, y):
    """``exp(x) / sum of exp(x)`` along axis 1 of (O, A, I)."""
    O, A, I = x.shape
    tasks = (I + TASK - 1) // TASK
    for task in prange(O * tasks):
        o, start = task // tasks, task % tasks * TASK
        lines = new_lines(A)
        for at in range(start, min(start + TASK, I), WIDE):
            take_scores(lines, x, o, at)
            exponentials(lines)
            put_shares(y, o, at, lines)


@helper
def put_logarithms(y, o, at, lines):
    """Write (score - largest) - log(sum of exp(score - largest)) to y."""
    A, I = y.shape[1:]
    peaks, sums = registers(VECTORS), registers(VECTORS)
    for v in range(VECTORS):
        peaks[v] = load(lines, A, v * LANES)
    for a in range(A):
        for v in range(VECTORS):
            sums[v] += exp(load(lines, a, v * LANES) - peaks[v])
    for v in range(VECTORS):
        sums[v] = log(sums[v])
    for a in range(A):
        for v in range(VECTORS):
            value = (load(lines, a, v * LANES) - peaks[v]) - sums[v]
            store_first(I - at - v * LANES, value, y, o, a, at + v * LANES)


@parallel_kernel
def log_softmax(x, y):
    """``x - log(sum of exp(x))`` along axis 1 of (O, A, I)."""
    O, A, I = x.shape
    tasks = (I + TASK - 1) // TASK
    for task in prange(O * tasks):
        o, start = task // tasks, task % tasks * TASK
        lines = new_lines(A)
        for at in range(start, min(start + TASK, I), WIDE):
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
    tasks = (P + TASK - 1) // TASK
    for task in prange(N * tasks):
        n, start = task // tasks, task % tasks * TASK
        lines, chosen, counted = new_lines(C), np.zeros(WIDE, np.float32), np.zeros(WIDE, np.float32)
        for at in range(start, min(start + TASK, P), WIDE):
            take_scores(lines, logits, n, at)
            take_labels(chosen, counted, lines, target[n, at : at + WIDE], ignored)
            exponentials(lines)
            put_shares(probs, n, at, lines)
            for v in range(0, WIDE, LANES):
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
def gradient_block(dlogits, probs, n, at, labels, counted, scales):
    """WIDE pixels from ``at`` on, class after class; 0 where a pixel is ignored, even if a probability is NaN."""
    C, P = probs.shape[1:]
    label, counts, scale = registers(VECTORS), registers(VECTORS), registers(VECTORS)
    for v in range(VECTORS):
        label[v] = load(labels, v * LANES)
        counts[v] = load(counted, v * LANES)
        scale[v] = load(scales, v * LANES)
    for c in range(C):
        for v in range(VECTORS):
            left = P - at - v * LANES
            p = load_first(left, probs, n, c, at + v * LANES)
            gradient = where(label[v] == np.float32(c), p - ONE, p) * scale[v]
            gradient = where(counts[v] > np.float32(0), gradient, np.float32(0))
            store_first(left, gradient, dlogits, n, c, at + v * LANES)


@parallel_kernel
def cross_entropy_backward(dloss, probs, target, weights, ignored, denominator, dlogits):
    """``probs - one-hot of the label``, times what the pixel's loss counts; 0 where the pixel is ignored."""
    N, _, P = probs.shape
    tasks = (P + TASK - 1) // TASK
    for task in prange(N * tasks):
        n, start = task // tasks, task % tasks * TASK
        labels, counted, scales = (
            np.zeros(WIDE, np.float32),
            np.zeros(WIDE, np.float32),
            np.zeros(WIDE, np.float32),
        )
        for at in range(start, min(start + TASK, P), WIDE):
            some = slice(at, at + WIDE)
            take_scales(
                labels,
                counted,
                scales,
                target[n, some],
                weights[n, some],
                ignored,
                denominator,
                dloss,
                n * P + at,
            )
            gradient_block(dlogits, probs, n, at, labels, counted, scales)
