"""Dropout in plain loops, with random numbers that are a function of their place: nothing to store, nothing to seed.

Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011) scrambles a counter of four
32-bit words with a key of two words, in ten rounds. The element at position i takes word i % 4 of block
i // 4, so that every backend, thread and GPU block draws the same bits.
"""

import numpy as np

from minisegnet.arrays import Array

MULTIPLY_0, MULTIPLY_1 = 0xD2511F53, 0xCD9E8D57
KEY_STEP_0, KEY_STEP_1 = 0x9E3779B9, 0xBB67AE85
MASK = 0xFFFFFFFF  # the lower 32 bits


def _philox(c0: int, c1: int, c2: int, c3: int, k0: int, k1: int) -> tuple[int, int, int, int]:
    """Turn four counter words and two key words into four random words."""
    for _ in range(10):
        product_0, product_1 = MULTIPLY_0 * c0, MULTIPLY_1 * c2  # 64 bits each
        c0, c1, c2, c3 = (
            (product_1 >> 32) ^ c1 ^ k0,
            product_1 & MASK,
            (product_0 >> 32) ^ c3 ^ k1,
            product_0 & MASK,
        )
        k0, k1 = (k0 + KEY_STEP_0) & MASK, (k1 + KEY_STEP_1) & MASK
    return c0, c1, c2, c3


def _scale(p: float, dtype: np.dtype) -> np.floating:
    """What the kept elements are multiplied by, so that the expected value stays what it was."""
    return dtype.type(0.0 if p == 1 else 1.0 / (1.0 - p))


@np.errstate(over="ignore")  # the scale is at least 1 and may leave float32's range
def dropout(x: Array, p: float, *, key: tuple[int, int, int]) -> tuple[Array, Array]:
    """Keep an element where its random word reaches ``p * 2**32``, and scale it by ``1 / (1 - p)``."""
    result, result_mask = np.zeros_like(x), np.zeros(x.shape, bool)
    x, y, mask = x.reshape(-1), result.reshape(-1), result_mask.reshape(-1)  # (size,)
    seed, step, layer = key
    threshold = round(p * 2**32)
    scale = float(_scale(p, x.dtype))
    for i in range(x.size):
        block = i // 4
        word = _philox(block & MASK, block >> 32, step, layer, seed & MASK, seed >> 32)[i % 4]
        if word >= threshold:
            mask[i] = True
            y[i] = float(x[i]) * scale
    return result, result_mask


@np.errstate(over="ignore")
def dropout_backward(dy: Array, mask: Array, p: float) -> Array:
    """What was kept passes its gradient, scaled as in the forward."""
    result = np.zeros_like(dy)
    dy, mask, dx = dy.reshape(-1), mask.reshape(-1), result.reshape(-1)  # (size,)
    scale = float(_scale(p, dy.dtype))
    for i in range(dy.size):
        if mask[i]:
            dx[i] = float(dy[i]) * scale
    return result
