"""Lesson 11, batch normalisation in SegNet: a solution. `minisegnet check 11 11_segnet_deconvnet.py` marks it."""

import numpy as np


def over_all_but_the_second(x):
    """Return the axes that the statistics go over, and the shape in which (C,) fits beside x."""
    axes = (0, *range(2, x.ndim))
    return axes, (1, -1, *[1] * (x.ndim - 2))


def batch_norm(x, gamma, beta, running_mean, running_var, *, training, momentum=0.1, eps=1e-5):
    """Bring each channel to mean 0 and variance 1, then scale and shift it.

    >>> x, old = np.array([[1.0], [3]]), (np.zeros(1), np.ones(1))
    >>> y, mean, inv_std, running_mean, running_var = batch_norm(x, None, None, *old, training=True, eps=1e-12)
    >>> y.round(6).tolist(), running_mean.round(6).tolist(), running_var.round(6).tolist()
    ([[-1.0], [1.0]], [0.2], [1.1])
    """
    axes, beside = over_all_but_the_second(x)
    mean, var = running_mean, running_var
    if training:
        mean, var = x.mean(axis=axes), x.var(axis=axes)
        if running_mean is not None:  # new arrays: += would change the caller's
            M = x.size / x.shape[1]
            running_mean = (1 - momentum) * running_mean + momentum * mean
            running_var = (1 - momentum) * running_var + momentum * var * (M / (M - 1))
    inv_std = 1 / np.sqrt(var + eps)
    y = (x - mean.reshape(beside)) * inv_std.reshape(beside)
    if gamma is not None:
        y = y * gamma.reshape(beside)
    if beta is not None:
        y = y + beta.reshape(beside)
    return y, mean, inv_std, running_mean, running_var


def batch_norm_backward(dy, x, gamma, mean, inv_std, *, training):
    """Subtract from dy, in training, its mean and its part along x: moving those changes nothing.

    >>> dy, x = np.array([[0.0], [0], [3]]), np.array([[1.0], [3], [5]])
    >>> arrays = np.array([2.0]), np.array([3.0]), np.array([0.5])
    >>> [part.tolist() for part in batch_norm_backward(dy, x, *arrays, training=True)]
    [[[0.0], [-1.0], [1.0]], [3.0], [3.0]]
    """
    axes, beside = over_all_but_the_second(x)
    hat = (x - mean.reshape(beside)) * inv_std.reshape(beside)
    dbeta, dgamma = dy.sum(axis=axes), (dy * hat).sum(axis=axes)
    dx = dy
    if training:
        M = x.size / x.shape[1]
        dx = dy - dbeta.reshape(beside) / M - hat * dgamma.reshape(beside) / M
    dx = dx * inv_std.reshape(beside)
    if gamma is None:
        return dx, None, None
    return dx * gamma.reshape(beside), dgamma, dbeta
