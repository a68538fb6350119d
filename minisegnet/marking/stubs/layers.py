"""What stands in the stubs of the dense layer, ReLU and batch normalisation."""

TEXTS = {
    "linear": """\
Multiply by a matrix and add a bias: the dense layer.

y[m,k] = b[k] + the sum over c of  w[k,c] * x[m,c]

x: (..., in), any number of axes; the last one is summed over.  w: (out, in).  b: (out,) or None.
y: (..., out).

>>> x, w = np.array([[1.0, 2]]), np.array([[1.0, 0], [3, 4]])
>>> linear(x, w).tolist(), linear(x, w, np.array([0.5, 0])).tolist()
([[1.0, 11.0]], [[1.5, 11.0]])
""",
    "linear_backward": """\
Bring dy back to x, w and b of linear (lesson 3).

The forward adds w[k,c] * x[m,c] to y[m,k]. So
    dx[m,c] += dy[m,k] * w[k,c]
    dw[k,c] += dy[m,k] * x[m,c]
and db[k] is the sum of dy[m,k] over m: over all axes but the last.

dy: (..., out).  dx, dw, db: the shapes of x, w and b.

>>> dy, x, w = np.array([[1.0, -1]]), np.array([[1.0, 2]]), np.array([[1.0, 0], [3, 4]])
>>> dx, dw, db = linear_backward(dy, x, w)
>>> dx.tolist(), dw.tolist(), db.tolist()
([[-2.0, -4.0]], [[1.0, 2.0], [-1.0, -2.0]], [1.0, -1.0])
""",
    "relu": """\
Keep what is above 0, and make 0 of the rest.

y = x where x > 0, else 0. A NaN stays a NaN: it must not be hidden.

x and y: one shape, any number of axes.

>>> relu(np.array([-2.0, 0, 3])).tolist()
[0.0, 0.0, 3.0]
""",
    "relu_backward": """\
Bring dy back through relu.

dx = dy where y > 0, else 0. y is what relu returned.

dy, y and dx: one shape.

>>> relu_backward(np.array([5.0, 6, 7]), np.array([0.0, 0, 3])).tolist()
[0.0, 0.0, 7.0]
""",
    "batch_norm": """\
Bring each channel to mean 0 and variance 1, then scale and shift it (lesson 11).

y = gamma * (x - mean) * inv_std + beta, each channel with its own four numbers, where
    training:   mean and var are those of the batch, over all axes but the second; var = mean of (x - mean)**2
    otherwise:  mean and var are running_mean and running_var
    inv_std = 1 / sqrt(var + eps)
In training the running mean and variance become (1 - momentum) * old + momentum * batch. The batch's variance is
the unbiased one there: var * M / (M - 1), where M is how many values a channel has.

x and y: (N, C, ...), of two or more axes.  All else: (C,).
gamma and beta may both be None: then they count as 1 and 0.
running_mean and running_var may both be None in training: then None comes back.
Returns y, mean, inv_std, running_mean, running_var; in training new arrays, otherwise the last two as they came.

The channel 1, 3 has the mean 2 and the variance 1 (unbiased: 2):

>>> x, old = np.array([[1.0], [3]]), (np.zeros(1), np.ones(1))
>>> y, mean, inv_std, running_mean, running_var = batch_norm(x, None, None, *old, training=True, eps=1e-12)
>>> y.round(6).tolist(), mean.tolist(), inv_std.round(6).tolist()
([[-1.0], [1.0]], [2.0], [1.0])
>>> running_mean.round(6).tolist(), running_var.round(6).tolist()
([0.2], [1.1])
""",
    "batch_norm_backward": """\
Bring dy back to x, gamma and beta of batch_norm (lesson 11).

With hat = (x - mean) * inv_std, and sums over all axes but the second:
    dbeta = sum of dy            dgamma = sum of dy * hat
    training:   dx = gamma * inv_std * (dy - dbeta / M - hat * dgamma / M), for x acts on mean and variance, too
    otherwise:  dx = gamma * inv_std * dy
M is how many values a channel has.

dy, x and dx: one shape (N, C, ...).  mean, inv_std: (C,), what the forward returned.
Returns dx, dgamma, dbeta. Where gamma is None it counts as 1, and dgamma and dbeta are None.

>>> dy, x = np.array([[0.0], [0], [3]]), np.array([[1.0], [3], [5]])
>>> gamma, mean, inv_std = np.array([2.0]), np.array([3.0]), np.array([0.5])
>>> dx, dgamma, dbeta = batch_norm_backward(dy, x, gamma, mean, inv_std, training=True)
>>> dx.tolist(), dgamma.tolist(), dbeta.tolist()
([[0.0], [-1.0], [1.0]], [3.0], [3.0])
""",
}
