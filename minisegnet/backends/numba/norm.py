"""Batch normalisation, compiled: the reference's loops, one channel in each iteration of a ``prange``.

All axes but the channel's (axis 1) count alike, so that x is looked at as (N, C, L). Sums are kept in double
precision: these loops wait for memory, not for arithmetic, so that it costs nothing. The normalised value,
``(x - mean) * inv_std``, is computed from the rounded mean and inv_std that are returned: the backward, which
gets just these, then speaks of the same value.
"""

import math

import numpy as np
from numba import prange

from minisegnet.arrays import Array

from .activation import relu_backward, relu_in_place
from .launch import parallel_kernel


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
    values = _by_channel(x)  # (N, C, L)
    N, C, L = values.shape
    if training:
        channel_mean, channel_var = np.empty(C), np.empty(C)  # (C,), (C,)
        _statistics(channel_mean, channel_var, values)
    else:
        channel_mean, channel_var = running_mean, running_var.astype(np.float64)
    with np.errstate(all="ignore"):  # infinity and NaN are ordinary values here, not worth a warning
        mean = channel_mean.astype(x.dtype)
        inv_std = (1 / np.sqrt(channel_var + eps)).astype(x.dtype)
        if training and running_mean is not None:
            running_mean = ((1 - momentum) * running_mean + momentum * channel_mean).astype(x.dtype)
        if training and running_var is not None:  # of few values the variance comes out too small
            unbiased = channel_var * (N * L) / (N * L - 1)
            running_var = ((1 - momentum) * running_var + momentum * unbiased).astype(x.dtype)
    y = np.empty(x.shape, x.dtype)
    scale = np.ones(C, x.dtype) if gamma is None else gamma
    shift = np.zeros(C, x.dtype) if beta is None else beta
    _normalise(_by_channel(y), values, mean, inv_std, scale, shift)
    return y, mean, inv_std, running_mean, running_var


def _by_channel(x: Array) -> Array:
    return x.reshape(x.shape[0], x.shape[1], math.prod(x.shape[2:]))  # (N, C, L)


@parallel_kernel(reassociate=True)
def _statistics(means, variances, values):
    """Mean and variance of each channel, in two passes: mean(x**2) - mean**2 would cancel."""
    N, C, L = values.shape
    for c in prange(C):
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
        means[c], variances[c] = mean, squares / (N * L)


@parallel_kernel
def _normalise(y, values, mean, inv_std, scale, shift):
    N, C, L = y.shape
    for task in prange(N * C):  # one channel of one image each
        n, c = task // C, task % C
        for i in range(L):
            y[n, c, i] = scale[c] * ((values[n, c, i] - mean[c]) * inv_std[c]) + shift[c]


def batch_norm_backward(
    dy: Array, x: Array, gamma: Array | None, mean: Array, inv_std: Array, *, training: bool
) -> tuple[Array, Array | None, Array | None]:
    """In training the mean and the variance depend on every x too: two projections are subtracted from dy."""
    values, incoming = _by_channel(x), _by_channel(dy)  # (N, C, L)
    N, C, L = values.shape
    sum_products, sum_dy = np.empty(C), np.empty(C)  # (C,), (C,)
    _sums(sum_products, sum_dy, incoming, values, mean, inv_std)
    dgamma, dbeta = None, None
    with np.errstate(all="ignore"):  # infinity and NaN are ordinary values here, not worth a warning
        if gamma is not None:
            dgamma, dbeta = sum_products.astype(x.dtype), sum_dy.astype(x.dtype)
        scale = inv_std if gamma is None else gamma * inv_std
        count = max(N * L, 1)  # an empty batch has no gradients to shift
        mean_dy, mean_product = (sum_dy / count).astype(x.dtype), (sum_products / count).astype(x.dtype)
    dx = np.empty(x.shape, x.dtype)
    if training:
        _project(_by_channel(dx), incoming, values, mean, inv_std, scale, mean_dy, mean_product)
    else:  # y is a straight line in x: dx = scale * dy, by the kernel that can shift and scale
        zeros, ones = np.zeros(C, x.dtype), np.ones(C, x.dtype)
        _normalise(_by_channel(dx), incoming, zeros, ones, scale, zeros)
    return dx, dgamma, dbeta


@parallel_kernel(reassociate=True)
def _sums(sum_products, sum_dy, incoming, values, mean, inv_std):
    N, C, L = values.shape
    for c in prange(C):
        products, total = np.float64(0), np.float64(0)
        for n in range(N):
            for i in range(L):
                normalised = (values[n, c, i] - mean[c]) * inv_std[c]
                products += incoming[n, c, i] * normalised
                total += incoming[n, c, i]
        sum_products[c], sum_dy[c] = products, total


@parallel_kernel
def _project(dx, incoming, values, mean, inv_std, scale, mean_dy, mean_product):
    N, C, L = dx.shape
    for task in prange(N * C):  # one channel of one image each
        n, c = task // C, task % C
        for i in range(L):
            normalised = (values[n, c, i] - mean[c]) * inv_std[c]
            dx[n, c, i] = scale[c] * (incoming[n, c, i] - mean_dy[c] - normalised * mean_product[c])


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
    y, mean, inv_std, running_mean, running_var = batch_norm(
        x, gamma, beta, running_mean, running_var, training=training, momentum=momentum, eps=eps
    )
    relu_in_place(y)
    return y, mean, inv_std, running_mean, running_var


def batch_norm_relu_backward(
    dy: Array, y: Array, x: Array, gamma: Array | None, mean: Array, inv_std: Array, *, training: bool
) -> tuple[Array, Array | None, Array | None]:
    """First back through relu, then through the normalisation."""
    return batch_norm_backward(relu_backward(dy, y), x, gamma, mean, inv_std, training=training)
