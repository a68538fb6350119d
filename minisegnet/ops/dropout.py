"""Dropout whose random bits are a function of (seed, step, layer, position), the same on every backend."""

from collections.abc import Sequence

import numpy as np

from minisegnet.arrays import Array
from minisegnet.ops import checks
from minisegnet.ops.dispatch import kernel


def _probability(value: float, op: str) -> float:
    p = checks.number(value, "p", op)
    if not 0 <= p <= 1:
        raise ValueError(f"{op}: p is {p}; expected a probability from 0 to 1")
    return p


def dropout(x: Array, p: float, *, key: Sequence[int]) -> tuple[Array, Array]:
    r"""Set each element to 0 with probability p, and scale the others by 1 / (1 - p) (드롭아웃).

    Parameters
    ----------
    x
        Any shape.
    p
        Probability to drop, 0 to 1.
    key
        Three integers (seed, step, layer). The same key drops the same elements, whatever the backend, the
        memory layout or the number of threads; another step or layer drops others.

    Returns
    -------
    y
        Shape of x.
    mask
        bool, same shape: True where an element was kept.

    Notes
    -----
    The bits come from the counter-based generator Philox4x32-10 (J. Salmon et al., "Parallel random numbers: as easy
    as 1, 2, 3", 2011). Backward: ``dy / (1 - p)`` where kept, else 0. N. Srivastava et al., "Dropout" (2014).

    Examples
    --------
    >>> import numpy as np
    >>> y, mask = dropout(np.ones(8), 0.5, key=(0, 0, 0))
    >>> y
    array([0., 2., 2., 2., 2., 0., 2., 0.])
    """
    op = "dropout"
    x = checks.floats(x, "x", op)
    p = _probability(p, op)
    if not isinstance(key, tuple | list) or len(key) != 3:
        raise ValueError(f"{op}: key is {key!r}; expected three integers (seed, step, layer)")
    limits = (2**64 - 1, 2**32 - 1, 2**32 - 1)
    seed, step, layer = (
        checks.integer(part, f"key[{i}]", op, 0, maximum=limit)
        for i, (part, limit) in enumerate(zip(key, limits, strict=True))
    )
    return kernel(op, x)(checks.contiguous(x), p, key=(seed, step, layer))


def dropout_backward(dy: Array, mask: Array, p: float) -> Array:
    """Gradient of :func:`dropout`: ``dy / (1 - p)`` where kept, else 0.

    Parameters
    ----------
    dy
        Gradient with respect to y.
    mask
        As the forward returned it.
    p
        As in the forward.

    Returns
    -------
    dx
        Shape of dy.

    Examples
    --------
    >>> import numpy as np
    >>> dropout_backward(np.array([3.0, 4.0]), np.array([True, False]), 0.5)
    array([6., 0.])
    """
    op = "dropout_backward"
    dy = checks.floats(dy, "dy", op)
    mask = checks.array(mask, "mask", op)
    if mask.dtype != np.bool_:
        raise TypeError(f"{op}: mask has dtype {mask.dtype}; expected the bool mask that dropout returned")
    checks.shape(mask, dy.shape, "mask", op, "the shape of dy")
    p = _probability(p, op)
    return kernel(op, dy, mask)(checks.contiguous(dy), checks.contiguous(mask), p)
