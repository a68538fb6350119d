"""Dropout with counter-based random numbers.

Philox4x32-10: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011.

A counter-based generator has no state: the random words of block b are a function of b and the key alone. So all
blocks can be computed at once, here as arrays, and every backend gets the same bits.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minisegnet.arrays import Array

from .activation import keep_where

WORD = 0xFFFFFFFF  # 32 bits
CHUNK = 2**14  # blocks at a time: the arrays of a chunk fit in the cache


def philox4x32(counter: Sequence[Any], key: Sequence[int]) -> tuple[Array, Array, Array, Array]:
    """Ten rounds on four counter words and two key words; each word an integer or a uint64 array below 2**32.

    The product of two 32-bit words fits into 64 bits; its high and low halves are what a round mixes.
    """
    c0, c1, c2, c3 = (np.asarray(word, np.uint64) for word in counter)
    k0, k1 = key
    half, low = np.uint64(32), np.uint64(WORD)
    for _ in range(10):
        product0, product1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (
            (product1 >> half) ^ c1 ^ np.uint64(k0),
            product1 & low,
            (product0 >> half) ^ c3 ^ np.uint64(k1),
            product0 & low,
        )
        k0, k1 = (k0 + 0x9E3779B9) & WORD, (k1 + 0xBB67AE85) & WORD
    return c0, c1, c2, c3


def _random_words(first, stop, key):
    """The words of blocks first to stop, four each, in the order of the elements that they decide."""
    seed, step, layer = key
    block = np.arange(first, stop, dtype=np.uint64)
    counter = (block & np.uint64(WORD), block >> np.uint64(32), step, layer)
    return np.stack(philox4x32(counter, (seed & WORD, seed >> 32)), axis=-1).reshape(-1)  # (4 * blocks,)


@np.errstate(over="ignore", invalid="ignore")
def dropout(x: Array, p: float, *, key: tuple[int, int, int]) -> tuple[Array, Array]:
    """Keep an element where its random word reaches ``p * 2**32``, and scale it by ``1 / (1 - p)``."""
    threshold = np.uint64(round(p * 2**32))  # p = 1 gives 2**32, which no 32-bit word reaches
    mask = np.empty(x.size, bool)
    blocks = (x.size + 3) // 4
    for first in range(0, blocks, CHUNK):
        words = _random_words(first, min(first + CHUNK, blocks), key)
        part = mask[4 * first : 4 * (first + CHUNK)]
        part[...] = words[: part.size] >= threshold
    mask = mask.reshape(x.shape)
    return dropout_backward(x, mask, p), mask


@np.errstate(over="ignore", invalid="ignore")
def dropout_backward(dy: Array, mask: Array, p: float) -> Array:
    """What was kept passes its gradient, scaled as in the forward."""
    scale = 1.0 / (1.0 - p) if p < 1 else 0.0  # what is kept makes up for what is dropped
    return keep_where(mask, np.multiply(dy, scale, out=np.empty_like(dy)))
