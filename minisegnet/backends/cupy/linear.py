"""The dense layer in CUDA: see linear.cu."""

import math

from minisegnet.arrays import Array

from . import launch

TILE = 64  # rows and columns of a product that one block computes
THREADS = 256


def linear(x: Array, w: Array, b: Array | None) -> Array:
    """``y[m, o] = b[o] + sum over i of w[o, i] * x[m, i]``."""
    return product(x, w.T, b)  # (M, out)


def linear_backward(dy: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
    """Every product of the forward, ``y += w * x``, hands ``w * dy`` to its input and ``x * dy`` to its weight."""
    M, OUTPUTS = dy.shape
    db = launch.empty(OUTPUTS, w)  # (out,)
    launch.blocks(
        "linear", "linear_bias_gradient", math.ceil(OUTPUTS / 32), (32, 8), dy, db, M, OUTPUTS, like=w
    )
    return product(dy, w), product(dy.T, x), db  # (M, in), (out, in), (out,)


def product(a: Array, b: Array, bias: Array | None = None) -> Array:
    """``bias + a @ b`` by our own kernel; a and b are arrays without gaps, or turned around.

    For the vendor's library (cuBLAS) instead, this line would do: ``return a @ b if bias is None else a @ b + bias``
    """
    (M, K), N = a.shape, b.shape[1]
    c = launch.empty((M, N), a)  # (M, N)
    (a_start, a_step, a_step_k), (b_start, b_step_k, b_step) = _steps(a), _steps(b)
    sizes = (M, N, K, a_step, a_step_k, b_step, b_step_k)
    grid = math.ceil(M / TILE) * math.ceil(N / TILE)
    launch.blocks("linear", "linear", grid, THREADS, a_start, b_start, bias, c, *sizes, like=a)
    return c


def _steps(a: Array) -> tuple[Array, int, int]:
    """The matrix as it lies in memory, and how far apart its neighbours are along the first and the second axis."""
    rows, columns = a.shape
    return (a, columns, 1) if a.flags.c_contiguous else (a.T, 1, rows)
