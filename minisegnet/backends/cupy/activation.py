"""Activations in CUDA: see activation.cu."""

from minisegnet.arrays import Array

from . import launch


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
