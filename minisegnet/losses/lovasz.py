"""Lovász-softmax loss: the mean IoU itself, made differentiable."""

import numpy as np

from minisegnet import ops
from minisegnet.arrays import Array
from minisegnet.autograd import Tensor, record
from minisegnet.inputs import Input, array_of, constant_of
from minisegnet.losses.common import (
    CLASSES,
    areas_of,
    module_of,
    or_1,
    regions,
    scalar,
    shares,
    upstream,
    where,
)
from minisegnet.ops import checks


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

    >>> import numpy as np
    >>> lovasz_softmax(np.array([[99.0, 0.0], [0.0, 99.0]]), np.array([0, 1])).item() < 1e-40  # perfect
    True
    """
    loss, probs, slopes = lovasz_softmax_loss(
        array_of(logits),
        constant_of(target, "target"),
        classes=classes,
        weight=constant_of(weight, "weight"),
        pixel_weight=constant_of(pixel_weight, "pixel_weight"),
        ignore_index=ignore_index,
    )
    return record(loss, [logits], lambda dy: lovasz_softmax_loss_backward(dy, probs, slopes))


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
    >>> import numpy as np
    >>> prediction, target = np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1])
    >>> logits = 1000 * np.eye(2)[prediction]  # as sure as can be
    >>> loss, probs, slopes = lovasz_softmax_loss(logits, target)
    >>> round(loss.item(), 6)  # IoU is 1/2 for class 0 and 2/3 for class 1
    0.416667
    """
    op = "lovasz_softmax_loss"
    classes = checks.choice(classes, CLASSES, "classes", op)
    logits, truth, area, weight = regions(logits, target, weight, pixel_weight, ignore_index, op, "logits")
    probs = where(area > 0, ops.softmax(logits), 0)
    xp = module_of(probs)
    errors = xp.where(truth, 1 - probs, probs)  # (N, C, ...)
    by_class = [_by_class(a) for a in (errors, truth, xp.broadcast_to(area, truth.shape))]  # (C, P)
    slopes = _jaccard_slopes(*by_class) * shares(areas_of(truth, area), weight, classes)[:, None]  # (C, P)
    loss = scalar((slopes * by_class[0]).sum(), logits)
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
    >>> import numpy as np
    >>> lovasz_softmax_loss_backward(1.0, np.array([[0.5, 0.5]]), np.array([[-1.0, 1.0]]))
    array([[-0.5,  0.5]])
    """
    op = "lovasz_softmax_loss_backward"
    probs = checks.floats(probs, "probs", op)
    slopes = checks.floats(slopes, "slopes", op, like=probs, like_name="probs")
    checks.shape(slopes, probs.shape, "slopes", op, "the probabilities' shape")
    return ops.softmax_backward(upstream(dloss, probs, "mean", op) * slopes, probs)


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
    inside, outside = where(truth, area, 0), where(~truth, area, 0)  # (C, P)
    total = inside.sum(axis=1, keepdims=True)  # (C, 1)
    intersection = total - xp.cumsum(inside, axis=1)  # what is left of a region that loses its worst pixels
    union = total + xp.cumsum(outside, axis=1)  # (C, P)
    jaccard = where(union != 0, 1 - intersection / or_1(union), 0)  # (C, P)
    growth = jaccard.copy()  # of the first pixel: all of it
    growth[:, 1:] -= jaccard[:, :-1]
    slopes: Array = xp.empty_like(jaccard)
    slopes[rows, order] = growth  # back to where the pixels came from
    return slopes
