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
from minisegnet.buffers import fresh

from .fast import norm as fast
from .launch import parallel_kernel, takes_vectors


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
    return _forward(x, gamma, beta, running_mean, running_var, training, momentum, eps, fast.PLAIN)


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
    return _forward(x, gamma, beta, running_mean, running_var, training, momentum, eps, fast.RELU)


def _forward(
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    running_mean: Array | None,
    running_var: Array | None,
    training: bool,
    momentum: float,
    eps: float,
    cut: np.float32,
) -> tuple[Array, Array, Array, Array | None, Array | None]:
    """Normalise, and make 0 of what is at most ``cut``; nothing is at most NaN."""
    y = fresh(x.shape, x.dtype)
    values, results = _by_channel(x), _by_channel(y)  # (N, C, L)
    N, C, L = values.shape
    scale = np.ones(C, x.dtype) if gamma is None else gamma
    shift = np.zeros(C, x.dtype) if beta is None else beta
    vectors = _in_vectors(values)
    cut = x.dtype.type(cut)
    if not training:
        with np.errstate(all="ignore"):  # infinity and NaN are ordinary values here, not worth a warning
            inv_std = (1 / np.sqrt(running_var.astype(np.float64) + eps)).astype(x.dtype)
        mean = running_mean.copy()
        normalise = fast.normalise if vectors else _normalise
        normalise(results, values, mean, inv_std, scale, shift, cut)
        return y, mean, inv_std, running_mean, running_var

    mean, inv_std = np.empty(C, x.dtype), np.empty(C, x.dtype)  # (C,), (C,)
    exact_mean, variance = np.empty(C), np.empty(C)  # (C,), (C,)
    train = fast.train if vectors else _train
    train(results, values, scale, shift, eps, cut, exact_mean, variance, mean, inv_std)
    with np.errstate(all="ignore"):
        if running_mean is not None:
            running_mean = ((1 - momentum) * running_mean + momentum * exact_mean).astype(x.dtype)
        if running_var is not None:  # of few values the variance comes out too small
            unbiased = variance * (N * L) / (N * L - 1)
            running_var = ((1 - momentum) * running_var + momentum * unbiased).astype(x.dtype)
    return y, mean, inv_std, running_mean, running_var


def _by_channel(x: Array) -> Array:
    return x.reshape(x.shape[0], x.shape[1], math.prod(x.shape[2:]))  # (N, C, L)


def _in_vectors(values: Array) -> bool:
    """Whether vectors pay: they hold float32 only, and a row should fill one."""
    return takes_vectors(values.dtype) and values.shape[2] >= fast.LANES


def _train(y, values, scale, shift, eps, cut, exact_mean, variance, mean, inv_std):
    """As ``fast.train``, for any dtype."""
    _statistics(exact_mean, variance, values)
    with np.errstate(all="ignore"):
        mean[:], inv_std[:] = exact_mean, 1 / np.sqrt(variance + eps)
    _normalise(y, values, mean, inv_std, scale, shift, cut)


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
def _normalise(y, values, mean, inv_std, scale, shift, cut):
    N, C, L = y.shape
    zero = y.dtype.type(0)
    for task in prange(N * C):  # one channel of one image each
        n, c = task // C, task % C
        for i in range(L):
            value = scale[c] * ((values[n, c, i] - mean[c]) * inv_std[c]) + shift[c]
            y[n, c, i] = zero if value <= cut else value


def batch_norm_backward(
    dy: Array, x: Array, gamma: Array | None, mean: Array, inv_std: Array, *, training: bool
) -> tuple[Array, Array | None, Array | None]:
    """In training the mean and the variance depend on every x too: two projections are subtracted from dy."""
    return _backward(dy, dy, x, gamma, mean, inv_std, training, fast.PLAIN)


def batch_norm_relu_backward(
    dy: Array, y: Array, x: Array, gamma: Array | None, mean: Array, inv_std: Array, *, training: bool
) -> tuple[Array, Array | None, Array | None]:
    """First back through relu, then through the normalisation."""
    return _backward(dy, y, x, gamma, mean, inv_std, training, fast.RELU)


def _backward(
    dy: Array,
    y: Array,
    x: Array,
    gamma: Array | None,
    mean: Array,
    inv_std: Array,
    training: bool,
    cut: np.float32,
) -> tuple[Array, Array | None, Array | None]:
    """Take dy as 0 where y is at most ``cut``."""
    dx = fresh(x.shape, x.dtype)
    C = x.shape[1]
    cut = x.dtype.type(cut)
    with np.errstate(all="ignore"):
        scale = inv_std if gamma is None else gamma * inv_std
    sum_products, sum_dy = np.empty(C), np.empty(C)  # (C,), (C,)
    results, incoming, outputs, values = map(_by_channel, (dx, dy, y, x))  # (N, C, L)
    if training:
        run = fast.train_backward if _in_vectors(values) else _train_backward
        run(results, incoming, outputs, values, mean, inv_std, scale, cut, sum_products, sum_dy)
    else:  # y is a straight line in x
        _sums(sum_products, sum_dy, incoming, outputs, values, mean, inv_std, cut)
        _scale(results, incoming, outputs, scale, cut)
    if gamma is None:
        return dx, None, None
    with np.errstate(all="ignore"):
        return dx, sum_products.astype(x.dtype), sum_dy.astype(x.dtype)


def _train_backward(dx, incoming, y, values, mean, inv_std, scale, cut, sum_products, sum_dy):
    """As ``fast.train_backward``, for any dtype."""
    N, _, L = values.shape
    _sums(sum_products, sum_dy, incoming, y, values, mean, inv_std, cut)
    with np.errstate(all="ignore"):
        mean_dy, mean_product = ((a / (N * L)).astype(dx.dtype) for a in (sum_dy, sum_products))
    _project(dx, incoming, y, values, mean, inv_std, scale, mean_dy, mean_product, cut)


@parallel_kernel(reassociate=True)
def _sums(sum_products, sum_dy, incoming, y, values, mean, inv_std, cut):
    N, C, L = values.shape
    zero = values.dtype.type(0)
    for c in prange(C):
        products, total = np.float64(0), np.float64(0)
        for n in range(N):
            for i in range(L):
                gradient = zero if y[n, c, i] <= cut else incoming[n, c, i]
                products += gradient * ((values[n, c, i] - mean[c]) * inv_std[c])
                total += gradient
        sum_products[c], sum_dy[c] = products, total


@parallel_kernel
def _project(dx, incoming, y, values, mean, inv_std, scale, mean_dy, mean_product, cut):
    N, C, L = dx.shape
    zero = dx.dtype.type(0)
    for task in prange(N * C):  # one channel of one image each
        n, c = task // C, task % C
        for i in range(L):
            gradient = zero if y[n, c, i] <= cut else incoming[n, c, i]
            normalised = (values[n, c, i] - mean[c]) * inv_std[c]
            dx[n, c, i] = scale[c] * (gradient - mean_dy[c] - normalised * mean_product[c])


@parallel_kernel
def _scale(dx, incoming, y, scale, cut):
    N, C, L = dx.shape
    zero = dx.dtype.type(0)
    for task in prange(N * C):
        n, c = task // C, task % C
        for i in range(L):
            dx[n, c, i] = scale[c] * (zero if y[n, c, i] <= cut else incoming[n, c, i])
