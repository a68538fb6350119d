"""Batch normalisation, forward and backward."""

import math

import numpy as np

from minisegnet.arrays import Array
from minisegnet.ops import checks
from minisegnet.ops.dispatch import is_cupy, kernel


def _features(value: Array, name: str, op: str, like: Array | None = None) -> Array:
    a = checks.floats(value, name, op, like=like)
    if a.ndim < 2:
        raise ValueError(f"{op}: {name} has shape {a.shape}; expected (N, C) or (N, C, H, W)")
    if 0 in a.shape[1:]:
        raise ValueError(f"{op}: {name} has shape {a.shape}; only the batch axis may be empty")
    return a


def _per_channel(value: Array | None, name: str, op: str, x: Array) -> Array | None:
    if value is None:
        return None
    a = checks.floats(value, name, op, like=x)
    checks.shape(a, (x.shape[1],), name, op, "one value for each channel")
    return checks.contiguous(a)


def _enough_values(x: Array, op: str) -> None:
    values = x.shape[0] * math.prod(x.shape[2:])
    if values < 2:
        raise ValueError(
            f"{op}: x has shape {x.shape}, {values} value(s) a channel; training needs more than one to have a "
            "variance. Use a larger batch, or training=False"
        )


def batch_norm(
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    running_mean: Array | None,
    running_var: Array | None,
    *,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array, Array | None, Array | None]:
    r"""Bring each channel to mean 0 and variance 1, then scale and shift it (배치 정규화).

    .. math:: y = \gamma\,\hat x + \beta, \qquad \hat x = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}}

    In training :math:`\mu` and :math:`\sigma^2` are the batch's own, per channel, over all other axes; in
    evaluation they are the running ones.

    Parameters
    ----------
    x
        Input (N, C), (N, C, H, W) or any rank from 2 up.
    gamma, beta
        Scale and shift (C,), or both None for 1 and 0.
    running_mean, running_var
        (C,). In training both may be None: then none are kept.
    training
        Which statistics to use. Training needs more than one value a channel.
    momentum
        ``running = (1 - momentum) running + momentum batch``, with the unbiased variance.
    eps
        Keeps the division safe where a channel is constant.

    Returns
    -------
    y
        Shape of x.
    mean, inv_std
        (C,), as used: :math:`\mu` and :math:`1/\sqrt{\sigma^2 + \epsilon}`; the backward needs them.
    running_mean, running_var
        (C,): new arrays in training, unchanged in evaluation.

    Notes
    -----
    Backward: mean and variance depend on x too, so in training dx also subtracts the mean of dy and the part of dy
    along :math:`\hat x`. S. Ioffe and C. Szegedy, "Batch normalization" (2015), algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0], [3.0]])
    >>> y, mean, inv_std, running_mean, running_var = batch_norm(
    ...     x, None, None, np.zeros(1), np.ones(1), training=True, eps=1e-12
    ... )
    >>> y[:, 0].round(6), mean, running_mean, running_var.round(6)
    (array([-1.,  1.]), array([2.]), array([0.2]), array([1.1]))
    """
    return _forward("batch_norm", x, gamma, beta, running_mean, running_var, training, momentum, eps)


def _forward(
    op: str,
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    running_mean: Array | None,
    running_var: Array | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Array, Array, Array, Array | None, Array | None]:
    """Check the arguments of ``batch_norm`` or ``batch_norm_relu`` and run its kernel."""
    x = _features(x, "x", op)
    training = checks.flag(training, "training", op)
    gamma, beta = _per_channel(gamma, "gamma", op, x), _per_channel(beta, "beta", op, x)
    if gamma is None and beta is not None:
        raise ValueError(
            f"{op}: beta is given without gamma; pass gamma=np.ones({x.shape[1]}) or leave out both"
        )
    running_mean = _per_channel(running_mean, "running_mean", op, x)
    running_var = _per_channel(running_var, "running_var", op, x)
    momentum, eps = checks.number(momentum, "momentum", op), checks.number(eps, "eps", op)
    if not 0 <= momentum <= 1:
        raise ValueError(f"{op}: momentum is {momentum}; expected a number from 0 to 1")
    if eps <= 0:
        raise ValueError(f"{op}: eps is {eps}; expected a small positive number such as 1e-5")
    if (running_mean is None) != (running_var is None):
        raise ValueError(f"{op}: one of running_mean and running_var is None; pass both or neither")
    if training:
        _enough_values(x, op)
    elif running_mean is None or running_var is None:
        raise ValueError(
            f"{op}: running_mean and running_var are None; evaluation (training=False) needs them"
        )
    elif not is_cupy(running_var) and bool(np.any(running_var < 0)):
        raise ValueError(
            f"{op}: running_var holds {float(running_var.min())}; expected variances of at least 0"
        )
    run = kernel(op, x, gamma, beta, running_mean, running_var)
    options = {"training": training, "momentum": momentum, "eps": eps}
    found: tuple[Array, Array, Array, Array | None, Array | None] = run(
        checks.contiguous(x), gamma, beta, running_mean, running_var, **options
    )
    return found


