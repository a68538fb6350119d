"""A row below 0 that isn't left out: Python takes it for one of the last rows, and nothing is raised."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from minisegnet.marking.suspects.convolution import taps
from minisegnet.marking.suspects.suspect import right, suspect

WRAPS = """an index below 0 isn't left out: for Python -1 is no error, it means the last row or column. Ask for
    {asked}"""
ASKED = "0 <= row < H and 0 <= column < W"
ASKED_OF_Y = "0 <= row < OH and 0 <= column < OW"


@suspect("conv2d.padding-wraps", "conv2d", "y", WRAPS.format(asked=ASKED))
def _(a: SimpleNamespace) -> Any:
    y = np.zeros(right("conv2d", a).shape)
    for n, k, c, oh, ow, i, j, row, column in taps(a, y.shape[2], y.shape[3], inside=False):
        if row < a.x.shape[2] and column < a.x.shape[3]:
            y[n, k, oh, ow] += a.w[k, c % a.w.shape[1], i, j] * a.x[n, c, row, column]
    return y if a.b is None else y + a.b[:, None, None]


@suspect("conv2d_backward.padding-wraps", "conv2d_backward", "dx", WRAPS.format(asked=ASKED))
def _(a: SimpleNamespace) -> Any:
    dx = np.zeros(a.x.shape)
    for n, k, c, oh, ow, i, j, row, column in taps(a, a.dy.shape[2], a.dy.shape[3], inside=False):
        if row < a.x.shape[2] and column < a.x.shape[3]:
            dx[n, c, row, column] += a.w[k, c % a.w.shape[1], i, j] * a.dy[n, k, oh, ow]
    return dx


@suspect("conv2d_backward.padding-wraps", "conv2d_backward", "dw", WRAPS.format(asked=ASKED))
def _(a: SimpleNamespace) -> Any:
    dw = np.zeros(a.w.shape)
    for n, k, c, oh, ow, i, j, row, column in taps(a, a.dy.shape[2], a.dy.shape[3], inside=False):
        if row < a.x.shape[2] and column < a.x.shape[3]:
            dw[k, c % a.w.shape[1], i, j] += a.x[n, c, row, column] * a.dy[n, k, oh, ow]
    return dw


@suspect("conv_transpose2d.padding-wraps", "conv_transpose2d", "y", WRAPS.format(asked=ASKED_OF_Y))
def _(a: SimpleNamespace) -> Any:
    y = np.zeros(right("conv_transpose2d", a).shape)
    (sh, sw), (ph, pw), (dh, dw) = a.stride, a.padding, a.dilation
    per_group, KG = a.x.shape[1] // a.groups, a.w.shape[1]
    for n, c, h, w, k, i, j in np.ndindex(*a.x.shape, *a.w.shape[1:]):
        row, column = h * sh - ph + i * dh, w * sw - pw + j * dw
        if row < y.shape[2] and column < y.shape[3]:
            y[n, c // per_group * KG + k, row, column] += a.w[c, k, i, j] * a.x[n, c, h, w]
    return y if a.b is None else y + a.b[:, None, None]
