"""The dense layer, forward and backward."""

import math

from minisegnet.arrays import Array
from minisegnet.ops import checks
from minisegnet.ops.dispatch import kernel


def _arguments(x: Array, w: Array, op: str) -> tuple[Array, Array]:
    x = checks.floats(x, "x", op)
    w = checks.floats(w, "w", op, like=x)
    checks.rank(w, 2, "w", op, "(out, in)")
    if 0 in w.shape:
        raise ValueError(f"{op}: w has shape {w.shape}; expected every axis to be at least 1")
    if x.ndim == 0 or x.shape[-1] != w.shape[1]:
        raise ValueError(
            f"{op}: x has shape {x.shape} and w {w.shape} (out, in); expected x's last axis to be {w.shape[1]}"
        )
    return x, w


def _rows(a: Array) -> Array:
    """View (..., features) as (M, features)."""
    return checks.contiguous(a).reshape(math.prod(a.shape[:-1]), a.shape[-1])


def linear(x: Array, w: Array, b: Array | None = None) -> Array:
    r"""Multiply by a matrix and add a bias: :math:`y = x w^T + b` (완전 연결층, dense layer).

    Parameters
    ----------
    x
        Input (..., in).
    w
        Weights (out, in).
    b
        Bias (out,), or None.

    Returns
    -------
    y
        (..., out).

    Notes
    -----
    Backward: ``dx = dy @ w``, ``dw = dy.T @ x``, ``db`` sums dy over the batch.

    Examples
    --------
    >>> import numpy as np
    >>> linear(np.array([[1.0, 2.0]]), np.array([[1.0, 0.0], [3.0, 4.0]]), np.array([0.5, 0.0]))
    array([[ 1.5, 11. ]])
    """
    op = "linear"
    x, w = _arguments(x, w, op)
    if b is not None:
        b = checks.floats(b, "b", op, like=x)
        checks.shape(b, (w.shape[0],), "b", op, "one bias for each output")
        b = checks.contiguous(b)
    run = kernel(op, x, w, b)
    return run(_rows(x), checks.contiguous(w), b).reshape(*x.shape[:-1], w.shape[0])


def linear_backward(dy: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
    """Gradients of :func:`linear` with respect to input, weights and bias.

    Parameters
    ----------
    dy
        Gradient with respect to y, (..., out).
    x, w
        As in the forward.

    Returns
    -------
    dx, dw, db
        Shapes of x and w, and (out,).

    Examples
    --------
    >>> import numpy as np
    >>> linear_backward(np.array([[1.0]]), np.array([[2.0, 3.0]]), np.array([[4.0, 5.0]]))
    (array([[4., 5.]]), array([[2., 3.]]), array([1.]))
    """
    op = "linear_backward"
    x, w = _arguments(x, w, op)
    dy = checks.floats(dy, "dy", op, like=x)
    checks.shape(dy, (*x.shape[:-1], w.shape[0]), "dy", op, "the shape of the forward's output")
    run = kernel(op, dy, x, w)
    dx, dw, db = run(_rows(dy), _rows(x), checks.contiguous(w))
    return dx.reshape(x.shape), dw, db
