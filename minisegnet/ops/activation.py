"""Elementwise activations and softmax, forward and backward. All take arrays of any rank."""

from minisegnet.arrays import Array
from minisegnet.ops import checks
from minisegnet.ops.dispatch import kernel


def _pair_of(dy: Array, y: Array, op: str) -> tuple[Array, Array]:
    y = checks.floats(y, "y", op)
    dy = checks.floats(dy, "dy", op, like=y, like_name="y")
    checks.shape(dy, y.shape, "dy", op, "the shape of y")
    return checks.contiguous(dy), checks.contiguous(y)


# ---------------------------------------------------------------------------------------------------------
# Softmax


def _along(op: str, x: Array, axis: int) -> int:
    if x.ndim == 0:
        raise ValueError(f"{op}: the array has no axes; expected at least one")
    axis = checks.axis(axis, x.ndim, op)
    if x.shape[axis] == 0:
        raise ValueError(
            f"{op}: shape {x.shape} is empty along axis {axis}; expected at least one element there"
        )
    return axis


def softmax(x: Array, *, axis: int = 1) -> Array:
    r"""Turn scores into probabilities along an axis: :math:`y_c = e^{x_c} / \sum_k e^{x_k}` (소프트맥스).

    Parameters
    ----------
    x
        Scores, of any shape.
    axis
        The axis that sums to 1; negative ones count from the end.

    Returns
    -------
    y
        Shape of x.

    Notes
    -----
    The largest score is subtracted first, which changes nothing but keeps the exponentials finite.
    Backward: ``y * (dy - sum(dy * y))``.

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.array([[0.0, np.log(3.0)], [1000.0, 1000.0]])).round(6)
    array([[0.25, 0.75],
           [0.5 , 0.5 ]])
    """
    x = checks.floats(x, "x", "softmax")
    axis = _along("softmax", x, axis)
    return kernel("softmax", x)(checks.contiguous(x), axis=axis)


def softmax_backward(dy: Array, y: Array, *, axis: int = 1) -> Array:
    r"""Gradient of :func:`softmax`: :math:`dx_c = y_c (dy_c - \sum_k dy_k y_k)`.

    Parameters
    ----------
    dy, y
        Gradient with respect to y, and y itself, of one shape.
    axis
        As in the forward.

    Returns
    -------
    dx
        Shape of y.

    Examples
    --------
    >>> import numpy as np
    >>> softmax_backward(np.array([[1.0, 0.0]]), np.array([[0.25, 0.75]]))
    array([[ 0.1875, -0.1875]])
    """
    op = "softmax_backward"
    dy, y = _pair_of(dy, y, op)
    return kernel(op, dy, y)(dy, y, axis=_along(op, y, axis))


def log_softmax(x: Array, *, axis: int = 1) -> Array:
    r"""Logarithm of softmax, without ever taking the logarithm of 0: :math:`y_c = x_c - \log \sum_k e^{x_k}`.

    Parameters
    ----------
    x
        Scores, of any shape.
    axis
        The axis whose exponentials sum to 1; negative ones count from the end.

    Returns
    -------
    y
        Shape of x.

    Notes
    -----
    Backward: ``dy - exp(y) * sum(dy)``.

    Examples
    --------
    >>> import numpy as np
    >>> log_softmax(np.array([[0.0, 1000.0]]))
    array([[-1000.,     0.]])
    """
    x = checks.floats(x, "x", "log_softmax")
    axis = _along("log_softmax", x, axis)
    return kernel("log_softmax", x)(checks.contiguous(x), axis=axis)


def log_softmax_backward(dy: Array, y: Array, *, axis: int = 1) -> Array:
    r"""Gradient of :func:`log_softmax`: :math:`dx_c = dy_c - e^{y_c} \sum_k dy_k`.

    Parameters
    ----------
    dy, y
        Gradient with respect to y, and y itself, of one shape.
    axis
        As in the forward.

    Returns
    -------
    dx
        Shape of y.

    Examples
    --------
    >>> import numpy as np
    >>> log_softmax_backward(np.array([[1.0, 0.0]]), np.log(np.array([[0.25, 0.75]]))).round(6)
    array([[ 0.75, -0.75]])
    """
    op = "log_softmax_backward"
    dy, y = _pair_of(dy, y, op)
    return kernel(op, dy, y)(dy, y, axis=_along(op, y, axis))


