"""Pooling and unpooling in CUDA: the kernels are in pool.cu."""

import numpy as np

from minisegnet.arrays import Array
from minisegnet.sizes import Pair, pool2d_size

from . import launch

REACH_BLOCK = (32, 8)  # threads; the kernels that find out which windows point where are written for it
PLANES_A_BLOCK = 64  # planes that one of their blocks goes through


# ---------------------------------------------------------------------------------------------------------
# Maximum, and the way back


def max_pool2d(
    x: Array, kernel_size: Pair, *, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> tuple[Array, Array]:
    """The first maximum of each window in row-major order; a NaN beats every number, the last NaN wins."""
    N, C, H, W = x.shape
    size = pool2d_size(
        (H, W), kernel_size, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )
    y, indices = launch.empty((N, C, *size), x), launch.empty((N, C, *size), x, np.int64)  # (N, C, OH, OW)
    window = (*kernel_size, *stride, *padding, *dilation)
    launch.each("pool", "max_pool2d", y.size, x, y, indices, y.size, H, W, *size, *window, like=x)
    return y, indices


def _reach_grid(planes: int, rows: int) -> tuple[int, int]:
    """Blocks for the kernels that find out which windows point where, and how many planes each goes through."""
    return rows * -(-planes // PLANES_A_BLOCK), PLANES_A_BLOCK


def max_pool2d_backward(dy: Array, indices: Array, input_size: Pair) -> Array:
    """Each pixel sums up the gradients of the windows that it won; which may be its windows, the indices tell."""
    N, C, OH, OW = dy.shape
    H, W = input_size
    dx = launch.empty((N, C, H, W), dy)  # (N, C, H, W)
    notes = launch.zeros(2 * (H + W) + 1, dy, np.int32)
    reach, crowded = notes[:-1], notes[-1:]
    blocks, planes = _reach_grid(N * C, OH)
    flag = launch.problem(dy)
    launch.blocks(
        "pool",
        "max_pool2d_backward_reach",
        blocks,
        REACH_BLOCK,
        indices,
        reach,
        N * C,
        planes,
        OH,
        OW,
        H,
        W,
        flag,
        like=dy,
    )
    sizes = (dx.size, H, W, OH, OW)
    launch.each("pool", "max_pool2d_backward_gather", dx.size, dy, indices, reach, dx, *sizes, crowded, like=dy)
    planes = (N * C, H * W, OH * OW)
    launch.each("pool", "max_pool2d_backward_in_order", N * C, dy, indices, dx, *planes, crowded, like=dy)
    return dx


def max_unpool2d(x: Array, indices: Array, output_size: Pair) -> Array:
    """Each pixel takes the last value that points at it, or 0; which may point at it, the indices tell."""
    N, C, H, W = x.shape
    OH, OW = output_size
    y = launch.empty((N, C, OH, OW), x)  # (N, C, OH, OW)
    notes = launch.zeros(2 * (OH + OW) + 1, x, np.int32)
    reach, crowded = notes[:-1], notes[-1:]
    return y
