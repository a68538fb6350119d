"""Activations and softmax in plain loops: the definition that every other backend is compared with."""

import math

import numpy as np

from minisegnet.arrays import Array


def outer_axis_inner(x: Array, axis: int) -> Array:
    """Show an array of any rank as (O, A, I): the axes before, the axis itself, the axes after."""
    return x.reshape(math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :]))


def softmax(x: Array, *, axis: int) -> Array:
    """``exp(x) / sum of exp(x)`` along the axis."""
    result = np.empty_like(x)
    x, y = outer_axis_inner(x, axis), outer_axis_inner(result, axis)  # (O, A, I)
    O, A, I = x.shape
    for o in range(O):
        for i in range(I):
            # Subtracting the largest value changes nothing but keeps exp from overflowing.
            peak = -math.inf
            for a in range(A):
                peak = max(peak, float(x[o, a, i]))
            total = 0.0
            for a in range(A):
                total += math.exp(float(x[o, a, i]) - peak)
            for a in range(A):
                y[o, a, i] = math.exp(float(x[o, a, i]) - peak) / total
    return result


def softmax_backward(dy: Array, y: Array, *, axis: int) -> Array:
    """``y * (dy - sum of dy * y)``: raising one probability lowers all others."""
    result = np.empty_like(y)
    dy, y, dx = (outer_axis_inner(a, axis) for a in (dy, y, result))  # (O, A, I)
    O, A, I = y.shape
    for o in range(O):
        for i in range(I):
            dot = 0.0
            for a in range(A):
                dot += float(dy[o, a, i]) * float(y[o, a, i])
            for a in range(A):
                dx[o, a, i] = float(y[o, a, i]) * (float(dy[o, a, i]) - dot)
    return result


@np.errstate(over="ignore")  # a difference beyond float32's range is stored as -inf, rightly
def log_softmax(x: Array, *, axis: int) -> Array:
    """``x - log(sum of exp(x))`` along the axis."""
    result = np.empty_like(x)
    x, y = outer_axis_inner(x, axis), outer_axis_inner(result, axis)  # (O, A, I)
    O, A, I = x.shape
    for o in range(O):
        for i in range(I):
            peak = -math.inf
            for a in range(A):
                peak = max(peak, float(x[o, a, i]))
            total = 0.0
            for a in range(A):
                total += math.exp(float(x[o, a, i]) - peak)
            for a in range(A):
                y[o, a, i] = (float(x[o, a, i]) - peak) - math.log(total)
    return result


def log_softmax_backward(dy: Array, y: Array, *, axis: int) -> Array:
    """``dy - exp(y) * sum of dy``."""
    result = np.empty_like(y)
    dy, y, dx = (outer_axis_inner(a, axis) for a in (dy, y, result))  # (O, A, I)
    O, A, I = y.shape
    for o in range(O):
        for i in range(I):
            total = 0.0
            for a in range(A):
                total += float(dy[o, a, i])
            for a in range(A):
                dx[o, a, i] = float(dy[o, a, i]) - math.exp(float(y[o, a, i])) * total
    return result


def relu(x: Array) -> Array:
    """What is negative becomes 0."""
    result = np.empty_like(x)
    x, y = x.reshape(-1), result.reshape(-1)
    for i in range(x.size):
        y[i] = 0.0 if x[i] <= 0 else x[i]  # asked this way round, NaN stays NaN
    return result


def relu_backward(dy: Array, y: Array) -> Array:
    """The gradient passes where y is positive."""
    result = np.empty_like(y)
    dy, y, dx = dy.reshape(-1), y.reshape(-1), result.reshape(-1)
    for i in range(y.size):
        dx[i] = 0.0 if y[i] <= 0 else dy[i]
    return result


@np.errstate(over="ignore")  # a slope above 1 may leave float32's range
def leaky_relu(x: Array, slope: float) -> Array:
    """What is negative is multiplied by the slope."""
    result = np.empty_like(x)
    x, y = x.reshape(-1), result.reshape(-1)
    for i in range(x.size):
        y[i] = x[i] if x[i] > 0 else slope * float(x[i])
    return result


@np.errstate(over="ignore")
def leaky_relu_backward(dy: Array, y: Array, slope: float) -> Array:
    """The gradient passes where y is positive, and is multiplied by the slope elsewhere."""
    result = np.empty_like(y)
    dy, y, dx = dy.reshape(-1), y.reshape(-1), result.reshape(-1)
    for i in range(y.size):
        dx[i] = dy[i] if y[i] > 0 else slope * float(dy[i])
    return result


def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))``."""
    result = np.empty_like(x)
    x, y = x.reshape(-1), result.reshape(-1)
    for i in range(x.size):
        # 1 / (1 + exp(-x)), written so that exp never sees a positive number and cannot overflow.
        e = math.exp(-abs(float(x[i])))
        y[i] = (1.0 if x[i] >= 0 else e) / (1.0 + e)
    return result


def sigmoid_backward(dy: Array, y: Array) -> Array:
    """``dy * y * (1 - y)``."""
    result = np.empty_like(y)
    dy, y, dx = dy.reshape(-1), y.reshape(-1), result.reshape(-1)
    for i in range(y.size):
        dx[i] = float(dy[i]) * float(y[i]) * (1.0 - float(y[i]))
    return result
