"""Activations and softmax, compiled: the loops of the reference in the order that memory likes, on all cores."""

import math

import numpy as np
from numba import prange

from minisegnet.arrays import Array
from minisegnet.buffers import fresh_like

from .fast import sigmoid as fast_sigmoid
from .fast import softmax as fast_softmax
from .fast.vectors import LANES
from .launch import parallel_kernel, takes_vectors

CHUNK = 1 << 14  # elements in one task: enough to be worth starting, few enough that every core gets some
PIXELS = 1 << 10  # pixels in one softmax task: their classes stay in the cache between the passes

# Constants are made by x.dtype.type(...): a plain 0.0 is a float64 and would turn float32 loops into float64 ones.


def outer_axis_inner(x: Array, axis: int) -> Array:
    """Show an array of any rank as (O, A, I): the axes before, the axis itself, the axes after."""
    return x.reshape(math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :]))


def in_vectors(x_oai: Array) -> bool:
    """Whether vectors of pixels pay: they hold float32 only, and the pixels should fill one."""
    return takes_vectors(x_oai.dtype) and x_oai.shape[2] >= LANES


# ---------------------------------------------------------------------------------------------------------
# Softmax. The reference finishes one pixel before the next and jumps I elements from class to class. Here the
# loops are interchanged: the innermost runs along a row of pixels of one class, and peak and total are rows, too.
# Rows are cut out first and counted from 0: an index that might be negative (Python's x[-1]) costs a test for
# every element and keeps the loop out of the vector registers.


def softmax(x: Array, *, axis: int) -> Array:
    """``exp(x) / sum of exp(x)`` along the axis."""
    y = fresh_like(x)
    x_oai, y_oai = outer_axis_inner(x, axis), outer_axis_inner(y, axis)  # (O, A, I)
    if in_vectors(x_oai):
        fast_softmax.softmax(x_oai, y_oai)
        return y
    O, _, I = x_oai.shape
    peak, total = np.full((O, I), -np.inf, x.dtype), np.zeros((O, I), x.dtype)  # (O, I)
    _softmax(x_oai, y_oai, peak, total)
    return y


@parallel_kernel
def _softmax(x, y, peak, total):
    O, A, I = x.shape
    tasks = (I + PIXELS - 1) // PIXELS  # for each o
    for task in prange(O * tasks):
        o, start = task // tasks, task % tasks * PIXELS
        stop = min(start + PIXELS, I)
        peaks, totals = peak[o, start:stop], total[o, start:stop]
        for a in range(A):
            xs = x[o, a, start:stop]
            for i in range(len(xs)):
                peaks[i] = xs[i] if xs[i] > peaks[i] else peaks[i]
        for a in range(A):
            xs, ys = x[o, a, start:stop], y[o, a, start:stop]
            for i in range(len(xs)):
                ys[i] = math.exp(xs[i] - peaks[i])
                totals[i] += ys[i]
        for a in range(A):
            ys = y[o, a, start:stop]
            for i in range(len(ys)):
                ys[i] /= totals[i]


def softmax_backward(dy: Array, y: Array, *, axis: int) -> Array:
    """``y * (dy - sum of dy * y)``: raising one probability lowers all others."""
    dx = fresh_like(y)
    dy_oai, y_oai, dx_oai = (outer_axis_inner(a, axis) for a in (dy, y, dx))  # (O, A, I)
    O, _, I = y_oai.shape
    _softmax_backward(dy_oai, y_oai, dx_oai, np.zeros((O, I), y.dtype))
    return dx


@parallel_kernel
def _softmax_backward(dy, y, dx, dot):
    O, A, I = y.shape
    tasks = (I + PIXELS - 1) // PIXELS
    for task in prange(O * tasks):
        o, start = task // tasks, task % tasks * PIXELS
        stop = min(start + PIXELS, I)
        dots = dot[o, start:stop]
        for a in range(A):
            dys, ys = dy[o, a, start:stop], y[o, a, start:stop]
            for i in range(len(ys)):
                dots[i] += dys[i] * ys[i]
        for a in range(A):
            dys, ys, dxs = dy[o, a, start:stop], y[o, a, start:stop], dx[o, a, start:stop]
            for i in range(len(ys)):
                dxs[i] = ys[i] * (dys[i] - dots[i])


def log_softmax(x: Array, *, axis: int) -> Array:
    """``x - log(sum of exp(x))`` along the axis."""
    y = fresh_like(x)
    x_oai, y_oai = outer_axis_inner(x, axis), outer_axis_inner(y, axis)  # (O, A, I)
    if in_vectors(x_oai):
        fast_softmax.log_softmax(x_oai, y_oai)
        return y
    O, _, I = x_oai.shape
    peak, total = np.full((O, I), -np.inf, x.dtype), np.zeros((O, I), x.dtype)  # (O, I)
    _log_softmax(x_oai, y_oai, peak, total)
    return y


@parallel_kernel
def _log_softmax(x, y, peak, total):
    O, A, I = x.shape
    tasks = (I + PIXELS - 1) // PIXELS
    for task in prange(O * tasks):
        o, start = task // tasks, task % tasks * PIXELS
        stop = min(start + PIXELS, I)
        peaks, totals = peak[o, start:stop], total[o, start:stop]
        for a in range(A):
            xs = x[o, a, start:stop]
            for i in range(len(xs)):
                peaks[i] = xs[i] if xs[i] > peaks[i] else peaks[i]
        for a in range(A):
            xs, ys = x[o, a, start:stop], y[o, a, start:stop]
            for i in range(len(xs)):
                ys[i] = xs[i] - peaks[i]
                totals[i] += math.exp(ys[i])
        for i in range(len(totals)):
            totals[i] = math.log(totals[i])
        for a in range(A):
            ys = y[o, a, start:stop]
            for i in range(len(ys)):
                ys[i] -= totals[i]


