"""Focal loss: cross-entropy in which pixels that are right already count less."""

from typing import Any

import numpy as np

from minisegnet import ops
from minisegnet.arrays import Array
from minisegnet.autograd import Tensor
from minisegnet.inputs import Input
from minisegnet.losses.common import (
    areas_of,
    at_least_0,
    module_of,
    on_tape,
    or_1,
    regions,
    scalar,
    upstream,
    where,
)
from minisegnet.ops import checks
from minisegnet.ops.loss import REDUCTIONS


def focal(
    logits: Input,
    target: Input,
    *,
    gamma: float = 2.0,
    weight: Input | None = None,
    pixel_weight: Input | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy in which pixels that are right already count less; see :func:`focal_loss`.

    Backward: the gradient of cross-entropy times a number for each pixel.

    >>> import numpy as np
    >>> from minisegnet.losses import cross_entropy
    >>> logits = np.log(np.array([[3.0, 1.0]]))  # the right class has 3/4
    >>> focal(logits, np.array([0])).item() / cross_entropy(logits, np.array([0])).item()
    0.0625
    """
    return on_tape(
        focal_loss,
        focal_loss_backward,
        logits,
        target,
        gamma=gamma,
        weight=weight,
        pixel_weight=pixel_weight,
        ignore_index=ignore_index,
        reduction=reduction,
    )


def focal_loss(
    logits: Array,
    target: Array,
    *,
    gamma: float = 2.0,
    weight: Array | None = None,
    pixel_weight: Array | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> tuple[Array, Array]:
    r"""Cross-entropy in which pixels that are right already count less.

    .. math:: \ell_i = -\,\omega_{t_i}\, q_i\, (1 - p_{i,t_i})^\gamma \log p_{i,t_i}

    with label t, class weight :math:`\omega` (the paper's alpha), pixel weight q and softmax probabilities p. With
    gamma 0 it is the cross-entropy. The mean divides by the sum of :math:`\omega_{t_i} q_i`, as that of
    cross-entropy does.

    Parameters
    ----------
    logits
        Scores (N, C) or (N, C, H, W), before any softmax.
    target
        Labels 0..C-1, (N,) or (N, H, W), of any integer dtype.
    gamma
        At least 0. With 2, a pixel of probability 0.9 counts a hundredth.
    weight
        One weight for each class (C,).
    pixel_weight
        One weight for each pixel, of target's shape.
    ignore_index
        Label of pixels that don't count; None means that all do.
    reduction
        ``"mean"``, ``"sum"`` or ``"none"``.

    Returns
    -------
    loss
        A 0-d array, or of target's shape with ``"none"``.
    probs
        Softmax of the logits, 0 at pixels that don't count; the backward needs it.

    Notes
    -----
    Backward: ``(probs - onehot) * (1 - p)**gamma * (1 + gamma * p * -log(p) / (1 - p))``, weighted.

    References
    ----------
    Lin, Goyal, Girshick, He and Dollár, Focal Loss for Dense Object Detection (2017), section 3.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.log(np.array([[3.0, 1.0], [1.0, 1.0]]))  # the right classes have 3/4 and 1/2
    >>> loss, probs = focal_loss(logits, np.array([0, 1]), reduction="none")
    >>> (loss / -np.log([0.75, 0.5])).round(6)  # (1/4)**2 and (1/2)**2 of the cross-entropy
    array([0.0625, 0.25  ])
    """
    op = "focal_loss"
    gamma = at_least_0(gamma, "gamma", op)
    reduction = checks.choice(reduction, REDUCTIONS, "reduction", op)
    logits, truth, area, _ = regions(logits, target, weight, pixel_weight, ignore_index, op, "logits")
    losses, probs = ops.softmax_cross_entropy(
        logits, target, weight=weight, pixel_weight=pixel_weight, ignore_index=ignore_index, reduction="none"
    )
    probs = where(area > 0, probs, 0)
    _, other = _right_and_other(probs, truth)
    losses = losses * other**gamma  # (N, ...)
    if reduction == "none":
        return losses, probs
    total = losses.sum(dtype=np.float64)
    if reduction == "mean":
        total = total / or_1(_weight_of_all(truth, area, weight))
    return scalar(total, logits), probs


def focal_loss_backward(
    dloss: Array | float,
    probs: Array,
    target: Array,
    *,
    gamma: float = 2.0,
    weight: Array | None = None,
    pixel_weight: Array | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Array:
    r"""Gradient of :func:`focal_loss` with respect to the logits.

    .. math:: dz_{i,c} = d\ell_i\, \omega_{t_i} q_i\, (1 - p)^\gamma
              \left( 1 + \gamma\, p\, \frac{-\log p}{1 - p} \right) (p_{i,c} - [c = t_i]), \quad p = p_{i,t_i}

    the gradient of cross-entropy times a number for each pixel. For the mean it is divided as the loss is.

    Parameters
    ----------
    dloss
        Gradient with respect to the loss: a 0-d array or a number, or of target's shape with ``"none"``.
    probs
        As the forward returned them.
    target, gamma, weight, pixel_weight, ignore_index, reduction
        As in the forward.

    Returns
    -------
    dlogits
        Shape of the logits.

    Examples
    --------
    >>> import numpy as np
    >>> probs, target = np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([0, 1])
    >>> focal_loss_backward(1.0, probs, target, gamma=0.0, reduction="sum")
    array([[-0.25,  0.25],
           [ 0.5 , -0.5 ]])
    """
    op = "focal_loss_backward"
    gamma = at_least_0(gamma, "gamma", op)
    reduction = checks.choice(reduction, REDUCTIONS, "reduction", op)
    probs, truth, area, _ = regions(probs, target, weight, pixel_weight, ignore_index, op, "probs")
    dloss = upstream(dloss, probs, reduction, op)
    xp = module_of(probs)
    right, other = _right_and_other(probs, truth)
    # -log p, from 1 - p: where p is nearly 1, its own digits no longer say how nearly.
    surprise = -xp.log1p(-xp.minimum(other, 1 - np.finfo(probs.dtype).eps))
    ratio = where(other != 0, surprise / or_1(other), 1)  # goes to 1 as p does
    scale = dloss * other**gamma * (1 + gamma * right * ratio)  # (N, ...)
    if reduction == "mean":
        scale = scale / scalar(or_1(_weight_of_all(truth, area, weight)), probs)
    return ops.softmax_cross_entropy_backward(
        scale,
        probs,
        target,
        weight=weight,
        pixel_weight=pixel_weight,
        ignore_index=ignore_index,
        reduction="none",
    )


def _right_and_other(probs: Array, truth: Array) -> tuple[Array, Array]:
    """Give the probability p of the right class, and 1 - p as the sum of the others, which loses no digits."""
    return where(truth, probs, 0).sum(axis=1), where(~truth, probs, 0).sum(axis=1)  # (N, ...)


def _weight_of_all(truth: Array, area: Array, weight: Array | None) -> Any:
    """Sum class weight times pixel weight over the pixels that count."""
    areas = areas_of(truth, area)
    return areas.sum() if weight is None else (areas * weight).sum()
