import numpy as np


def batch_norm_backward(dy, x, gamma, mean, inv_std, *, training):
    C = x.shape[1]
    dx, dgamma, dbeta = np.zeros_like(x), np.zeros(C, x.dtype), np.zeros(C, x.dtype)
    for c in range(C):
        scale = 1.0 if gamma is None else gamma[c]
        dx[:, c] = scale * dy[:, c] * inv_std[c]
        dgamma[c] = (dy[:, c] * (x[:, c] - mean[c])).sum() * inv_std[c]
        dbeta[c] = dy[:, c].sum()
    return dx, dgamma, dbeta
