import numpy as np


def batch_norm(x, gamma, beta, running_mean, running_var, *, training, momentum=0.1, eps=1e-5):
    C = x.shape[1]
    y, mean, scale = np.empty_like(x), np.empty(C, x.dtype), np.empty(C, x.dtype)
    new_mean = None if running_mean is None else running_mean.copy()
    new_var = None if running_var is None else running_var.copy()
    for c in range(C):
        values = x[:, c]
        var = values.var() if training else running_var[c]
        mean[c], scale[c] = values.mean() if training else running_mean[c], (var + eps) ** -1.0
        y[:, c] = (values - mean[c]) * scale[c]
        if gamma is not None:
            y[:, c] *= gamma[c]
        if beta is not None:
            y[:, c] += beta[c]
        if training and new_mean is not None:
            new_mean[c] = (1 - momentum) * new_mean[c] + momentum * mean[c]
            new_var[c] = (1 - momentum) * new_var[c] + momentum * values.var(ddof=1)
    return y, mean, scale, new_mean, new_var
