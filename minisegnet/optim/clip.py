"""Gradient clipping: one bad batch shall not throw the weights far away."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from minisegnet.arrays import Array
from minisegnet.autograd import Tensor
from minisegnet.ops import checks
from minisegnet.optim.optimizer import as_parameters


def clip_gradients(
    parameters: Tensor | Iterable[Tensor | tuple[str, Tensor]],
    max_norm: float,
    *,
    error_if_nonfinite: bool = False,
) -> float:
    r"""Scale all gradients by one number where together they are longer than ``max_norm``.

    .. math:: g \leftarrow g \cdot \min\left(1, \frac{m}{\lVert g \rVert + 10^{-6}}\right), \qquad
        \lVert g \rVert = \sqrt{\sum_i g_i^2}

    with the sum over all elements of all gradients: the direction of the step stays, its length shrinks. The
    gradients are changed in place.

    Parameters
    ----------
    parameters
        Tensors, or (name, tensor) pairs. Those without a gradient don't count.
    max_norm
        The greatest length m; infinity to measure only.
    error_if_nonfinite
        Raise a RuntimeError where the length is NaN or infinite, before any gradient is changed. Otherwise such
        a length is returned for the caller to look at, and the gradients are worthless: multiplied by NaN or 0.

    Returns
    -------
    norm
        Length of the gradients before clipping, a Python float. It is summed in float64, in a fixed order. On
        a GPU, this waits for the device.

    Notes
    -----
    PyTorch's ``torch.nn.utils.clip_grad_norm_``, for the 2-norm.

    References
    ----------
    Pascanu, Mikolov & Bengio, "On the difficulty of training recurrent neural networks", 2013, algorithm 1.

    Examples
    --------
    >>> w = Tensor(np.zeros(2), requires_grad=True)
    >>> w.grad = np.array([3.0, 4.0])
    >>> clip_gradients([w], max_norm=1.0)
    5.0
    >>> w.grad.round(3)
    array([0.6, 0.8])
    """
    who = "clip_gradients"
    limit = _max_norm(max_norm, who)
    tensors = as_parameters(parameters, who)
    gradients = [tensor.grad for _, tensor in tensors if tensor.grad is not None]
    norm = _norm(gradients)
    if error_if_nonfinite and not math.isfinite(norm):
        broken = [name for name, t in tensors if t.grad is not None and not math.isfinite(_norm([t.grad]))]
        raise RuntimeError(
            f"{who}: the norm of the gradients is {norm}; it comes from {', '.join(broken[:5]) or 'their sum'}. "
            "Look for a learning rate that is too large, or for NaN in the images"
        )
    coefficient = limit / (norm + 1e-6)
    if not coefficient >= 1:  # written so that NaN goes this way, too
        with np.errstate(invalid="ignore", over="ignore"):  # infinity * 0: the norm has told it already
            for gradient in gradients:
                gradient *= coefficient
    return norm


def _norm(gradients: list[Array]) -> float:
    total: Any = 0.0
    with np.errstate(over="ignore"):  # then the norm is infinity, which says it
        for gradient in gradients:
            # Not np.linalg.norm: BLAS adds in an order that depends on the number of threads.
            g = gradient.astype(np.float64, copy=False)
            total = total + (g * g).sum()
    return math.sqrt(float(total))


def _max_norm(value: Any, who: str) -> float:
    limit = math.inf if value == math.inf else checks.number(value, "max_norm", who)
    if limit < 0:
        raise ValueError(f"{who}: max_norm is {limit}; expected a length of at least 0, such as 1.0")
    return limit
