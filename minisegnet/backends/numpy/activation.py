"""Activations: a ufunc or two each. `out` keeps a 0-d array an array (a bare ufunc would return a scalar)."""

import numpy as np

from minisegnet.arrays import Array


def _shift(x, axis):
    """Subtract the maximum, which changes no softmax, so that no exponential exceeds 1."""
    return x - np.max(x, axis=axis, keepdims=True)


def keep_where(mask: Array, values: Array) -> Array:
    """`np.where(mask, values, 0)`, but several times faster where the mask is irregular.

    `np.where` branches at every element. A product does not, but as a float product `inf * 0` is NaN. So the
    bits are multiplied, as integers: by 1 they stay what they are, and no bits set is 0.0.
    """
    kept = np.empty_like(values)
    bits = f"i{values.itemsize}"
    np.multiply(values.view(bits), mask, out=kept.view(bits))
    return kept


@np.errstate(over="ignore", invalid="ignore")
def softmax(x: Array, *, axis: int) -> Array:
    """``exp(x) / sum of exp(x)`` along the axis."""
    y = np.exp(_shift(x, axis))
    y /= y.sum(axis=axis, keepdims=True)
    return y


@np.errstate(over="ignore", invalid="ignore")
def softmax_backward(dy: Array, y: Array, *, axis: int) -> Array:
    """``y * (dy - sum of dy * y)``."""
    return y * (dy - (dy * y).sum(axis=axis, keepdims=True))


@np.errstate(divide="ignore", over="ignore", invalid="ignore")
def log_softmax(x: Array, *, axis: int) -> Array:
    """``x - log(sum of exp(x))`` along the axis."""
    y = _shift(x, axis)
    y -= np.log(np.exp(y).sum(axis=axis, keepdims=True))
    return y


@np.errstate(over="ignore", invalid="ignore")
def log_softmax_backward(dy: Array, y: Array, *, axis: int) -> Array:
    """``dy - exp(y) * sum of dy``."""
    return dy - np.exp(y) * dy.sum(axis=axis, keepdims=True)


@np.errstate(invalid="ignore")
def relu(x: Array) -> Array:
    """What is negative becomes 0."""
    return np.maximum(x, 0, out=np.empty_like(x))  # keeps a NaN, which `where(x > 0, x, 0)` would hide


@np.errstate(invalid="ignore")
def relu_backward(dy: Array, y: Array) -> Array:
    """The gradient passes where y is positive."""
    return keep_where(~(y <= 0), dy)


@np.errstate(over="ignore", invalid="ignore")
def leaky_relu(x: Array, slope: float) -> Array:
    """What is negative is multiplied by the slope."""
    return np.where(x > 0, x, float(slope) * x)


@np.errstate(over="ignore", invalid="ignore")
def leaky_relu_backward(dy: Array, y: Array, slope: float) -> Array:
    """The gradient passes where y is positive, and is multiplied by the slope elsewhere."""
    return np.where(y > 0, dy, float(slope) * dy)


@np.errstate(over="ignore", invalid="ignore")
def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))``, with an exponential of negative numbers only."""
    small = np.exp(-np.abs(x))  # in 0..1: never an overflow, on neither side
    return np.divide(np.where(x >= 0, x.dtype.type(1), small), 1 + small, out=np.empty_like(x))


@np.errstate(over="ignore", invalid="ignore")
def sigmoid_backward(dy: Array, y: Array) -> Array:
    """``dy * y * (1 - y)``."""
    return np.multiply(dy * y, 1 - y, out=np.empty_like(dy))
