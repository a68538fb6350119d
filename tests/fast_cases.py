"""Shapes around the edges of the fast kernels' blocks, and what they must give."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from minisegnet import ops
from minisegnet.backends.numba.fast import direct
from minisegnet.backends.numba.fast.vectors import LANES
from minisegnet.sizes import conv2d_size

BLOCK, WIDE = direct.OUT, direct.COLUMNS


class Case(NamedTuple):
    """A convolution; sizes of the picture, of the filter, and the options."""

    N: int
    C: int  # of each group
    K: int
    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


def _around(*edges: int) -> st.SearchStrategy[int]:
    """A size at, just below or just above an edge, or any small one."""
    near = sorted({max(1, edge + d) for edge in edges for d in (-1, 0, 1)})
    return st.one_of(st.sampled_from(near), st.integers(1, 9))


@st.composite
def convolutions(draw: st.DrawFn) -> Case:
    """Any convolution whose window fits."""
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    dilation = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    least = [d * (k - 1) + 1 - 2 * p for k, d, p in zip(kernel, dilation, padding, strict=True)]
    size = (max(draw(st.integers(1, 12)), least[0]), max(draw(_around(WIDE // 2, WIDE)), least[1]))
    return Case(
        draw(st.integers(0, 3)), draw(st.integers(1, 5)), draw(_around(BLOCK, 2 * BLOCK)), size, kernel,
        draw(st.tuples(st.integers(1, 4), st.integers(1, 4))), padding, dilation, draw(st.integers(1, 2)),
    )  # fmt: skip


@st.composite
def depthwises(draw: st.DrawFn) -> Case:
    """One filter for each channel, any that fits, strides of 1 and 2 across."""
    case = draw(convolutions())
    stride = draw(st.sampled_from([(1, 1), (1, 1), (case.stride[0], 1), (case.stride[0], 2)]))
    return case._replace(C=1, K=1, groups=case.C, stride=stride)


@st.composite
def wides(draw: st.DrawFn) -> Case:
    """One wide filter for each channel, with a stride across."""
    case = draw(convolutions())
    kernel, stride = (
        (case.kernel[0], draw(st.sampled_from([LANES, 2 * LANES]))),
        (case.stride[0], draw(st.integers(2, LANES))),
    )
    size, padding = (
        (case.size[0], kernel[1] + draw(st.integers(0, 2 * LANES))),
        (case.padding[0], draw(st.integers(0, 9))),
    )
    return case._replace(
        C=1,
        K=1,
        groups=case.C,
        kernel=kernel,
        stride=stride,
        size=size,
        padding=padding,
        dilation=(case.dilation[0], 1),
    )


@st.composite
def winograds(draw: st.DrawFn) -> Case:
    """3 x 3 taps, stride 1; maps around the edges of tiles (4) and of vectors of tiles (4 * LANES)."""
    padding = draw(st.tuples(st.integers(0, 4), st.integers(0, 4)))
    least = [max(1, 3 - 2 * p) for p in padding]
    size = (max(draw(st.integers(1, 13)), least[0]), max(draw(_around(4, 8, 2 * WIDE)), least[1]))
    C, K = draw(_around(BLOCK)), draw(_around(BLOCK, 2 * BLOCK))
    return Case(draw(st.integers(0, 3)), C, K, size, (3, 3), (1, 1), padding, (1, 1), 1)


@st.composite
def pointwises(draw: st.DrawFn) -> Case:
    """1 x 1 taps, around the edges of blocks of filters, of pixels and of panels."""
    size = (draw(st.integers(1, 4)), draw(_around(WIDE // 2, WIDE, 4 * WIDE)))
    C, K = draw(_around(BLOCK, 12)), draw(_around(BLOCK, 2 * WIDE))
    return Case(draw(st.integers(0, 3)), C, K, size, (1, 1), (1, 1), (0, 0), (1, 1), 1)


@st.composite
def patches(draw: st.DrawFn) -> Case:
    """The convolution whose gradient is a transposed one with stride = kernel size (1 to 3 rows, 2 columns)."""
    height, small = (
        draw(st.integers(1, 3)),
        (draw(st.integers(1, 5)), draw(_around(WIDE // 2, WIDE, 2 * WIDE))),
    )
    C, K = draw(_around(BLOCK // 2)), draw(_around(BLOCK, WIDE))
    size, kernel = (small[0] * height, small[1] * 2), (height, 2)
    return Case(draw(st.integers(0, 3)), C, K, size, kernel, kernel, (0, 0), (1, 1), 1)


class Arrays(NamedTuple):
    """Random arrays of a case, and what NumPy's kernels say of them in float64."""

    x: np.ndarray
    w: np.ndarray
    b: np.ndarray
    dy: np.ndarray
    y: np.ndarray
    dx: np.ndarray
    dw: np.ndarray


def arrays(case: Case, seed: int = 0) -> Arrays:
    """Fill a case with numbers, rounded to float32."""
    rng = np.random.default_rng(seed)
    size = conv2d_size(
        case.size, case.kernel, stride=case.stride, padding=case.padding, dilation=case.dilation
    )
    K = case.K * case.groups
    shapes = (
        (case.N, case.C * case.groups, *case.size),
        (K, case.C, *case.kernel),
        (K,),
        (case.N, K, *size),
    )
    x, w, b, dy = (rng.standard_normal(shape).astype(np.float32).astype(np.float64) for shape in shapes)
    options = {
        "stride": case.stride,
        "padding": case.padding,
        "dilation": case.dilation,
        "groups": case.groups,
    }
    with ops.use_backend("numpy"):
        y = ops.conv2d(x, w, b, **options)
        dx, dw, _ = ops.conv2d_backward(dy, x, w, **options)
    return Arrays(*(a.astype(np.float32) for a in (x, w, b, dy)), y, dx, dw)
