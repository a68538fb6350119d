r"""What a training loop minimises: cross-entropy, Dice, focal, Tversky, Lovász-softmax, and weighted sums of them.

>>> import numpy as np
>>> logits = Tensor(np.log([[3.0, 1.0], [1.0, 1.0], [1.0, 9.0]]), requires_grad=True)  # (N, C) or (N, C, H, W)
>>> loss = build("ce + 0.5*dice", ignore_index=255)
>>> y = loss(logits, np.array([0, 1, 255]))
>>> y.backward()
>>> y.item() > 0, bool(logits.grad[2].any())  # the third pixel is ignored
(True, False)

Each loss takes scores and integer labels and gives a Tensor without axes. Cross-entropy judges every pixel for
itself; focal does, too, but lets the easy ones count less. Dice, Tversky and Lovász-softmax judge each class as one
region of the whole batch, so that a small class weighs as much as a large one.

What the losses have in common:

- ``ignore_index`` is the label of pixels that don't count: whatever their scores are (NaN, too), they touch nothing.
- ``weight`` (C,) weighs classes, ``pixel_weight`` (target's shape) weighs pixels. A pixel of weight 2 counts as if
  it were there twice (but for the mean of ``bce``, which divides by the number of answers, not by their weights).
- Where nothing counts (everything is ignored, or the batch is empty), the loss is 0 and so is the gradient.

Two floors. ``dice_loss`` and ``dice_loss_backward`` are the arithmetic, arrays in and arrays out, written once for
NumPy and CuPy; ``dice`` calls the first and records the second on the tape.
"""

import difflib
import importlib
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from minisegnet import functional, ops
from minisegnet.arrays import Array
from minisegnet.autograd import Tensor, record
from minisegnet.functional import Input, _array, _constant
from minisegnet.ops import checks
from minisegnet.ops.dispatch import _backend_for, is_cupy
from minisegnet.ops.loss import REDUCTIONS, _cross_entropy_arguments, _dloss, _labels

CLASSES = ("all", "present")


# ---------------------------------------------------------------------------------------------------------
# What the pairs share


def module_of(array: Array) -> Any:
    """Return the module that the array comes from, ``numpy`` or ``cupy``: its functions take the array.

    >>> module_of(np.zeros(2)).__name__
    'numpy'
    """
    return importlib.import_module("cupy") if is_cupy(array) else np


def _where(condition: Array, values: Array, other: float) -> Array:
    """Keep the values where the condition holds, in their dtype, and put a number elsewhere.

    Where pixels don't count this must be a choice, not a product: 0 times NaN is NaN.
    """
    chosen: Array = module_of(values).where(condition, values, values.dtype.type(other))
    return chosen


def _at_least_0(value: Any, name: str, op: str) -> float:
    number = checks.number(value, name, op)
    if number < 0:
        raise ValueError(f"{op}: {name} is {number}; expected a number of at least 0")
    return number


def _regions(
    scores: Array, target: Array, weight: Any, pixel_weight: Any, ignore_index: Any, op: str, name: str
) -> tuple[Array, Array, Array, Array | None]:
    """Check the arguments, and say which pixels belong to each class and how much each pixel counts.

    Returns the scores, the truth (N, C, ...) as bools, the area of each pixel (N, 1, ...), which is its weight and 0
    where it is ignored, and the class weights. No values are read on a GPU.
    """
    scores, target, options = _cross_entropy_arguments(
        scores, target, weight, pixel_weight, ignore_index, "mean", op, name
    )
    weight, pixel_weight = options["weight"], options["pixel_weight"]
    _backend_for(op, (scores, target, weight, pixel_weight))  # raises if NumPy and CuPy are mixed
    xp, C = module_of(scores), scores.shape[1]
    labels = target[:, None]  # (N, 1, ...)
    truth = labels == xp.arange(C).reshape(C, *[1] * (scores.ndim - 2))  # (N, C, ...)
    area = xp.ones(labels.shape, scores.dtype) if pixel_weight is None else pixel_weight[:, None]
    if options["ignore_index"] is not None:
        area = _where(labels != options["ignore_index"], area, 0)
    return scores, truth, area, weight


def _sum_by_class(values: Array) -> Array:
    """Sum over the batch and all pixels, in float64."""
    sums: Array = values.sum(axis=(0, *range(2, values.ndim)), dtype=np.float64)  # (C,)
    return sums


def _shares(areas: Array, weight: Array | None, classes: str) -> Array:
    """Say how much each class counts in the mean: shares that sum to 1, or all 0 where no class counts."""
    shares = module_of(areas).ones_like(areas) if weight is None else weight.astype(np.float64)
    if classes == "present":
        shares = _where(areas > 0, shares, 0)
    return shares / _or_1(shares.sum())


def _or_1(values: Any) -> Array:
    """Replace zeros by 1, so that one can divide by them."""
    return _where(values != 0, values, 1)


def _scalar(value: Any, like: Array) -> Array:
    """Make an array without axes, in the dtype of the scores."""
    scalar: Array = module_of(like).asarray(value, dtype=like.dtype)
    return scalar


