import numpy as np


def batch_norm(x, gamma, beta, running_mean, running_var, *, training, eps=1e-5):
    beside = (1, -1, *[1] * (x.ndim - 2))
    if training:
        mean, inv_std = x.mean(axis=0), 1 / np.sqrt(x.var(axis=0) + eps)
        y = (x - mean) * inv_std
    else:
        mean, inv_std = running_mean, 1 / np.sqrt(running_var + eps)
        y = (x - mean.reshape(beside)) * inv_std.reshape(beside)
    if gamma is not None:
        y = y * gamma.reshape(beside) + beta.reshape(beside)
    return y, mean, inv_std
