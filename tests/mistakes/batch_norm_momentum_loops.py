import numpy as np


def batch_norm(x, gamma, beta, running_mean, running_var, *, training, momentum=0.1, eps=1e-5):
    C = x.shape[1]
    y, mean, inv_std = np.zeros_like(x), np.zeros(C, x.dtype), np.zeros(C, x.dtype)
    new_mean = None if running_mean is None else running_mean.copy()
    new_var = None if running_var is None else running_var.copy()
    for c in range(C):
        m, v = (x[:, c].mean(), x[:, c].var()) if training else (running_mean[c], running_var[c])
        if training and new_mean is not None:
            n = x[:, c].size
            new_mean[c] += (1 - momentum) * (m - new_mean[c])
            new_var[c] += (1 - momentum) * (v * n / (n - 1) - new_var[c])
        mean[c], inv_std[c] = m, (v + eps) ** -0.5
        y[:, c] = (x[:, c] - m) * inv_std[c]
        if gamma is not None:
            y[:, c] = y[:, c] * gamma[c] + beta[c]
    return y, mean, inv_std, new_mean, new_var
