def batch_norm(x, gamma, beta, running_mean, running_var, *, training, momentum=0.1, eps=1e-5):
    axes, beside = (0, *range(2, x.ndim)), (1, -1, *[1] * (x.ndim - 2))
    mean, var = (x.mean(axes), x.var(axes)) if training else (running_mean, running_var)
    if training and running_mean is not None:
        M = x.size // x.shape[1]
        running_mean = (1 - momentum) * running_mean + momentum * mean
        running_var = (1 - momentum) * running_var + momentum * var * M / (M - 1)
    inv_std = 1 / (var + eps)
    y = (x - mean.reshape(beside)) * inv_std.reshape(beside)
    y = y if gamma is None else y * gamma.reshape(beside)
    y = y if beta is None else y + beta.reshape(beside)
    return y, mean, inv_std, running_mean, running_var
