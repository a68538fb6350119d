"""Pooling of regions of interest (RoI) in CUDA: the kernels are in roi.cu."""

import numpy as np

from minisegnet.arrays import Array
from minisegnet.sizes import Pair

from . import launch


def roi_pool(x: Array, rois: Array, output_size: Pair, *, spatial_scale: float) -> tuple[Array, Array]:
    """The maximum of each bin of each region, and where it was."""
    R, (N, C, H, W) = len(rois), x.shape
    y = launch.empty((R, C, *output_size), x)  # (R, C, OH, OW)
    argmax = launch.empty(y.shape, x, np.int64)  # (R, C, OH, OW)
    sizes = (N, C, H, W, *output_size)
    arguments = (x, rois, y, argmax, y.size, *sizes, spatial_scale, launch.problem(x))
    launch.each("roi", "roi_pool", y.size, *arguments, like=x)
    return y, argmax


def roi_pool_backward(dy: Array, argmax: Array, rois: Array, input_shape: tuple[int, int, int, int]) -> Array:
    """Each pixel sums up the gradients of the bins that it won; where regions overlap, of all of them."""
    R, C, OH, OW = dy.shape
    N, C, H, W = input_shape
    dx = launch.empty(input_shape, dy)  # (N, C, H, W)
    reach = launch.zeros((R, OH + OW, 2), dy, np.int32)
    arguments = (argmax, reach, dy.size, C, H, W, OH, OW, launch.problem(dy))
    launch.each("roi", "roi_pool_backward_reach", dy.size, *arguments, like=dy)
    arguments = (dy, argmax, rois, reach, dx, dx.size, R, N, C, H, W, OH, OW, launch.problem(dy))
    launch.each("roi", "roi_pool_backward", dx.size, *arguments, like=dy)
    return dx


def roi_align(
    x: Array, rois: Array, output_size: Pair, *, spatial_scale: float, sampling_ratio: int, aligned: bool
) -> Array:
    """The mean of each bin's samples, each blended from the four pixels around it."""
    R, (N, C, H, W) = len(rois), x.shape
    y = launch.empty((R, C, *output_size), x)  # (R, C, OH, OW)
    options = (spatial_scale, sampling_ratio, aligned)
    arguments = (x, rois, y, y.size, N, C, H, W, *output_size, *options, launch.problem(x))
    launch.each("roi", "roi_align", y.size, *arguments, like=x)
    return y


def roi_align_backward(
    dy: Array,
    rois: Array,
    input_shape: tuple[int, int, int, int],
    *,
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Array:
    """Each pixel collects from the bins whose samples read it, with the same weights."""
    R, _, OH, OW = dy.shape
    dx = launch.empty(input_shape, dy)  # (N, C, H, W)
    options = (spatial_scale, sampling_ratio, aligned)
    arguments = (dy, rois, dx, dx.size, R, *input_shape, OH, OW, *options, launch.problem(dy))
    launch.each("roi", "roi_align_backward", dx.size, *arguments, like=dy)
    return dx
