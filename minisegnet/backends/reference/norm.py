"""Batch normalisation from the definition: each channel is shifted and scaled by its own statistics.

All axes but the channel's (axis 1) count alike, so that x is looked at as (N, C, L). Sums are kept in double
precision and rounded once, at the end. The normalised value, ``(x - mean) * inv_std``, is computed from the
rounded mean and inv_std that are returned: the backward, which gets just these, then speaks of the same value.
"""

import math

import numpy as np

from minisegnet.arrays import Array

from .activation import relu, relu_backward

quiet = np.errstate(all="ignore")  # infinity and NaN are ordinary values here, not worth a warning


@quiet
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
    N, C, L = x.shape[0], x.shape[1], math.prod(x.shape[2:])
    values = x.reshape(N, C, L)  # (N, C, L)
    y = np.empty((N, C, L), x.dtype)
    mean, inv_std = np.empty(C, x.dtype), np.empty(C, x.dtype)
    new_mean = None if running_mean is None else running_mean.copy()
    new_var = None if running_var is None else running_var.copy()
    for c in range(C):
        if training:
            channel_mean, channel_var = _statistics(values, c)
            if new_mean is not None:
                new_mean[c] = (1 - momentum) * new_mean[c] + momentum * channel_mean
            if new_var is not None:  # of few values the variance comes out too small: divide by one less
                unbiased = channel_var * (N * L) / (N * L - 1)
                new_var[c] = (1 - momentum) * new_var[c] + momentum * unbiased
        else:
            channel_mean, channel_var = running_mean[c], np.float64(running_var[c])
        mean[c] = channel_mean
        inv_std[c] = 1 / np.sqrt(channel_var + eps)
        for n in range(N):
            for i in range(L):
                normalised = (values[n, c, i] - mean[c]) * inv_std[c]
                scaled = normalised if gamma is None else gamma[c] * normalised
                y[n, c, i] = scaled if beta is None else scaled + beta[c]
    if not training:
        return y.reshape(x.shape), mean, inv_std, running_mean, running_var
    return y.reshape(x.shape), mean, inv_std, new_mean, new_var


def _statistics(values: Array, c: int) -> tuple[float, float]:
    """Mean and variance of one channel, in two passes: mean(x**2) - mean**2 would cancel."""
    N, _, L = values.shape
    total = np.float64(0)
    for n in range(N):
        for i in range(L):
            total += values[n, c, i]
    mean = total / (N * L)
    squares = np.float64(0)
    for n in range(N):
        for i in range(L):
            deviation = values[n, c, i] - mean
            squares += deviation * deviation
    return mean, squares / (N * L)


@quiet
def batch_norm_backward(
    dy: Array, x: Array, gamma: Array | None, mean: Array, inv_std: Array, *, training: bool
) -> tuple[Array, Array | None, Array | None]:
    """In training the mean and the variance depend on every x too: two projections are subtracted from dy."""
    N, C, L = x.shape[0], x.shape[1], math.prod(x.shape[2:])
    values, incoming = x.reshape(N, C, L), dy.reshape(N, C, L)  # (N, C, L)
    dx = np.empty((N, C, L), x.dtype)
    dgamma, dbeta = np.zeros(C), np.zeros(C)
    for c in range(C):
        for n in range(N):
            for i in range(L):
                normalised = (values[n, c, i] - mean[c]) * inv_std[c]
                dgamma[c] += incoming[n, c, i] * normalised
                dbeta[c] += incoming[n, c, i]
        scale = inv_std[c] if gamma is None else gamma[c] * inv_std[c]
        for n in range(N):
            for i in range(L):
                gradient = incoming[n, c, i]
                if training:
                    normalised = (values[n, c, i] - mean[c]) * inv_std[c]
                    gradient = gradient - (dbeta[c] + normalised * dgamma[c]) / (N * L)
                dx[n, c, i] = scale * gradient
    if gamma is None:
        return dx.reshape(x.shape), None, None
    return dx.reshape(x.shape), dgamma.astype(x.dtype), dbeta.astype(x.dtype)


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
