"""Sigmoid and the binary cross-entropy of float32 numbers, in vectors."""

import numpy as np
from numba import prange

from ..launch import helper, parallel_kernel
from .elementary import exp, log_one_plus
from .vectors import LANES, load_first, maximum, spread, store_first, where

TASK = 256 * LANES  # numbers
ZERO, ONE = np.float32(0), np.float32(1)


@helper
def exp_of_minus_abs(z):
    """exp(-abs(z)): from 0 to 1, never too large."""
    return exp(where(z > ZERO, z * -ONE, z))


@helper
def sigmoid_of(z):
    """1 / (1 + exp(-z)), written so that exp never sees a positive number."""
    e = exp_of_minus_abs(z)
    return where(z <= ZERO, e, ONE) / (e + ONE)


@parallel_kernel
def sigmoid(x, y):
    """``1 / (1 + exp(-x))`` of (size,)."""
    size = x.size
    for task in prange((size + TASK - 1) // TASK):
        for i in range(task * TASK, min((task + 1) * TASK, size), LANES):
            store_first(size - i, sigmoid_of(load_first(size - i, x, i)), y, i)


@parallel_kernel
def bce_with_logits(logits, target, weights, ignored, losses):
    """Loss of each number: max(z, 0) - t z + log(1 + exp(-abs(z))), times its weight; 0 where the target is ``ignored``.

    It is written so that exp never sees a positive number, nothing overflows and nothing cancels.
    """
    size = logits.size
    for task in prange((size + TASK - 1) // TASK):
        for i in range(task * TASK, min((task + 1) * TASK, size), LANES):
            rest = size - i
            z, t, weight = load_first(rest, logits, i), load_first(rest, target, i), weight_at(weights, i)
            above, below = maximum(z, ZERO), where(z > ZERO, ZERO, z)
            value = (ONE - t) * above - t * below + log_one_plus(exp_of_minus_abs(z))
            store_first(rest, where(t == ignored, ZERO, weight * value), losses, i)


@parallel_kernel
def bce_with_logits_backward(dloss, logits, target, weights, ignored, count, dlogits):
    """``(sigmoid(z) - t)``, times what the number's loss counts; ``dloss`` has one for each number, or one for all."""
    size = logits.size
    for task in prange((size + TASK - 1) // TASK):
        for i in range(task * TASK, min((task + 1) * TASK, size), LANES):
            rest = size - i
            t, weight, dy = load_first(rest, target, i), weight_at(weights, i), weight_at(dloss, i)
            gradient = (sigmoid_of(load_first(rest, logits, i)) - t) * (weight * (ONE / count)) * dy
            store_first(rest, where(t == ignored, ZERO, gradient), dlogits, i)


@helper
def weight_at(weights, i):
    """LANES of the weights from place i on; of a single weight, copies."""
    if weights.size == 1:
        return spread(weights, 0)
    return load_first(weights.size - i, weights, i)
