"""Batch normalisation.

The statistics of a channel are sums over all axes but axis 1. They are taken in two passes (the mean first, then
the squares of what is left), because sum(x*x) - sum(x)**2 loses everything when the mean is large.
"""

import math

import numpy as np


def _per_channel(values, rank):
    """Shape (C,) values so that they broadcast against an array with the channels on axis 1."""
    return values.reshape(1, -1, *(1,) * (rank - 2))  # (1, C, 1, ...)


def _channel_sum(values):
    """Sum over all axes but axis 1: each plane by itself (NumPy adds in pairs there), the planes in float64."""
    N, C = values.shape[:2]
    planes = values.reshape(N, C, math.prod(values.shape[2:]))  # (N, C, M)
    return planes.sum(axis=2).sum(axis=0, dtype=np.float64)  # (C,)


@np.errstate(over="ignore", invalid="ignore")
def batch_norm(x, gamma, beta, running_mean, running_var, *, training, momentum, eps):
    if training:
        M = x.size // x.shape[1]  # values in a channel
        mean = _channel_sum(x) / M
        y = x - _per_channel(mean.astype(x.dtype), x.ndim)
        # The mean was rounded; what is left of it after the subtraction tells by how much.
        rest = _channel_sum(y) / M
        var = np.maximum(_channel_sum(y * y) / M - rest * rest, 0.0)
        mean = (mean.astype(x.dtype) + rest).astype(x.dtype)
        inv_std = (1.0 / np.sqrt(var + eps)).astype(x.dtype)
        y -= _per_channel(rest.astype(x.dtype), x.ndim)
        if running_mean is not None:
            running_mean = ((1.0 - momentum) * running_mean + momentum * mean).astype(x.dtype)
        if running_var is not None:
            unbiased = var * (M / (M - 1))
            running_var = ((1.0 - momentum) * running_var + momentum * unbiased).astype(x.dtype)
    else:
        mean = running_mean.copy()
        inv_std = (1.0 / np.sqrt(running_var + np.float64(eps))).astype(x.dtype)
        y = x - _per_channel(mean, x.ndim)
    y *= _per_channel(inv_std if gamma is None else gamma * inv_std, x.ndim)
    if beta is not None:
        y += _per_channel(beta, x.ndim)
    return y, mean, inv_std, running_mean, running_var


@np.errstate(over="ignore", invalid="ignore")
def batch_norm_backward(dy, x, gamma, mean, inv_std, *, training):
    scale = _per_channel(inv_std if gamma is None else gamma * inv_std, x.ndim)
    if not training and gamma is None:
        return dy * scale, None, None
    normalised = x - _per_channel(mean, x.ndim)
    normalised *= _per_channel(inv_std, x.ndim)
    dbeta = _channel_sum(dy)
    dgamma = _channel_sum(dy * normalised)
    if training:
        # The mean and the variance depend on every x: take out of dy its mean, and its part along x.
        M = x.size // x.shape[1]
        normalised *= _per_channel((dgamma / M).astype(x.dtype), x.ndim)
        dx = dy - _per_channel((dbeta / M).astype(x.dtype), x.ndim)
        dx -= normalised
        dx *= scale
    else:
        dx = dy * scale
    if gamma is None:
        return dx, None, None
    return dx, dgamma.astype(x.dtype), dbeta.astype(x.dtype)
