import numpy as np


def batch_norm(x, gamma, beta, running_mean, running_var, *, training, momentum=0.1, eps=1e-5):
    axes = (0, *range(2, x.ndim))
    shape = (1, -1, *(1,) * (x.ndim - 2))
    if training:
        mean, var = x.mean(axis=axes), x.var(axis=axes, ddof=1)
        if running_mean is not None:
            running_mean = (1 - momentum) * running_mean + momentum * mean
            running_var = (1 - momentum) * running_var + momentum * var
    else:
        mean, var = running_mean, running_var
    inv_std = 1 / np.sqrt(var + eps)
    y = (x - mean.reshape(shape)) * inv_std.reshape(shape)
    if gamma is not None:
        y = y * gamma.reshape(shape) + beta.reshape(shape)
    return y, mean, inv_std, running_mean, running_var
