"""Batch normalisation in CUDA: see norm.cu."""

import math

import numpy as np

from minisegnet.arrays import Array

from . import launch
from .activation import relu, relu_backward

THREADS = 256
PART = 4096  # values that one block sums: with 8 bytes each they stay in the cache between its two passes
MOST_PARTS = 4096  # of a channel; beyond that parts grow longer
EACH = (
    8  # elements that one thread of an elementwise kernel takes, so that its divisions at the start are few
)


def batch_norm(
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    running_mean: Array | None,
    running_var: Array | None,
    *,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Array, Array, Array, Array | None, Array | None]:
    """``y = gamma * (x - mean) / sqrt(var + eps) + beta`` for each channel."""
    N, C, L = _sizes(x)
    mean, inv_std = launch.empty(C, x), launch.empty(C, x)  # (C,), (C,)
    new_mean, new_var = running_mean, running_var
    if training:
        parts = parts_of(N * L)
        means, squares = launch.empty((C, parts), x, np.float64), launch.empty((C, parts), x, np.float64)
        launch.blocks(
            "norm", "batch_norm_statistics", C * parts, THREADS, x, means, squares, N, C, L, parts, like=x
        )
        new_mean = None if running_mean is None else launch.empty(C, x)  # (C,)
        new_var = None if running_var is None else launch.empty(C, x)  # (C,)
        arrays = (x, means, squares, running_mean, running_var, mean, inv_std, new_mean, new_var)
        launch.blocks("norm", "batch_norm_parts", C, 32, *arrays, N * L, L, parts, momentum, eps, like=x)
    else:
        running = (running_mean, running_var, mean, inv_std)
        launch.each("norm", "batch_norm_running", C, *running, C, eps, launch.problem(x), like=x)
    y = launch.empty(x.shape, x)
    _each("batch_norm", x.size, x, gamma, beta, mean, inv_std, y, x.size, C, L, like=x)
    return y, mean, inv_std, new_mean, new_var


def batch_norm_backward(
    dy: Array, x: Array, gamma: Array | None, mean: Array, inv_std: Array, *, training: bool
) -> tuple[Array, Array | None, Array | None]:
    """In training the mean and the variance depend on every x too: two projections are subtracted from dy."""
    N, C, L = _sizes(x)
    dgamma, dbeta = launch.empty(C, x), launch.empty(C, x)  # (C,), (C,)
    mean_dgamma, mean_dbeta = launch.empty(C, x), launch.empty(C, x)  # (C,), (C,)
    if training or gamma is not None:
        parts = parts_of(N * L)
        part_dgamma, part_dbeta = (launch.empty((C, parts), x, np.float64) for _ in range(2))  # (C, parts)
        sums = (dy, x, mean, inv_std, part_dgamma, part_dbeta, N, C, L, parts)
        launch.blocks("norm", "batch_norm_backward_sums", C * parts, THREADS, *sums, like=x)
        sums = (part_dgamma, part_dbeta, dgamma, dbeta, mean_dgamma, mean_dbeta, N * L, parts)
        launch.blocks("norm", "batch_norm_backward_parts", C, 32, *sums, like=x)
    dx = launch.empty(x.shape, x)
    means = (mean_dgamma, mean_dbeta) if training else (None, None)
    _each("batch_norm_backward", x.size, dy, x, gamma, mean, inv_std, *means, dx, x.size, C, L, like=x)
    return (dx, None, None) if gamma is None else (dx, dgamma, dbeta)


def batch_norm_relu(
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    running_mean: Array | None,
    running_var: Array | None,
    *,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Array, Array, Array, Array | None, Array | None]:
    """``relu(batch_norm(x))``."""
    normalised, *statistics = batch_norm(
        x, gamma, beta, running_mean, running_var, training=training, momentum=momentum, eps=eps
    )
    mean, inv_std, new_mean, new_var = statistics
    return relu(normalised), mean, inv_std, new_mean, new_var


def batch_norm_relu_backward(
    dy: Array, y: Array, x: Array, gamma: Array | None, mean: Array, inv_std: Array, *, training: bool
) -> tuple[Array, Array | None, Array | None]:
    """First back through relu, then through the normalisation."""
    return batch_norm_backward(relu_backward(dy, y), x, gamma, mean, inv_std, training=training)


def _sizes(x: Array) -> tuple[int, int, int]:
    return x.shape[0], x.shape[1], math.prod(x.shape[2:])


def parts_of(values: int) -> int:
    """In how many parts a channel is summed. It depends on the shape alone: on each device the same result."""
    return min(max(math.ceil(values / PART), 1), MOST_PARTS)


def _each(kernel: str, total: int, *arguments: object, like: Array) -> None:
    grid = min(math.ceil(total / (THREADS * EACH)), launch.MOST_BLOCKS)
    launch.blocks("norm", kernel, grid, THREADS, *arguments, like=like)
