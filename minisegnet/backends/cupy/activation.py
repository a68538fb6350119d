"""Activations and softmax in CUDA: the kernels are in activation.cu."""

import math

from minisegnet.arrays import Array

from . import launch

FEW_ROWS = 1 << 12  # fewer threads than this leave most of a GPU without work
LONG_ROW = 32  # elements: one for each thread of a warp
LARGEST_GRID = (1 << 31) - 1  # blocks


# ---------------------------------------------------------------------------------------------------------
# Softmax


def outer_axis_inner(x: Array, axis: int) -> tuple[int, int, int]:
    """Sizes of an array of any rank, seen as (O, A, I): the axes before, the axis itself, the axes after."""
    return math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])


def _block_a_row(O: int, A: int, I: int) -> bool:
    """Whether a block takes a row (and not a thread): where rows are long, and contiguous or few."""
    return A >= LONG_ROW and (I == 1 or O * I < FEW_ROWS) and O * I <= LARGEST_GRID


def _threads(A: int) -> int:
    """Threads for a row: whole warps, no more than there are elements, 256 at most."""
    return min(256, A // 32 * 32)


def softmax(x: Array, *, axis: int) -> Array:
    """``exp(x) / sum of exp(x)`` along the axis."""
    y = launch.empty(x.shape, x)
    O, A, I = outer_axis_inner(x, axis)
    if _block_a_row(O, A, I):
        launch.blocks("activation", "softmax_long", O * I, _threads(A), x, y, A, I, like=x)
    else:
        launch.each("activation", "softmax", O * I, x, y, O * I, A, I, like=x)
    return y


def softmax_backward(dy: Array, y: Array, *, axis: int) -> Array:
    """``y * (dy - sum of dy * y)``: raising one probability lowers all others."""
    dx = launch.empty(y.shape, y)
    O, A, I = outer_axis_inner(y, axis)
    if _block_a_row(O, A, I):
        launch.blocks("activation", "softmax_backward_long", O * I, _threads(A), dy, y, dx, A, I, like=y)
    else:
        launch.each("activation", "softmax_backward", O * I, dy, y, dx, O * I, A, I, like=y)
    return dx


def log_softmax(x: Array, *, axis: int) -> Array:
    """``x - log(sum of exp(x))`` along the axis."""
    y = launch.empty(x.shape, x)
    O, A, I = outer_axis_inner(x, axis)
    if _block_a_row(O, A, I):
        launch.blocks("activation", "log_softmax_long", O * I, _threads(A), x, y, A, I, like=x)
    else:
        launch.each("activation", "log_softmax", O * I, x, y, O * I, A, I, like=x)
    return y


def log_softmax_backward(dy: Array, y: Array, *, axis: int) -> Array:
    """``dy - exp(y) * sum of dy``."""
    dx = launch.empty(y.shape, y)
    O, A, I = outer_axis_inner(y, axis)
    if _block_a_row(O, A, I):
        launch.blocks("activation", "log_softmax_backward_long", O * I, _threads(A), dy, y, dx, A, I, like=y)
    else:
        launch.each("activation", "log_softmax_backward", O * I, dy, y, dx, O * I, A, I, like=y)
    return dx


# ---------------------------------------------------------------------------------------------------------
# Elementwise


def relu(x: Array) -> Array:
    """What is negative becomes 0."""
    y = launch.empty(x.shape, x)
    launch.each("activation", "relu", x.size, x, y, x.size, like=x)
    return y


def relu_backward(dy: Array, y: Array) -> Array:
    """The gradient passes where y is positive."""
    dx = launch.empty(y.shape, y)
    launch.each("activation", "relu_backward", y.size, dy, y, dx, y.size, like=y)
    return dx


def leaky_relu(x: Array, slope: float) -> Array:
    """What is negative is multiplied by the slope."""
    y = launch.empty(x.shape, x)
    launch.each("activation", "leaky_relu", x.size, x, slope, y, x.size, like=x)
    return y


def leaky_relu_backward(dy: Array, y: Array, slope: float) -> Array:
    """The gradient passes where y is positive, and is multiplied by the slope elsewhere."""
    dx = launch.empty(y.shape, y)
    launch.each("activation", "leaky_relu_backward", y.size, dy, y, slope, dx, y.size, like=y)
    return dx


def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))``."""
    y = launch.empty(x.shape, x)
    launch.each("activation", "sigmoid", x.size, x, y, x.size, like=x)
    return y


def sigmoid_backward(dy: Array, y: Array) -> Array:
    """``dy * y * (1 - y)``."""
    dx = launch.empty(y.shape, y)
    launch.each("activation", "sigmoid_backward", y.size, dy, y, dx, y.size, like=y)
    return dx
