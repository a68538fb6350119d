import numpy as np


def batch_norm(x, gamma, beta, running_mean, running_var, *, training, eps=1e-5):
    axes, beside = (0, *range(2, x.ndim)), (1, -1, *[1] * (x.ndim - 2))
    if training:
        mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    else:
        mean, var = running_mean.reshape(beside), running_var.reshape(beside)
    inv_std = 1 / np.sqrt(var + eps)
    y = (x - mean) * inv_std
    if gamma is not None:
        y = y * gamma.reshape(beside) + beta.reshape(beside)
    return y, mean, inv_std