# ---------------------------------------------------------------------------------------------------------
# Elementwise


def relu(x: Array) -> Array:
    """Keep what is positive: ``y = max(x, 0)``. A NaN stays a NaN.

    Parameters
    ----------
    x
        Any shape.

    Returns
    -------
    y
        Shape of x.

    Notes
    -----
    Backward: dy where y > 0, else 0. V. Nair and G. Hinton, "Rectified linear units" (2010).

    Examples
    --------
    >>> import numpy as np
    >>> relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    x = checks.floats(x, "x", "relu")
    return kernel("relu", x)(checks.contiguous(x))


def relu_backward(dy: Array, y: Array) -> Array:
    """Gradient of :func:`relu`: dy where y > 0, else 0 (at exactly 0 the gradient is 0).

    Parameters
    ----------
    dy, y
        Gradient with respect to y, and y itself, of one shape.

    Returns
    -------
    dx
        Shape of y.

    Examples
    --------
    >>> import numpy as np
    >>> relu_backward(np.array([5.0, 6.0]), np.array([0.0, 2.0]))
    array([0., 6.])
    """
    dy, y = _pair_of(dy, y, "relu_backward")
    return kernel("relu_backward", dy, y)(dy, y)


def _slope(value: float, op: str) -> float:
    slope = checks.number(value, "slope", op)
    if slope <= 0:
        raise ValueError(f"{op}: slope is {slope}; expected a positive number (for 0 use relu)")
    return slope


def leaky_relu(x: Array, slope: float = 0.01) -> Array:
    """Keep what is positive and shrink the rest: ``y = x if x > 0 else slope * x``.

    Parameters
    ----------
    x
        Any shape.
    slope
        Positive, so that the sign of y tells the sign of x.

    Returns
    -------
    y
        Shape of x.

    Notes
    -----
    Backward: dy where y > 0, else slope * dy.

    Examples
    --------
    >>> import numpy as np
    >>> leaky_relu(np.array([-1.0, 2.0]), 0.1)
    array([-0.1,  2. ])
    """
    op = "leaky_relu"
    x = checks.floats(x, "x", op)
    slope = _slope(slope, op)
    return kernel(op, x)(checks.contiguous(x), slope)


def leaky_relu_backward(dy: Array, y: Array, slope: float = 0.01) -> Array:
    """Gradient of :func:`leaky_relu`: dy where y > 0, else slope * dy.

    Parameters
    ----------
    dy, y
        Gradient with respect to y, and y itself, of one shape.
    slope
        As in the forward.

    Returns
    -------
    dx
        Shape of y.

    Examples
    --------
    >>> import numpy as np
    >>> leaky_relu_backward(np.array([5.0, 6.0]), np.array([-0.1, 2.0]), 0.1)
    array([0.5, 6. ])
    """
    op = "leaky_relu_backward"
    dy, y = _pair_of(dy, y, op)
    slope = _slope(slope, op)
    return kernel(op, dy, y)(dy, y, slope)


def sigmoid(x: Array) -> Array:
    r"""Squash a score into a probability: :math:`y = 1 / (1 + e^{-x})`.

    Parameters
    ----------
    x
        Any shape.

    Returns
    -------
    y
        Shape of x.

    Notes
    -----
    Backward: ``dy * y * (1 - y)``.

    Examples
    --------
    >>> import numpy as np
    >>> sigmoid(np.array([-1000.0, 0.0, np.log(3.0)])).round(6)
    array([0.  , 0.5 , 0.75])
    """
    x = checks.floats(x, "x", "sigmoid")
    return kernel("sigmoid", x)(checks.contiguous(x))


def sigmoid_backward(dy: Array, y: Array) -> Array:
    """Gradient of :func:`sigmoid`: ``dx = dy * y * (1 - y)``.

    Parameters
    ----------
    dy, y
        Gradient with respect to y, and y itself, of one shape.

    Returns
    -------
    dx
        Shape of y.

    Examples
    --------
    >>> import numpy as np
    >>> sigmoid_backward(np.array([4.0]), np.array([0.5]))
    array([1.])
    """
    dy, y = _pair_of(dy, y, "sigmoid_backward")
    return kernel("sigmoid_backward", dy, y)(dy, y)
