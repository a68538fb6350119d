import numpy as np


def batch_norm(x, gamma, beta, running_mean, running_var, *, training, momentum=0.1, eps=1e-5):
    axes = (0, *range(2, x.ndim))
    shape = (1, -1, *(1,) * (x.ndim - 2))
    mean, var = (x.mean(axis=axes), x.var(axis=axes)) if training else (running_mean, running_var)
    if training and running_mean is not None:
        n = x.size / x.shape[1]
        running_mean = momentum * running_mean + (1 - momentum) * mean
        running_var = momentum * running_var + (1 - momentum) * var * (n / (n - 1))
    inv_std = 1 / np.sqrt(var + eps)
    y = (x - mean.reshape(shape)) * inv_std.reshape(shape)
    if gamma is not None:
        y = y * gamma.reshape(shape) + beta.reshape(shape)
    return y, mean, inv_std, running_mean, running_var
