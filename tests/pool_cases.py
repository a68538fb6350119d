"""Poolings and tables of axes around the edges of the fast kernels' blocks."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from minisegnet.backends.numba import axes, pool, resize
from minisegnet.backends.numba.fast.vectors import LANES
from minisegnet.sizes import pool2d_size


def around(*edges: int) -> st.SearchStrategy[int]:
    """A size at, just below or just above an edge, or any small one."""
    return st.one_of(st.sampled_from([e + d for e in edges for d in (-1, 0, 1)]), st.integers(1, 9))


class Pooling(NamedTuple):
    """A max pooling of some planes; every window meets the map."""

    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    output: tuple[int, int]
    seed: int


@st.composite
def poolings(draw: st.DrawFn) -> Pooling:
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    dilation = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    stride = draw(st.tuples(st.integers(1, 4), st.sampled_from([1, 2, 2, 3, 5])))
    padding = tuple(
        draw(st.integers(0, k // 2)) if d == 1 else 0 for k, d in zip(kernel, dilation, strict=True)
    )
    least = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = (draw(st.integers(1, 9)), draw(around(LANES, 2 * LANES, 4 * LANES)))
    size = (max(size[0], least[0]), max(size[1], least[1]))
    ceil_mode = draw(st.booleans()) and dilation == (1, 1)
    output = pool2d_size(size, kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)
    return Pooling(size, kernel, stride, padding, dilation, output, draw(st.integers(0, 9)))


def maps(case: Pooling) -> np.ndarray:
    """Planes with many ties, some NaN, and whole stretches of minus infinity."""
    rng = np.random.default_rng(case.seed)
    x = rng.integers(-2, 3, (2, *case.size)).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[1][rng.random(case.size) < 0.8] = -np.inf
    return x


@st.composite
def tables(draw: st.DrawFn) -> list[tuple[axes.Taps, int]]:
    """For rows and columns: what some map makes of an axis, forward or backward, and the size that it reads."""
    return [draw(_table(st.integers(1, 70))), draw(_table(around(LANES, 2 * LANES, 4 * LANES)))]


@st.composite
def _table(draw: st.DrawFn, sizes: st.SearchStrategy[int]) -> tuple[axes.Taps, int]:
    size = draw(sizes)
    outputs = draw(st.one_of(st.sampled_from([size, 2 * size, -(-size // 2)]), sizes))
    kind = draw(st.sampled_from(["linear", "corners", "nearest", "bins", "windows"]))
    if kind in ("linear", "corners"):
        taps = resize._linear(size, outputs, kind == "corners", np.dtype(np.float32))
    elif kind == "nearest":
        taps = resize._nearest(size, outputs)
    elif kind == "bins":
        taps = pool._bins(size, outputs)
    else:
        k, s = draw(st.integers(1, min(size, 5))), draw(st.integers(1, 4))
        p = draw(st.integers(0, k // 2))
        outputs = (size + 2 * p - k) // s + 1
        taps = pool._windows(size, k, s, p, outputs, draw(st.booleans()))
    return (axes.turned(taps, size), outputs) if draw(st.booleans()) else (taps, size)