def _upstream(dloss: Any, probs: Array, reduction: str, op: str) -> Array:
    """Check the gradient that comes in (a number will do, too)."""
    if is_cupy(probs) and isinstance(dloss, int | float):
        dloss = _scalar(dloss, probs)
    per_pixel = probs[:, 0]  # has target's shape
    checked = _dloss(dloss, per_pixel, probs, reduction, op)
    _backend_for(op, (checked, probs))
    return checked


# ---------------------------------------------------------------------------------------------------------
# Cross-entropy


def cross_entropy(
    logits: Input,
    target: Input,
    *,
    weight: Input | None = None,
    pixel_weight: Input | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""Minus the logarithm of the probability that softmax gives to the right class (교차 엔트로피).

    .. math:: L = \frac{\sum_i \omega_{t_i} q_i\, (-\log p_{i,t_i})}{\sum_i \omega_{t_i} q_i}

    over the pixels i that count, with label t, class weight :math:`\omega` and pixel weight q. The short name of
    :func:`minisegnet.functional.softmax_cross_entropy`.

    Backward: (probabilities - one-hot target) times the weights and dy.

    Parameters
    ----------
    logits
        Scores (N, C) or (N, C, H, W), before any softmax.
    target
        Labels 0..C-1, (N,) or (N, H, W).
    weight
        One weight for each class (C,).
    pixel_weight
        One weight for each pixel, of target's shape.
    ignore_index
        Label of pixels that don't count; None means that all do.
    reduction
        ``"mean"``, ``"sum"`` or ``"none"``.

    Examples
    --------
    >>> logits = np.log(np.array([[1.0, 3.0]]))  # probabilities 1/4 and 3/4
    >>> round(float(np.exp(-cross_entropy(logits, np.array([1])).item())), 6)
    0.75
    """
    return functional.softmax_cross_entropy(
        logits,
        target,
        weight=weight,
        pixel_weight=pixel_weight,
        ignore_index=ignore_index,
        reduction=reduction,
    )


def bce(
    logits: Input,
    target: Input,
    *,
    weight: Input | None = None,
    pixel_weight: Input | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""Cross-entropy of independent yes/no decisions, one for each class (이진 교차 엔트로피).

    .. math:: \ell_{i,c} = -\omega_c\, q_i \left( y_{i,c} \log \sigma(z_{i,c})
              + (1 - y_{i,c}) \log (1 - \sigma(z_{i,c})) \right)

    The mean is over all classes of all pixels that count. Calls :func:`minisegnet.functional.bce_with_logits`.

    Backward: (sigmoid(logits) - target) times the weights and dy.

    Parameters
    ----------
    logits
        Scores (N, C) or (N, C, H, W), before any sigmoid.
    target
        Labels (N,) or (N, H, W): 0 and 1 where C is 1, else 0..C-1, of which each class makes its own yes and no.
        Or probabilities 0..1 of the logits' shape.
    weight
        One weight for each class (C,), or weights that broadcast to the logits' shape.
    pixel_weight
        One weight for each pixel, (N,) or (N, H, W).
    ignore_index
        Label (or target value) that doesn't count; None means that all do.
    reduction
        ``"mean"``, ``"sum"`` or ``"none"`` (then of the logits' shape).

    Examples
    --------
    >>> logits = np.log(np.array([[3.0], [1.0]]))  # the sigmoid says 3/4 and 1/2
    >>> loss = bce(logits, np.array([1, 0]), reduction="none")
    >>> np.exp(-loss.data).round(6)
    array([[0.75],
           [0.5 ]])
    """
    target_data = checks.array(_constant(target, "target"), "target", "bce")
    weight_data = _constant(weight, "weight")
    if target_data.ndim == logits.ndim - 1:
        target_data, ignore_index = _yes_or_no(_array(logits), target_data, ignore_index)
    if weight_data is not None and weight_data.ndim == 1 and logits.ndim > 2:
        weight_data = weight_data.reshape(-1, *[1] * (logits.ndim - 2))  # (C, 1, 1)
    return functional.bce_with_logits(
        logits,
        target_data,
        weight=weight_data,
        pixel_weight=pixel_weight,
        ignore_index=ignore_index,
        reduction=reduction,
    )


def _yes_or_no(logits: Array, target: Array, ignore_index: int | None) -> tuple[Array, int | None]:
    """Turn labels (N, ...) into one yes or no for each class (N, C, ...), and give the mark of ignored ones."""
    C = logits.shape[1]
    if C == 1:
        checks.shape(
            target, (logits.shape[0], *logits.shape[2:]), "target", "bce", "one label for each pixel"
        )
        return target[:, None], ignore_index  # (N, 1, ...)
    labels = _labels(target, logits, ignore_index, "bce")[:, None]  # (N, 1, ...)
    xp = module_of(labels)
    truth = (labels == xp.arange(C).reshape(C, *[1] * (logits.ndim - 2))).astype(logits.dtype)  # (N, C, ...)
    if ignore_index is None:
        return truth, None
    # The ignored label may be 0 or 1, which are answers here: ignored pixels get a mark of their own.
    return xp.where(labels == ignore_index, logits.dtype.type(-1), truth), -1


# ---------------------------------------------------------------------------------------------------------
# Focal loss


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
    >>> logits = np.log(np.array([[3.0, 1.0], [1.0, 1.0]]))  # the right classes have 3/4 and 1/2
    >>> loss, probs = focal_loss(logits, np.array([0, 1]), reduction="none")
    >>> (loss / -np.log([0.75, 0.5])).round(6)  # (1/4)**2 and (1/2)**2 of the cross-entropy
    array([0.0625, 0.25  ])
    """
    op = "focal_loss"
    gamma = _at_least_0(gamma, "gamma", op)
    reduction = checks.choice(reduction, REDUCTIONS, "reduction", op)
    logits, truth, area, _ = _regions(logits, target, weight, pixel_weight, ignore_index, op, "logits")
    losses, probs = ops.softmax_cross_entropy(
        logits, target, weight=weight, pixel_weight=pixel_weight, ignore_index=ignore_index, reduction="none"
    )
    probs = _where(area > 0, probs, 0)
    _, other = _right_and_other(probs, truth)
    losses = losses * other**gamma  # (N, ...)
    if reduction == "none":
        return losses, probs
    total = losses.sum(dtype=np.float64)
    if reduction == "mean":
        total = total / _or_1(_weight_of_all(truth, area, weight))
    return _scalar(total, logits), probs


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

    that is the gradient of cross-entropy times a number for each pixel; divided as the loss for the mean.

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
    >>> probs, target = np.array([[0.75, 0.25], [0.5, 0.5]]), np.array([0, 1])
    >>> focal_loss_backward(1.0, probs, target, gamma=0.0, reduction="sum")
    array([[-0.25,  0.25],
           [ 0.5 , -0.5 ]])
    """
    op = "focal_loss_backward"
    gamma = _at_least_0(gamma, "gamma", op)
    reduction = checks.choice(reduction, REDUCTIONS, "reduction", op)
    probs, truth, area, _ = _regions(probs, target, weight, pixel_weight, ignore_index, op, "probs")
    dloss = _upstream(dloss, probs, reduction, op)
    xp = module_of(probs)
    right, other = _right_and_other(probs, truth)
    # -log p, from 1 - p: where p is nearly 1, its own digits no longer say how nearly.
    surprise = -xp.log1p(-xp.minimum(other, 1 - np.finfo(probs.dtype).eps))
    ratio = _where(other != 0, surprise / _or_1(other), 1)  # goes to 1 as p does
    scale = dloss * other**gamma * (1 + gamma * right * ratio)  # (N, ...)
    if reduction == "mean":
        scale = scale / _scalar(_or_1(_weight_of_all(truth, area, weight)), probs)
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
    return _where(truth, probs, 0).sum(axis=1), _where(~truth, probs, 0).sum(axis=1)  # (N, ...)


def _weight_of_all(truth: Array, area: Array, weight: Array | None) -> Any:
    """Sum class weight times pixel weight over the pixels that count."""
    areas = _areas(truth, area)
    return areas.sum() if weight is None else (areas * weight).sum()


def _areas(truth: Array, area: Array) -> Array:
    """Sum the weights of each class's pixels."""
    return _sum_by_class(_where(truth, area, 0))  # (C,)


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

    >>> logits = np.log(np.array([[3.0, 1.0]]))  # the right class has 3/4
    >>> focal(logits, np.array([0])).item() / cross_entropy(logits, np.array([0])).item()
    0.0625
    """
    target = _constant(target, "target")
    options: Any = {
        "gamma": gamma,
        "weight": _constant(weight, "weight"),
        "pixel_weight": _constant(pixel_weight, "pixel_weight"),
        "ignore_index": ignore_index,
        "reduction": reduction,
    }
    loss, probs = focal_loss(_array(logits), target, **options)
    return record(loss, [logits], lambda dy: focal_loss_backward(dy, probs, target, **options))


# ---------------------------------------------------------------------------------------------------------
# Dice and Tversky: how far the predicted regions overlap with the true ones


def dice_loss(
    logits: Array,
    target: Array,
    *,
    smooth: float = 1.0,
    classes: str = "all",
    weight: Array | None = None,
    pixel_weight: Array | None = None,
    ignore_index: int | None = None,
) -> tuple[Array, Array]:
    r"""One minus the soft Dice score, class by class over the whole batch (다이스 손실).

    .. math::
        L = \sum_c \omega_c \left( 1 - \frac{2 \sum_i q_i\, y_{i,c}\, p_{i,c} + s}
            {\sum_i q_i\, p_{i,c} + \sum_i q_i\, y_{i,c} + s} \right) \Big/ \sum_c \omega_c

    with softmax probabilities p, one-hot target y, pixel weight q and class weight :math:`\omega`: twice the overlap,
    divided by what was predicted plus what is there. Nothing is squared.

    By default the mean is over all classes (as in nnU-Net and MONAI), and s decides about a class that the target
    hasn't: its score is s / (predicted + s), near 1 where (almost) nothing was predicted. With ``classes="present"``
    such a class doesn't count.

    Parameters
    ----------
    logits
        Scores (N, C) or (N, C, H, W), before any softmax.
    target
        Labels 0..C-1, (N,) or (N, H, W), of any integer dtype.
    smooth
        s, at least 0. It keeps the scores of small classes steady, and makes a score of 0/0 a 1.
    classes
        ``"all"``, or ``"present"`` for the mean over the classes that the target has.
    weight
        One weight for each class (C,), for the mean over classes.
    pixel_weight
        One weight for each pixel, of target's shape.
    ignore_index
        Label of pixels that don't count; None means that all do.

    Returns
    -------
    loss
        A 0-d array.
    probs
        Softmax of the logits, 0 at pixels that don't count; the backward needs it.

    Notes
    -----
    Backward: at a pixel of the class the score A/B changes by ``(2 - A/B) / B``, elsewhere by ``-A/B / B``; then
    backward through softmax.

    References
    ----------
    Milletari, Navab and Ahmadi, V-Net: Fully Convolutional Neural Networks for Volumetric Medical Image Segmentation
    (2016), section 3. They have no s, and squares below the line.

    Examples
    --------
    >>> logits = np.log(np.array([[3.0, 1.0], [1.0, 1.0]]))  # probabilities 3/4, 1/4 and 1/2, 1/2
    >>> loss, probs = dice_loss(logits, np.array([0, 1]), smooth=0.0)
    >>> round(loss.item(), 6)  # scores 1.5/(1.25 + 1) = 2/3 and 1/(0.75 + 1) = 4/7
    0.380952
    >>> round((1 / 3 + 3 / 7) / 2, 6)
    0.380952
    """
    counting = (classes, weight, pixel_weight, ignore_index)
    return _overlap_loss("dice_loss", logits, target, (0.5, 0.5, smooth), counting)


def dice_loss_backward(
    dloss: Array | float,
    probs: Array,
    target: Array,
    *,
    smooth: float = 1.0,
    classes: str = "all",
    weight: Array | None = None,
    pixel_weight: Array | None = None,
    ignore_index: int | None = None,
) -> Array:
    r"""Gradient of :func:`dice_loss` with respect to the logits.

    .. math:: dp_{i,c} = -\,dL\, \frac{\omega_c}{\sum_k \omega_k}\, q_i\, \frac{2\,y_{i,c} - A_c / B_c}{B_c}

    where A and B stand above and below the line of the score; then softmax's backward.

    Parameters
    ----------
    dloss
        Gradient with respect to the loss: a 0-d array or a number.
    probs
        As the forward returned them.
    target, smooth, classes, weight, pixel_weight, ignore_index
        As in the forward.

    Returns
    -------
    dlogits
        Shape of the logits.

    Examples
    --------
    >>> probs, target = np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([0, 1])
    >>> dice_loss_backward(1.0, probs, target, smooth=0.0)
    array([[-0.125,  0.125],
           [ 0.125, -0.125]])
    """
    counting = (classes, weight, pixel_weight, ignore_index)
    return _overlap_loss_backward("dice_loss_backward", dloss, probs, target, (0.5, 0.5, smooth), counting)


def dice(
    logits: Input,
    target: Input,
    *,
    smooth: float = 1.0,
    classes: str = "all",
    weight: Input | None = None,
    pixel_weight: Input | None = None,
    ignore_index: int | None = None,
) -> Tensor:
    """One minus the soft Dice score, class by class over the whole batch; see :func:`dice_loss`.

    Backward: how each class's score changes with each probability, then through softmax.

    >>> logits = np.array([[99.0, 0.0], [99.0, 0.0]])  # all of it is class 0
    >>> dice(logits, np.array([0, 0])).item()
    0.0
    >>> dice(logits, np.array([0, 1])).item()  # scores (2 + 1)/(2 + 1 + 1) and (0 + 1)/(0 + 1 + 1)
    0.375
    """
    target = _constant(target, "target")
    options: Any = {
        "smooth": smooth,
        "classes": classes,
        "weight": _constant(weight, "weight"),
        "pixel_weight": _constant(pixel_weight, "pixel_weight"),
        "ignore_index": ignore_index,
    }
    loss, probs = dice_loss(_array(logits), target, **options)
    return record(loss, [logits], lambda dy: dice_loss_backward(dy, probs, target, **options))


def tversky_loss(
    logits: Array,
    target: Array,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    smooth: float = 1.0,
    classes: str = "all",
    weight: Array | None = None,
    pixel_weight: Array | None = None,
    ignore_index: int | None = None,
) -> tuple[Array, Array]:
    r"""Dice with one price for what was found wrongly and another for what was missed.

    .. math::
        L = \sum_c \omega_c \left( 1 - \frac{2\,TP_c + s}{2\,(TP_c + \alpha\, FP_c + \beta\, FN_c) + s} \right)
            \Big/ \sum_c \omega_c

    Softmax probabilities p count as fractions of pixels, over the whole batch: :math:`TP_c = \sum_i q_i\,[t_i = c]\,
    p_{i,c}`, :math:`FP_c = \sum_i q_i\,[t_i \ne c]\,p_{i,c}` and :math:`FN_c = \sum_i q_i\,[t_i = c]\,(1 - p_{i,c})`.
    With alpha = beta = 1/2 it is Dice, with alpha = beta = 1 it is Jaccard (IoU).

    Parameters
    ----------
    logits, target, smooth, classes, weight, pixel_weight, ignore_index
        As in :func:`dice_loss`.
    alpha
        Price of false positives, at least 0.
    beta
        Price of false negatives, at least 0. Above alpha, small regions are rather found too large than missed.

    Returns
    -------
    loss, probs
        As in :func:`dice_loss`.

    Notes
    -----
    Backward: a score A/B changes by ``(dA - A/B dB) / B``; then backward through softmax.

    References
    ----------
    Salehi, Erdogmus and Gholipour, Tversky loss function for image segmentation using 3D fully convolutional deep
    networks (2017), section 2. There is no s there; here it stands where it stands in Dice.

    Examples
    --------
    >>> logits = np.log(np.array([[3.0, 1.0], [1.0, 1.0]]))  # probabilities 3/4, 1/4 and 1/2, 1/2
    >>> loss, probs = tversky_loss(logits, np.array([0, 1]), alpha=1.0, beta=1.0, smooth=0.0)
    >>> round(loss.item(), 6)  # Jaccard: TP/(TP + FP + FN) is 0.75/1.5 for class 0 and 0.5/1.25 for class 1
    0.55
    """
    counting = (classes, weight, pixel_weight, ignore_index)
    return _overlap_loss("tversky_loss", logits, target, (alpha, beta, smooth), counting)


def tversky_loss_backward(
    dloss: Array | float,
    probs: Array,
    target: Array,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    smooth: float = 1.0,
    classes: str = "all",
    weight: Array | None = None,
    pixel_weight: Array | None = None,
    ignore_index: int | None = None,
) -> Array:
    r"""Gradient of :func:`tversky_loss` with respect to the logits.

    A class's score is A/B. More probability at a pixel of the class changes A by 2 and B by :math:`2 (1 - \beta)`,
    elsewhere A by 0 and B by :math:`2 \alpha`; the score changes by :math:`(dA - \frac{A}{B}\,dB) / B`. Then softmax's
    backward.

    Parameters
    ----------
    dloss
        Gradient with respect to the loss: a 0-d array or a number.
    probs
        As the forward returned them.
    target, alpha, beta, smooth, classes, weight, pixel_weight, ignore_index
        As in the forward.

    Returns
    -------
    dlogits
        Shape of the logits.

    Examples
    --------
    >>> probs, target = np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([0, 1])
    >>> tversky_loss_backward(1.0, probs, target, alpha=0.5, beta=0.5, smooth=0.0)
    array([[-0.125,  0.125],
           [ 0.125, -0.125]])
    """
    counting = (classes, weight, pixel_weight, ignore_index)
    return _overlap_loss_backward(
        "tversky_loss_backward", dloss, probs, target, (alpha, beta, smooth), counting
    )


Counting: TypeAlias = tuple[str, Any, Any, Any]  # classes, weight, pixel_weight, ignore_index


def _overlap_loss(
    op: str, logits: Array, target: Array, prices: Sequence[float], counting: Counting
) -> tuple[Array, Array]:
    """Compute Tversky's loss, and Dice, which is Tversky's with both kinds of wrong pixels at half a price."""
    alpha, beta, smooth = _prices(prices, op)
    classes, weight, pixel_weight, ignore_index = counting
    checks.choice(classes, CLASSES, "classes", op)
    logits, truth, area, weight = _regions(logits, target, weight, pixel_weight, ignore_index, op, "logits")
    probs = _where(area > 0, ops.softmax(logits), 0)
    score, _, areas = _scores(probs, truth, area, alpha, beta, smooth)  # (C,)
    return _scalar((_shares(areas, weight, classes) * (1 - score)).sum(), logits), probs


def _overlap_loss_backward(
    op: str, dloss: Any, probs: Array, target: Array, prices: Sequence[float], counting: Counting
) -> Array:
    """Go back from the loss to the scores, to the probabilities, to the logits."""
    alpha, beta, smooth = _prices(prices, op)
    classes, weight, pixel_weight, ignore_index = counting
    checks.choice(classes, CLASSES, "classes", op)
    probs, truth, area, weight = _regions(probs, target, weight, pixel_weight, ignore_index, op, "probs")
    dloss = _upstream(dloss, probs, "mean", op)
    score, size, areas = _scores(probs, truth, area, alpha, beta, smooth)  # (C,)
    dscore = -dloss * _shares(areas, weight, classes)
    on_class = dscore * (2 - score * 2 * (1 - beta)) / size  # slopes at pixels of the class, and elsewhere
    off_class = dscore * (0 - score * 2 * alpha) / size
    slopes = [a.astype(probs.dtype).reshape(-1, *[1] * (probs.ndim - 2)) for a in (on_class, off_class)]
    dprobs = module_of(probs).where(truth, *slopes) * area  # (N, C, ...)
    return ops.softmax_backward(dprobs, probs)


def _prices(prices: Sequence[Any], op: str) -> list[float]:
    """Check alpha, beta and smooth."""
    names = ("alpha", "beta", "smooth")
    return [_at_least_0(value, name, op) for value, name in zip(prices, names, strict=True)]


def _scores(
    probs: Array, truth: Array, area: Array, alpha: float, beta: float, smooth: float
) -> tuple[Array, Array, Array]:
    """Give each class's score A/B, its B, and its area in the target, in float64."""
    mass = probs * area  # (N, C, ...)
    actual, predicted = _areas(truth, area), _sum_by_class(mass)  # (C,)
    true_positive = _sum_by_class(_where(truth, mass, 0))  # (C,)
    false_positive, false_negative = predicted - true_positive, actual - true_positive
    size = 2 * (true_positive + alpha * false_positive + beta * false_negative) + smooth
    score = _where(size != 0, (2 * true_positive + smooth) / _or_1(size), 1)  # nothing there, nothing found
    return score, _or_1(size), actual


def tversky(
    logits: Input,
    target: Input,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    smooth: float = 1.0,
    classes: str = "all",
    weight: Input | None = None,
    pixel_weight: Input | None = None,
    ignore_index: int | None = None,
) -> Tensor:
    """Dice with one price for what was found wrongly and another for what was missed; see :func:`tversky_loss`.

    Backward: how each class's score changes with each probability, then through softmax.

    >>> logits, target = np.array([[2.0, 0.0], [0.0, 0.0]]), np.array([0, 1])
    >>> missing_costs_more = tversky(logits, target, alpha=0.3, beta=0.7)
    >>> tversky(logits, target, alpha=0.5, beta=0.5).item() == dice(logits, target).item()
    True
    """
    target = _constant(target, "target")
    options: Any = {
        "alpha": alpha,
        "beta": beta,
        "smooth": smooth,
        "classes": classes,
        "weight": _constant(weight, "weight"),
        "pixel_weight": _constant(pixel_weight, "pixel_weight"),
        "ignore_index": ignore_index,
    }
    loss, probs = tversky_loss(_array(logits), target, **options)
    return record(loss, [logits], lambda dy: tversky_loss_backward(dy, probs, target, **options))


# ---------------------------------------------------------------------------------------------------------
# Lovász-softmax: the mean IoU itself, made differentiable


def lovasz_softmax_loss(
    logits: Array,
    target: Array,
    *,
    classes: str = "present",
    weight: Array | None = None,
    pixel_weight: Array | None = None,
    ignore_index: int | None = None,
) -> tuple[Array, Array, Array]:
    r"""One minus the mean IoU, extended from hard predictions to probabilities.

    .. math:: L = \sum_c \omega_c \sum_j m_{c,(j)} \left( \Delta_c(\{(1), \dots, (j)\})
              - \Delta_c(\{(1), \dots, (j-1)\}) \right) \Big/ \sum_c \omega_c

    The error m of a pixel is 1 - p where it belongs to the class c, and p elsewhere; (1), (2), ... are the pixels of
    the whole batch, the largest error first. :math:`\Delta_c(S)` is the Jaccard loss 1 - IoU of class c when the
    pixels in S are wrong. So where all probabilities are 0 or 1, the loss is one minus the mean IoU; in between it is
    the tightest convex function of the errors with these values.

    Parameters
    ----------
    logits
        Scores (N, C) or (N, C, H, W), before any softmax.
    target
        Labels 0..C-1, (N,) or (N, H, W), of any integer dtype.
    classes
        ``"present"`` for the mean over the classes that the target has, or ``"all"``: the loss of a class that it
        hasn't is the largest probability that it gets.
    weight
        One weight for each class (C,), for the mean over classes.
    pixel_weight
        One weight for each pixel, of target's shape: its area in intersection and union.
    ignore_index
        Label of pixels that don't count; None means that all do.

    Returns
    -------
    loss
        A 0-d array.
    probs
        Softmax of the logits, 0 at pixels that don't count; the backward needs it.
    slopes
        Gradient of the loss with respect to the probabilities, of their shape. The sorting gives it along with the
        loss; the backward needs it.

    Notes
    -----
    Backward: the differences of :math:`\Delta` are the slopes; then backward through softmax. Equal errors keep their
    order in memory.

    References
    ----------
    Berman, Triki and Blaschko, The Lovász-Softmax loss: A tractable surrogate for the optimization of the
    intersection-over-union measure in neural networks (2018), section 2 and algorithm 1.

    Examples
    --------
    >>> prediction, target = np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1])
    >>> logits = 1000 * np.eye(2)[prediction]  # as sure as can be
    >>> loss, probs, slopes = lovasz_softmax_loss(logits, target)
    >>> round(loss.item(), 6)  # IoU is 1/2 for class 0 and 2/3 for class 1
    0.416667
    """
    op = "lovasz_softmax_loss"
    classes = checks.choice(classes, CLASSES, "classes", op)
    logits, truth, area, weight = _regions(logits, target, weight, pixel_weight, ignore_index, op, "logits")
    probs = _where(area > 0, ops.softmax(logits), 0)
    xp = module_of(probs)
    errors = xp.where(truth, 1 - probs, probs)  # (N, C, ...)
    by_class = [_by_class(a) for a in (errors, truth, xp.broadcast_to(area, truth.shape))]  # (C, P)
    slopes = _jaccard_slopes(*by_class) * _shares(_areas(truth, area), weight, classes)[:, None]  # (C, P)
    loss = _scalar((slopes * by_class[0]).sum(), logits)
    N, C, *rest = probs.shape
    slopes = xp.moveaxis(slopes.reshape(C, N, *rest), 1, 0).astype(probs.dtype)  # (N, C, ...)
    return loss, probs, xp.where(truth, -slopes, slopes)


def lovasz_softmax_loss_backward(dloss: Array | float, probs: Array, slopes: Array) -> Array:
    r"""Gradient of :func:`lovasz_softmax_loss` with respect to the logits: ``dloss * slopes``, through softmax.

    .. math:: dz_{i,c} = dL\; p_{i,c} \left( g_{i,c} - \sum_k g_{i,k}\, p_{i,k} \right)

    with slopes g.

    Parameters
    ----------
    dloss
        Gradient with respect to the loss: a 0-d array or a number.
    probs, slopes
        As the forward returned them.

    Returns
    -------
    dlogits
        Shape of the logits.

    Examples
    --------
    >>> lovasz_softmax_loss_backward(1.0, np.array([[0.5, 0.5]]), np.array([[-1.0, 1.0]]))
    array([[-0.5,  0.5]])
    """
    op = "lovasz_softmax_loss_backward"
    probs = checks.floats(probs, "probs", op)
    slopes = checks.floats(slopes, "slopes", op, like=probs, like_name="probs")
    checks.shape(slopes, probs.shape, "slopes", op, "the probabilities' shape")
    return ops.softmax_backward(_upstream(dloss, probs, "mean", op) * slopes, probs)


def _by_class(array: Array) -> Array:
    """Bring the classes to the front and put all pixels of the batch into one row."""
    C, pixels = array.shape[1], array[:, 0].size
    rows: Array = module_of(array).moveaxis(array, 1, 0).reshape(C, pixels)  # (C, P)
    return rows


def _jaccard_slopes(errors: Array, truth: Array, area: Array) -> Array:
    """Say by how much the Jaccard loss of each class grows when a pixel joins those with larger errors.

    All arrays are (C, P), the result is float64. A pixel of area 0 changes neither intersection nor union: its
    slope is exactly 0, wherever it is sorted in.
    """
    xp = module_of(errors)
    order = xp.argsort(-errors, axis=1, kind="stable")  # (C, P), the largest error first
    rows = xp.arange(len(errors))[:, None]  # (C, 1)
    truth, area = truth[rows, order], area[rows, order].astype(np.float64)  # (C, P)
    inside, outside = _where(truth, area, 0), _where(~truth, area, 0)  # (C, P)
    total = inside.sum(axis=1, keepdims=True)  # (C, 1)
    intersection = total - xp.cumsum(inside, axis=1)  # what is left of a region that loses its worst pixels
    union = total + xp.cumsum(outside, axis=1)  # (C, P)
    jaccard = _where(union != 0, 1 - intersection / _or_1(union), 0)  # (C, P)
    slopes: Array = xp.empty_like(jaccard)
    slopes[rows, order] = xp.diff(jaccard, axis=1, prepend=0.0)  # back to where the pixels came from
    return slopes


def lovasz_softmax(
    logits: Input,
    target: Input,
    *,
    classes: str = "present",
    weight: Input | None = None,
    pixel_weight: Input | None = None,
    ignore_index: int | None = None,
) -> Tensor:
    """One minus the mean IoU, extended from hard predictions to probabilities; see :func:`lovasz_softmax_loss`.

    Backward: how the Jaccard loss grows pixel by pixel, the largest error first; then through softmax.

    >>> lovasz_softmax(np.array([[99.0, 0.0], [0.0, 99.0]]), np.array([0, 1])).item() < 1e-40  # perfect
    True
    """
    loss, probs, slopes = lovasz_softmax_loss(
        _array(logits),
        _constant(target, "target"),
        classes=classes,
        weight=_constant(weight, "weight"),
        pixel_weight=_constant(pixel_weight, "pixel_weight"),
        ignore_index=ignore_index,
    )
    return record(loss, [logits], lambda dy: lovasz_softmax_loss_backward(dy, probs, slopes))


# ---------------------------------------------------------------------------------------------------------
# Weighted sums of them

Loss: TypeAlias = Callable[..., Tensor]

LOSSES: dict[str, Loss] = {
    "ce": cross_entropy,
    "cross_entropy": cross_entropy,
    "bce": bce,
    "dice": dice,
    "focal": focal,
    "tversky": tversky,
    "lovasz": lovasz_softmax,
    "lovasz_softmax": lovasz_softmax,
}

TERM = re.compile(r"\s*(?:(?P<factor>(?:\d+\.?\d*|\.\d+)(?:[eE]-?\d+)?)\s*\*\s*)?(?P<name>[A-Za-z_]\w*)\s*")


class WeightedSum:
    """A weighted sum of losses with all their options: ``loss(logits, target, *, pixel_weight=None)``.

    Made by :func:`build`. ``terms`` holds (factor, loss, options) for each loss.
    """

    def __init__(self, terms: Sequence[tuple[float, Loss, dict[str, Any]]]) -> None:
        self.terms = list(terms)

    def __call__(self, logits: Input, target: Input, *, pixel_weight: Input | None = None) -> Tensor:
        """Add up the losses."""
        losses = [
            factor * loss(logits, target, pixel_weight=pixel_weight, **options)
            for factor, loss, options in self.terms
        ]
        total = losses[0]
        for loss in losses[1:]:
            total = total + loss
        return total

    def __repr__(self) -> str:
        return " + ".join(
            loss.__name__ if factor == 1 else f"{factor:g}*{loss.__name__}" for factor, loss, _ in self.terms
        )


def build(expression: str, **options: Any) -> WeightedSum:
    """Make a loss from its name, or from a sum of names with factors.

    Parameters
    ----------
    expression
        Such as ``"focal"``, ``"ce+dice"`` or ``"ce + 0.5*dice"``; see :func:`names`.
    **options
        Keyword arguments of the losses, such as ``ignore_index=255``, ``weight=...`` or ``gamma=1.5``. Each goes to
        all those losses in the sum that take it.

    Returns
    -------
    loss
        ``loss(logits, target, *, pixel_weight=None)`` -> a Tensor without axes.

    Examples
    --------
    >>> loss = build("ce + 0.5*dice", ignore_index=255)
    >>> loss
    cross_entropy + 0.5*dice
    >>> logits, target = np.array([[2.0, 0.0], [0.0, 0.0]]), np.array([0, 255])
    >>> expected = cross_entropy(logits, target, ignore_index=255) + 0.5 * dice(logits, target, ignore_index=255)
    >>> loss(logits, target).item() == expected.item()
    True
    >>> build("dise")
    Traceback (most recent call last):
    ...
    ValueError: build: there is no loss named 'dise'; did you mean 'dice'? Losses: bce, ce, dice, focal, lovasz, tversky
    """
    if not isinstance(expression, str):
        raise TypeError(f"build: expected a name such as 'ce+dice', got a {type(expression).__name__}")
    terms = [_term(part, expression) for part in expression.split("+")]
    taken = {name for _, loss in terms for name in _options_of(loss)}
    for name in options:
        if name not in taken:
            raise TypeError(
                f"build: {expression!r} takes no option named {name!r}{_nearest(name, taken)} "
                f"Options: {', '.join(sorted(taken))}"
            )
    return WeightedSum(
        [
            (factor, loss, {k: v for k, v in options.items() if k in _options_of(loss)})
            for factor, loss in terms
        ]
    )


def names() -> list[str]:
    """Return the names that :func:`build` knows; ``cross_entropy`` and ``lovasz_softmax`` in full will do, too.

    >>> names()
    ['bce', 'ce', 'dice', 'focal', 'lovasz', 'tversky']
    """
    shortest = {loss: min((n for n in LOSSES if LOSSES[n] is loss), key=len) for loss in LOSSES.values()}
    return sorted(shortest.values())


def _term(text: str, expression: str) -> tuple[float, Loss]:
    """Read one term: a name, or a factor, a star and a name."""
    match = TERM.fullmatch(text)
    if not match:
        raise ValueError(
            f"build: can't read {text.strip()!r} in {expression!r}; expected names and factors such as "
            f"'ce + 0.5*dice'. Losses: {', '.join(names())}"
        )
    name = match["name"]
    if name not in LOSSES:
        raise ValueError(
            f"build: there is no loss named {name!r}{_nearest(name, LOSSES)} Losses: {', '.join(names())}"
        )
    return float(match["factor"] or 1), LOSSES[name]


def _options_of(loss: Loss) -> list[str]:
    """Name the keyword arguments that are fixed when a loss is built."""
    parameters = inspect.signature(loss).parameters.values()
    fixed = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    return [name for name in fixed if name not in ("pixel_weight", "reduction")]  # a sum adds up means


def _nearest(name: str, known: Any) -> str:
    found = difflib.get_close_matches(name.lower(), sorted(known), n=1)
    return f"; did you mean {found[0]!r}?" if found else "."
