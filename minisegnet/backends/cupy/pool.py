"""Pooling and unpooling in CUDA: the kernels are in pool.cu."""

import numpy as np

from minisegnet.arrays import Array
from minisegnet.sizes import Pair, pool2d_size

from . import launch

REACH_BLOCK = (32, 8)  # threads; the kernels that find out which windows point where are written for it
PLANES_A_BLOCK = 64  # planes that one of their blocks goes through

LARGE_BIN = 64  # pixels of an adaptive pooling's bins, from which on a warp takes a bin, not a thread


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
    lines = N * C * size[0]
    arguments = (x, y, indices, lines, H, W, *size, *kernel_size, *stride, *padding, *dilation)
    launch.blocks("pool", "max_pool2d", *launch.rows(lines, size[1]), *arguments, like=x)
    return y, indices


def _new_notes(like: Array, size: Pair) -> tuple[Array, Array]:
    """Make what the first step of a gather by indices fills in (see pool.cu), and a flag of one int32: zeros."""
    notes = launch.zeros(2 * (size[0] + size[1]) + 1, like, np.int32)
    return notes[:-1], notes[-1:]


def _reach_blocks(planes: int, rows: int) -> int:
    """Blocks of the first step: one for each row of windows in so many planes."""
    return rows * -(-planes // PLANES_A_BLOCK)


def max_pool2d_backward(dy: Array, indices: Array, input_size: Pair) -> Array:
    """Each pixel sums up the gradients of the windows that it won; which may be its windows, the indices tell."""
    N, C, OH, OW = dy.shape
    H, W = input_size
    dx = launch.empty((N, C, H, W), dy)  # (N, C, H, W)
    reach, crowded = _new_notes(dy, input_size)
    grid, block = _reach_blocks(N * C, OH), REACH_BLOCK
    arguments = (indices, reach, N * C, PLANES_A_BLOCK, OH, OW, H, W, launch.problem(dy))
    launch.blocks("pool", "max_pool2d_backward_reach", grid, block, *arguments, like=dy)
    lines = N * C * H
    arguments = (dy, indices, reach, dx, lines, H, W, OH, OW, crowded)
    launch.blocks("pool", "max_pool2d_backward_gather", *launch.rows(lines, W), *arguments, like=dy)
    arguments = (dy, indices, dx, N * C, H * W, OH * OW, crowded)
    launch.each("pool", "max_pool2d_backward_in_order", N * C, *arguments, like=dy)
    return dx


def max_unpool2d(x: Array, indices: Array, output_size: Pair) -> Array:
    """Each pixel takes the last value that points at it, or 0; which may point at it, the indices tell."""
    N, C, H, W = x.shape
    OH, OW = output_size
    y = launch.empty((N, C, OH, OW), x)  # (N, C, OH, OW)
    reach, crowded = _new_notes(x, output_size)
    grid, block = _reach_blocks(N * C, H), REACH_BLOCK
    arguments = (indices, reach, N * C, PLANES_A_BLOCK, H, W, OH, OW, launch.problem(x))
    launch.blocks("pool", "max_unpool2d_reach", grid, block, *arguments, like=x)
    lines = N * C * OH
    arguments = (x, indices, reach, y, lines, OH, OW, H, W, crowded)
    launch.blocks("pool", "max_unpool2d_gather", *launch.rows(lines, OW), *arguments, like=x)
    arguments = (x, indices, y, N * C, OH * OW, H * W, crowded)
    launch.each("pool", "max_unpool2d_in_order", N * C, *arguments, like=x)
    return y


def max_unpool2d_backward(dy: Array, indices: Array) -> Array:
    """Each value reads the gradient at the place that it was sent to."""
    N, C, H, W = indices.shape
    OH, OW = dy.shape[2:]
    dx = launch.empty((N, C, H, W), dy)  # (N, C, H, W)
    arguments = (dy, indices, dx, dx.size, H * W, OH * OW, launch.problem(dy))
    launch.each("pool", "max_unpool2d_backward", dx.size, *arguments, like=dy)
    return dx


def adaptive_max_pool2d(x: Array, output_size: Pair) -> tuple[Array, Array]:
    """The maximum of each bin, by the same rule; bins cover the map and may share a row or a column."""
    N, C, H, W = x.shape
    y = launch.empty((N, C, *output_size), x)  # (N, C, OH, OW)
    indices = launch.empty(y.shape, x, np.int64)  # (N, C, OH, OW)
    if _bins_are_large((H, W), output_size):
        arguments = (x, y, indices, y.size, H, W, *output_size)
        launch.each("pool", "adaptive_max_pool2d_large", launch.WARP * y.size, *arguments, like=x)
    else:
        lines = N * C * output_size[0]
        arguments = (x, y, indices, lines, H, W, *output_size)
        launch.blocks("pool", "adaptive_max_pool2d", *launch.rows(lines, output_size[1]), *arguments, like=x)
    return y, indices


def _bins_are_large(size: Pair, output_size: Pair) -> bool:
    return size[0] * size[1] >= LARGE_BIN * output_size[0] * output_size[1]


# ---------------------------------------------------------------------------------------------------------
# Mean


def avg_pool2d(
    x: Array, kernel_size: Pair, *, stride: Pair, padding: Pair, ceil_mode: bool, count_include_pad: bool
) -> Array:
    """The mean of each window; ``count_include_pad`` divides by the padding's pixels too."""
    N, C, H, W = x.shape
    size = pool2d_size((H, W), kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    y = launch.empty((N, C, *size), x)  # (N, C, OH, OW)
    lines = N * C * size[0]
    arguments = (x, y, lines, H, W, *size, *kernel_size, *stride, *padding, count_include_pad)
    launch.blocks("pool", "avg_pool2d", *launch.rows(lines, size[1]), *arguments, like=x)
    return y


def avg_pool2d_backward(
    dy: Array,
    input_size: Pair,
    kernel_size: Pair,
    *,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
) -> Array:
    """Each pixel sums up its shares of the gradients of the windows that hold it."""
    N, C, OH, OW = dy.shape
    H, W = input_size
    dx = launch.empty((N, C, H, W), dy)  # (N, C, H, W)
    lines = N * C * H
    arguments = (dy, dx, lines, H, W, OH, OW, *kernel_size, *stride, *padding, count_include_pad)
    launch.blocks("pool", "avg_pool2d_backward", *launch.rows(lines, W), *arguments, like=dy)
    return dx


def global_avg_pool2d(x: Array) -> Array:
    """The mean of each whole map."""
    N, C, H, W = x.shape
    y = launch.empty((N, C, 1, 1), x)  # (N, C, 1, 1)
    threads = min(256, -(-H * W // 32) * 32)  # whole warps
    launch.blocks("pool", "global_avg_pool2d", N * C, threads, x, y, H * W, like=x)
    return y


def global_avg_pool2d_backward(dy: Array, input_size: Pair) -> Array:
    """Every pixel of a map gets the same share of its gradient."""
    N, C = dy.shape[:2]
    H, W = input_size
    dx = launch.empty((N, C, H, W), dy)  # (N, C, H, W)
    lines = N * C * H
    launch.blocks("pool", "global_avg_pool2d_backward", *launch.rows(lines, W), dy, dx, lines, H, W, like=dy)
    return dx


def adaptive_avg_pool2d(x: Array, output_size: Pair) -> Array:
    """The mean of each bin; bins cover the map and may share a row or a column."""
    N, C, H, W = x.shape
    y = launch.empty((N, C, *output_size), x)  # (N, C, OH, OW)
    if _bins_are_large((H, W), output_size):
        arguments = (x, y, y.size, H, W, *output_size)
        launch.each("pool", "adaptive_avg_pool2d_large", launch.WARP * y.size, *arguments, like=x)
    else:
        lines = N * C * output_size[0]
        arguments = (x, y, lines, H, W, *output_size)
        launch.blocks("pool", "adaptive_avg_pool2d", *launch.rows(lines, output_size[1]), *arguments, like=x)
    return y


def adaptive_avg_pool2d_backward(dy: Array, input_size: Pair) -> Array:
    """Each pixel sums up its shares of the gradients of the bins that hold it."""
    N, C, OH, OW = dy.shape
    H, W = input_size
    dx = launch.empty((N, C, H, W), dy)  # (N, C, H, W)
    lines = N * C * H
    arguments = (dy, dx, lines, H, W, OH, OW)
    launch.blocks("pool", "adaptive_avg_pool2d_backward", *launch.rows(lines, W), *arguments, like=dy)
    return dx
