import numpy as np


def batch_norm(x, gamma=None, beta=None, running_mean=None, running_var=None, *, training=True, eps=1e-5):
    if not training:
        raise NotImplementedError("evaluation")
    y = np.zeros_like(x)
    for c in range(x.shape[1]):
        values = x[:, c]
        mean = values.sum() / values.size
        var = ((values - mean) ** 2).sum() / (values.size - 1)
        y[:, c] = (values - mean) / np.sqrt(var + eps)
        if gamma is not None:
            y[:, c] = gamma[c] * y[:, c] + beta[c]
    return y