def batch_norm_backward(
    dy: Array, x: Array, gamma: Array | None, mean: Array, inv_std: Array, *, training: bool
) -> tuple[Array, Array | None, Array | None]:
    r"""Gradients of :func:`batch_norm` with respect to input, scale and shift.

    .. math::
        d\beta = \sum dy \qquad d\gamma = \sum dy\,\hat x \qquad
        dx = \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}}
             \left( dy - \tfrac{1}{M} d\beta - \tfrac{1}{M} \hat x\, d\gamma \right)

    with M values a channel; in evaluation, where the statistics are constants, only the first term of dx remains.

    Parameters
    ----------
    dy
        Gradient with respect to y, of x's shape.
    x, gamma
        As in the forward.
    mean, inv_std
        As the forward returned them.
    training
        As in the forward.

    Returns
    -------
    dx, dgamma, dbeta
        Shape of x, (C,) and (C,); the latter two are None if gamma is None.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0], [3.0], [5.0]])
    >>> _, mean, inv_std, _, _ = batch_norm(x, np.ones(1), np.zeros(1), None, None, training=True)
    >>> dx, dgamma, dbeta = batch_norm_backward(x, x, np.ones(1), mean, inv_std, training=True)
    >>> bool(abs(dx).max() < 1e-5), dbeta  # moving x along itself or along a constant changes nothing
    (True, array([9.]))
    """
    op = "batch_norm_backward"
    x = _features(x, "x", op)
    dy = _like(x, dy, "dy", op)
    gamma, mean, inv_std, training = _backward_arguments(op, x, gamma, mean, inv_std, training)
    run = kernel(op, dy, x, gamma, mean, inv_std)
    dx, dgamma, dbeta = run(dy, checks.contiguous(x), gamma, mean, inv_std, training=training)
    return dx, dgamma, dbeta


def _like(x: Array, value: Array, name: str, op: str) -> Array:
    a = _features(value, name, op, like=x)
    checks.shape(a, x.shape, name, op, "the shape of x")
    return checks.contiguous(a)


def _backward_arguments(
    op: str, x: Array, gamma: Array | None, mean: Array, inv_std: Array, training: bool
) -> tuple[Array | None, Array | None, Array | None, bool]:
    training = checks.flag(training, "training", op)
    gamma = _per_channel(gamma, "gamma", op, x)
    statistics = []
    for value, name in ((mean, "mean"), (inv_std, "inv_std")):
        if value is None:
            raise TypeError(f"{op}: {name} is None; pass what {op.removesuffix('_backward')} returned")
        statistics.append(_per_channel(value, name, op, x))
    if training:
        _enough_values(x, op)
    return gamma, *statistics, training


def batch_norm_relu(
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    running_mean: Array | None,
    running_var: Array | None,
    *,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array, Array | None, Array | None]:
    r"""Normalise each channel and cut off what is negative, in one go: ``relu(batch_norm(x))``.

    .. math:: y = \max(\gamma\,\hat x + \beta,\ 0)

    Two ops that stand behind each other read and write every number twice. One that does both keeps it in a
    register in between. That is called fusion (연산 융합); the results are the same to the bit.

    Parameters
    ----------
    x, gamma, beta, running_mean, running_var, training, momentum, eps
        As in :func:`batch_norm`.

    Returns
    -------
    y
        Shape of x, at least 0.
    mean, inv_std, running_mean, running_var
        As of :func:`batch_norm`.

    Notes
    -----
    Backward: dy where y > 0, else 0; then as :func:`batch_norm_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0], [3.0]])
    >>> y, *_ = batch_norm_relu(x, None, None, None, None, training=True, eps=1e-12)
    >>> y[:, 0].round(6)
    array([0., 1.])
    """
    return _forward("batch_norm_relu", x, gamma, beta, running_mean, running_var, training, momentum, eps)


def batch_norm_relu_backward(
    dy: Array, y: Array, x: Array, gamma: Array | None, mean: Array, inv_std: Array, *, training: bool
) -> tuple[Array, Array | None, Array | None]:
    r"""Gradients of :func:`batch_norm_relu` with respect to input, scale and shift.

    They are those of :func:`batch_norm_backward` for dy where y > 0, and 0 elsewhere.

    Parameters
    ----------
    dy
        Gradient with respect to y, of x's shape.
    y
        As the forward returned it.
    x, gamma
        As in the forward.
    mean, inv_std
        As the forward returned them.
    training
        As in the forward.

    Returns
    -------
    dx, dgamma, dbeta
        Shape of x, (C,) and (C,); the latter two are None if gamma is None.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0], [3.0]])
    >>> y, mean, inv_std, _, _ = batch_norm_relu(x, np.ones(1), np.zeros(1), None, None, training=True)
    >>> _, _, dbeta = batch_norm_relu_backward(x, y, x, np.ones(1), mean, inv_std, training=True)
    >>> dbeta  # the first value was cut off
    array([3.])
    """
    op = "batch_norm_relu_backward"
    x = _features(x, "x", op)
    dy, y = _like(x, dy, "dy", op), _like(x, y, "y", op)
    gamma, mean, inv_std, training = _backward_arguments(op, x, gamma, mean, inv_std, training)
    run = kernel(op, dy, y, x, gamma, mean, inv_std)
    dx, dgamma, dbeta = run(dy, y, checks.contiguous(x), gamma, mean, inv_std, training=training)
    return dx, dgamma, dbeta