def log_softmax_backward(dy: Array, y: Array, *, axis: int) -> Array:
    """``dy - exp(y) * sum of dy``."""
    dx = fresh_like(y)
    dy_oai, y_oai, dx_oai = (outer_axis_inner(a, axis) for a in (dy, y, dx))  # (O, A, I)
    if in_vectors(y_oai):
        fast_softmax.log_softmax_backward(dy_oai, y_oai, dx_oai)
        return dx
    O, _, I = y_oai.shape
    _log_softmax_backward(dy_oai, y_oai, dx_oai, np.zeros((O, I), y.dtype))
    return dx


@parallel_kernel
def _log_softmax_backward(dy, y, dx, total):
    O, A, I = y.shape
    tasks = (I + PIXELS - 1) // PIXELS
    for task in prange(O * tasks):
        o, start = task // tasks, task % tasks * PIXELS
        stop = min(start + PIXELS, I)
        totals = total[o, start:stop]
        for a in range(A):
            dys = dy[o, a, start:stop]
            for i in range(len(dys)):
                totals[i] += dys[i]
        for a in range(A):
            dys, ys, dxs = dy[o, a, start:stop], y[o, a, start:stop], dx[o, a, start:stop]
            for i in range(len(ys)):
                dxs[i] = dys[i] - math.exp(ys[i]) * totals[i]


# ---------------------------------------------------------------------------------------------------------
# Elementwise. The loops have no branch: `a if test else b` of two values that are there anyway becomes a
# selection, which runs in vector registers.


def relu(x: Array) -> Array:
    """What is negative becomes 0."""
    y = fresh_like(x)
    _relu(x.reshape(-1), y.reshape(-1))
    return y


def relu_in_place(y: Array) -> None:
    """Cut off an array that no one else has seen yet."""
    _relu(y.reshape(-1), y.reshape(-1))


@parallel_kernel
def _relu(x, y):
    zero = x.dtype.type(0)
    for i in prange(x.size):
        y[i] = zero if x[i] <= zero else x[i]  # asked this way round, NaN stays NaN


def relu_backward(dy: Array, y: Array) -> Array:
    """The gradient passes where y is positive."""
    dx = fresh_like(y)
    _relu_backward(dy.reshape(-1), y.reshape(-1), dx.reshape(-1))
    return dx


@parallel_kernel
def _relu_backward(dy, y, dx):
    zero = y.dtype.type(0)
    for i in prange(y.size):
        dx[i] = zero if y[i] <= zero else dy[i]


@np.errstate(over="ignore")  # a slope beyond float32's range becomes infinity
def leaky_relu(x: Array, slope: float) -> Array:
    """What is negative is multiplied by the slope."""
    y = fresh_like(x)
    _leaky_relu(x.reshape(-1), x.dtype.type(slope), y.reshape(-1))
    return y


@parallel_kernel
def _leaky_relu(x, slope, y):
    zero = x.dtype.type(0)
    for i in prange(x.size):
        y[i] = x[i] if x[i] > zero else slope * x[i]


@np.errstate(over="ignore")
def leaky_relu_backward(dy: Array, y: Array, slope: float) -> Array:
    """The gradient passes where y is positive, and is multiplied by the slope elsewhere."""
    dx = fresh_like(y)
    _leaky_relu_backward(dy.reshape(-1), y.reshape(-1), y.dtype.type(slope), dx.reshape(-1))
    return dx


@parallel_kernel
def _leaky_relu_backward(dy, y, slope, dx):
    zero = y.dtype.type(0)
    for i in prange(y.size):
        dx[i] = dy[i] if y[i] > zero else slope * dy[i]


def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))``."""
    y = fresh_like(x)
    run = fast_sigmoid.sigmoid if takes_vectors(x.dtype) else _sigmoid
    run(x.reshape(-1), y.reshape(-1))
    return y


@parallel_kernel
def _sigmoid(x, y):
    zero, one = x.dtype.type(0), x.dtype.type(1)
    # In chunks, so that the work is cut at the same places for any number of threads: where the compiler has an
    # exp for vectors and another one for what is left over, the two may round differently.
    for chunk in prange((x.size + CHUNK - 1) // CHUNK):
        xs, ys = x[chunk * CHUNK : (chunk + 1) * CHUNK], y[chunk * CHUNK : (chunk + 1) * CHUNK]
        for i in range(len(xs)):
            # 1 / (1 + exp(-x)), written so that exp never sees a positive number and cannot overflow.
            e = math.exp(-abs(xs[i]))
            ys[i] = (one if xs[i] >= zero else e) / (one + e)


def sigmoid_backward(dy: Array, y: Array) -> Array:
    """``dy * y * (1 - y)``."""
    dx = fresh_like(y)
    _sigmoid_backward(dy.reshape(-1), y.reshape(-1), dx.reshape(-1))
    return dx


@parallel_kernel
def _sigmoid_backward(dy, y, dx):
    one = y.dtype.type(1)
    for i in prange(y.size):
        dx[i] = dy[i] * y[i] * (one - y[i])
