"""Batch normalisation.

The statistics of a channel are sums over all axes but axis 1. They are taken in two passes (the mean first, then
the squares of what is left), because sum(x*x) - sum(x)**2 loses everything when the mean is large.
"""

import math

import numpy as np

from minisegnet.arrays import Array

from .activation import relu, relu_backward
from .threads import one_blas_thread


def _per_channel(values, rank):
    """Shape (C,) values so that they broadcast against an array with the channels on axis 1."""
    return values.reshape(1, -1, *(1,) * (rank - 2))  # (1, C, 1, ...)


def _planes(values):
    """Make one axis of all axes behind the channels (written out, because -1 fails for an empty batch)."""
    return values.reshape(*values.shape[:2], math.prod(values.shape[2:]))  # (N, C, M)


def _channel_sum(values):
    """Sum over all axes but axis 1: a plane at a time (NumPy adds in pairs there), the planes in float64."""
    return _planes(values).sum(axis=2).sum(axis=0, dtype=np.float64)  # (C,)


def _channel_dot(a, b):
    """Sum of a * b over all axes but axis 1, without an array for the products."""
    with one_blas_thread():  # a dot product of two long planes is a matter for BLAS, too
        dots = np.vecdot(_planes(a), _planes(b))  # (N, C)
    return dots.sum(axis=0, dtype=np.float64)  # (C,)


@np.errstate(over="ignore", invalid="ignore")
def batch_norm(
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    running_mean: Array | None,
    running_var: Array | None,
    *,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Array, Array, Array, Array | None, Array | None]:
    """``y = gamma * (x - mean) / sqrt(var + eps) + beta`` for each channel."""
    dtype, rank = x.dtype, x.ndim
    if training:
        M = x.size // x.shape[1]  # values in a channel
        near = (_channel_sum(x) / M).astype(dtype)  # close to the mean; rounding has taken its share
        y = x - _per_channel(near, rank)
        rest = _channel_sum(y) / M  # what rounding took: the mean is near + rest
        mean = (near + rest).astype(dtype)
        var = np.maximum(_channel_dot(y, y) / M - rest * rest, 0.0)  # biased
        if running_mean is not None:
            running_mean = ((1.0 - momentum) * running_mean + momentum * (near + rest)).astype(dtype)
        if running_var is not None:
            running_var = ((1.0 - momentum) * running_var + momentum * var * (M / (M - 1))).astype(dtype)
    else:
        mean, var, rest = running_mean.copy(), running_var.astype(np.float64), 0.0
        y = x - _per_channel(mean, rank)
    inv_std = 1.0 / np.sqrt(var + eps)
    scale = inv_std if gamma is None else gamma * inv_std
    shift = -rest * scale if beta is None else beta - rest * scale
    y *= _per_channel(scale.astype(dtype), rank)
    y += _per_channel(shift.astype(dtype), rank)
    return y, mean, inv_std.astype(dtype), running_mean, running_var


@np.errstate(over="ignore", invalid="ignore")
def batch_norm_backward(
    dy: Array, x: Array, gamma: Array | None, mean: Array, inv_std: Array, *, training: bool
) -> tuple[Array, Array | None, Array | None]:
    """In training the mean and the variance depend on every x too: two projections are subtracted from dy."""
    dtype, rank = x.dtype, x.ndim
    scale = _per_channel(inv_std if gamma is None else gamma * inv_std, rank)
    if gamma is None and not training:
        return dy * scale, None, None
    normalised = x - _per_channel(mean, rank)
    normalised *= _per_channel(inv_std, rank)
    dbeta, dgamma = _channel_sum(dy), _channel_dot(dy, normalised)
    if training:
        # The mean and the variance depend on every x: what dy has of them, its own mean and its part along
        # the normalised x, is taken out.
        M = x.size // x.shape[1]
        dx = dy - _per_channel((dbeta / M).astype(dtype), rank)
        normalised *= _per_channel((dgamma / M).astype(dtype), rank)
        dx -= normalised
        dx *= scale
    else:
        dx = dy * scale
    if gamma is None:
        return dx, None, None
    return dx, dgamma.astype(dtype), dbeta.astype(dtype)


def batch_norm_relu(
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    running_mean: Array | None,
    running_var: Array | None,
    *,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Array, Array, Array, Array | None, Array | None]:
    """``relu(batch_norm(x))``."""
    normalised, *statistics = batch_norm(
        x, gamma, beta, running_mean, running_var, training=training, momentum=momentum, eps=eps
    )
    mean, inv_std, new_mean, new_var = statistics
    return relu(normalised), mean, inv_std, new_mean, new_var


def batch_norm_relu_backward(
    dy: Array, y: Array, x: Array, gamma: Array | None, mean: Array, inv_std: Array, *, training: bool
) -> tuple[Array, Array | None, Array | None]:
    """First back through relu, then through the normalisation."""
    return batch_norm_backward(relu_backward(dy, y), x, gamma, mean, inv_std, training=training)
