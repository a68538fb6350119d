"""Dropout in CUDA, with the same random bits as on every other backend: the kernels are in dropout.cu."""

import numpy as np

from minisegnet.arrays import Array

from . import launch

WORD = 0xFFFFFFFF  # 32 bits


def _scale(p: float) -> float:
    """What the kept elements are multiplied by, so that the expected value stays what it was."""
    return 0.0 if p == 1 else 1.0 / (1.0 - p)


def dropout(x: Array, p: float, *, key: tuple[int, int, int]) -> tuple[Array, Array]:
    """Keep an element where its random word reaches ``p * 2**32``, and scale it by ``1 / (1 - p)``."""
    y, mask = launch.empty(x.shape, x), launch.empty(x.shape, x, np.bool_)
    seed, step, layer = key
    draw = (round(p * 2**32), _scale(p), step, layer, seed & WORD, seed >> 32)
    launch.each("dropout", "dropout", (x.size + 3) // 4, x, y, mask, x.size, *draw, like=x)
    return y, mask


def dropout_backward(dy: Array, mask: Array, p: float) -> Array:
    """What was kept passes its gradient, scaled as in the forward."""
    dx = launch.empty(dy.shape, dy)
    launch.each("dropout", "dropout_backward", dy.size, dy, mask, _scale(p), dx, dy.size, like=dy)
    return dx
