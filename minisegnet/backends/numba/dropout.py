"""Dropout, compiled, with random numbers that are a function of their place: every thread draws what it needs.

Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011) scrambles a counter of four
32-bit words with a key of two words, in ten rounds. The element at position i takes word i % 4 of block
i // 4, so that every backend, thread and GPU block draws the same bits.
"""

import numpy as np
from numba import prange

from minisegnet.arrays import Array

from .launch import helper, parallel_kernel

# Words have 32 bits but live in 64, where their products fit. All of them are uint64: Numba would compute
# uint64 with a signed integer in float64.
MULTIPLY_0, MULTIPLY_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
KEY_STEP_0, KEY_STEP_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
MASK = np.uint64(0xFFFFFFFF)  # the lower 32 bits
HALF = np.uint64(32)  # the shift that brings the upper 32 bits down
BLOCKS = 1 << 12  # blocks of four elements in one task


@helper
def _philox(c0, c1, c2, c3, k0, k1):
    """Turn four counter words and two key words into four random words."""
    for _ in range(10):
        product_0, product_1 = MULTIPLY_0 * c0, MULTIPLY_1 * c2  # 64 bits each
        c0, c1, c2, c3 = (
            (product_1 >> HALF) ^ c1 ^ k0,
            product_1 & MASK,
            (product_0 >> HALF) ^ c3 ^ k1,
            product_0 & MASK,
        )
        k0, k1 = (k0 + KEY_STEP_0) & MASK, (k1 + KEY_STEP_1) & MASK
    return c0, c1, c2, c3


@parallel_kernel
def _dropout(x, scale, threshold, step, layer, k0, k1, y, mask):
    blocks = (x.size + 3) // 4
    for task in prange((blocks + BLOCKS - 1) // BLOCKS):
        for block in range(task * BLOCKS, min((task + 1) * BLOCKS, blocks)):
            counter = np.uint64(block)
            words = _philox(counter & MASK, counter >> HALF, step, layer, k0, k1)
            for i in range(4 * block, min(4 * block + 4, x.size)):
                if words[i - 4 * block] >= threshold:
                    mask[i] = True
                    y[i] = x[i] * scale


def _scale(p: float, dtype: np.dtype) -> np.floating:
    """What the kept elements are multiplied by, so that the expected value stays what it was."""
    return dtype.type(0.0 if p == 1 else 1.0 / (1.0 - p))


def dropout(x: Array, p: float, *, key: tuple[int, int, int]) -> tuple[Array, Array]:
    """Keep an element where its random word reaches ``p * 2**32``, and scale it by ``1 / (1 - p)``."""
    y, mask = np.zeros_like(x), np.zeros(x.shape, bool)
    seed, step, layer = key
    threshold = round(p * 2**32)
    words = (np.uint64(word) for word in (threshold, step, layer, seed & 0xFFFFFFFF, seed >> 32))
    _dropout(x.reshape(-1), _scale(p, x.dtype), *words, y.reshape(-1), mask.reshape(-1))
    return y, mask


def dropout_backward(dy: Array, mask: Array, p: float) -> Array:
    """What was kept passes its gradient, scaled as in the forward."""
    dx = np.empty_like(dy)
    _dropout_backward(dy.reshape(-1), mask.reshape(-1), _scale(p, dy.dtype), dx.reshape(-1))
    return dx


@parallel_kernel
def _dropout_backward(dy, mask, scale, dx):
    zero, chunk = dy.dtype.type(0), 4 * BLOCKS
    for task in prange((dy.size + chunk - 1) // chunk):
        # Cut out and counted from 0: an index that might be negative keeps the loop out of the vector registers.
        start, stop = task * chunk, (task + 1) * chunk
        dys, masks, dxs = dy[start:stop], mask[start:stop], dx[start:stop]
        for i in range(len(dys)):
            dxs[i] = dys[i] * scale if masks[i] else zero
