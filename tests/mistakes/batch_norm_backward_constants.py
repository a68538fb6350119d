def batch_norm_backward(dy, x, gamma, mean, inv_std, *, training):
    axes = (0, *range(2, x.ndim))
    shape = (1, -1, *(1,) * (x.ndim - 2))
    normalised = (x - mean.reshape(shape)) * inv_std.reshape(shape)
    if gamma is None:
        return dy * inv_std.reshape(shape), None, None
    dgamma, dbeta = (dy * normalised).sum(axis=axes), dy.sum(axis=axes)
    return dy * (gamma * inv_std).reshape(shape), dgamma, dbeta
