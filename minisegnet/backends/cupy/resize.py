"""Resizing in CUDA: the kernels are in resize.cu."""

import numpy as np

from minisegnet.arrays import Array
from minisegnet.sizes import Pair

from . import launch


def _places(like: Array, size: Pair, output_size: Pair, align_corners: bool) -> tuple[Array, Array]:
    """Between which input rows and columns each output row and column lies, and with which weights: two tables."""
    places = sum(output_size)
    near, weights = launch.empty(places, like, np.int32), launch.empty((places, 2), like)
    arguments = (near, weights, *size, *output_size, align_corners)
    launch.each("resize", "resize_bilinear_places", places, *arguments, like=like)
    return near, weights


def resize_bilinear(x: Array, size: Pair, *, align_corners: bool) -> Array:
    """Each output pixel is a weighted mean of the four input pixels around its place."""
    N, C, H, W = x.shape
    y = launch.empty((N, C, *size), x)  # (N, C, OH, OW)
    lines = N * C * size[0]
    arguments = (x, *_places(x, (H, W), size, align_corners), y, lines, H, W, *size)
    launch.blocks("resize", "resize_bilinear", *launch.rows(lines, size[1]), *arguments, like=x)
    return y


def resize_bilinear_backward(dy: Array, input_size: Pair, *, align_corners: bool) -> Array:
    """Each input pixel collects from the output pixels that read it, with the same weights."""
    N, C, OH, OW = dy.shape
    dx = launch.empty((N, C, *input_size), dy)  # (N, C, H, W)
    near, weights = _places(dy, input_size, (OH, OW), align_corners)
    H, W = input_size
    reach = launch.empty((H + W, 2), dy, np.int32)
    arguments = (reach, H, W, OH, OW, align_corners)
    launch.each("resize", "resize_bilinear_backward_reach", H + W, *arguments, like=dy)
    lines = N * C * H
    arguments = (dy, near, weights, reach, dx, lines, H, W, OH, OW)
    launch.blocks("resize", "resize_bilinear_backward", *launch.rows(lines, W), *arguments, like=dy)
    return dx


def resize_nearest(x: Array, size: Pair) -> Array:
    """Each output pixel copies one input pixel: ``floor(i * H / OH)``, in whole numbers."""
    N, C, H, W = x.shape
    y = launch.empty((N, C, *size), x)  # (N, C, OH, OW)
    lines = N * C * size[0]
    arguments = (x, y, lines, H, W, *size)
    launch.blocks("resize", "resize_nearest", *launch.rows(lines, size[1]), *arguments, like=x)
    return y


def resize_nearest_backward(dy: Array, input_size: Pair) -> Array:
    """Each input pixel collects the gradients of its copies."""
    N, C, OH, OW = dy.shape
    dx = launch.empty((N, C, *input_size), dy)  # (N, C, H, W)
    H, W = input_size
    lines = N * C * H
    arguments = (dy, dx, lines, H, W, OH, OW)
    launch.blocks("resize", "resize_nearest_backward", *launch.rows(lines, W), *arguments, like=dy)
    return dx
