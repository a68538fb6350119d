"""Tversky loss: Dice with one price for what was found wrongly and another for what was missed."""

from minisegnet.arrays import Array
from minisegnet.autograd import Tensor
from minisegnet.inputs import Input
from minisegnet.losses.common import on_tape
from minisegnet.losses.overlap import overlap_loss, overlap_loss_backward


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

    >>> import numpy as np
    >>> from minisegnet.losses import dice
    >>> logits, target = np.array([[2.0, 0.0], [0.0, 0.0]]), np.array([0, 1])
    >>> tversky(logits, target, alpha=0.5, beta=0.5).item() == dice(logits, target).item()
    True
    """
    return on_tape(
        tversky_loss,
        tversky_loss_backward,
        logits,
        target,
        alpha=alpha,
        beta=beta,
        smooth=smooth,
        classes=classes,
        weight=weight,
        pixel_weight=pixel_weight,
        ignore_index=ignore_index,
    )


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
        Price of false negatives, at least 0. Above alpha, it makes small regions too large rather than missed.

    Returns
    -------
    loss, probs
        As in :func:`dice_loss`.

    Notes
    -----
    Backward: a score A/B changes by ``(dA - A/B * dB) / B``; then backward through softmax.

    References
    ----------
    Salehi, Erdogmus and Gholipour, Tversky loss function for image segmentation using 3D fully convolutional deep
    networks (2017), section 2. There is no s there; here it stands where it stands in Dice.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.log(np.array([[3.0, 1.0], [1.0, 1.0]]))  # probabilities 3/4, 1/4 and 1/2, 1/2
    >>> loss, probs = tversky_loss(logits, np.array([0, 1]), alpha=1.0, beta=1.0, smooth=0.0)
    >>> round(loss.item(), 6)  # Jaccard: TP/(TP + FP + FN) is 0.75/1.5 for class 0 and 0.5/1.25 for class 1
    0.55
    """
    return overlap_loss(
        "tversky_loss",
        logits,
        target,
        alpha=alpha,
        beta=beta,
        smooth=smooth,
        classes=classes,
        weight=weight,
        pixel_weight=pixel_weight,
        ignore_index=ignore_index,
    )


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

    .. math:: dp_{i,c} = -\,dL\, \frac{\omega_c}{\sum_k \omega_k}\, q_i\, \frac{dA - (A_c / B_c)\, dB}{B_c}

    where A and B stand above and below the line of the score: dA = 2 and :math:`dB = 2 (1 - \beta)` at a pixel of the
    class, dA = 0 and :math:`dB = 2 \alpha` elsewhere. Then softmax's backward.

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
    >>> import numpy as np
    >>> probs, target = np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([0, 1])
    >>> tversky_loss_backward(1.0, probs, target, alpha=0.5, beta=0.5, smooth=0.0)
    array([[-0.125,  0.125],
           [ 0.125, -0.125]])
    """
    return overlap_loss_backward(
        "tversky_loss_backward",
        dloss,
        probs,
        target,
        alpha=alpha,
        beta=beta,
        smooth=smooth,
        classes=classes,
        weight=weight,
        pixel_weight=pixel_weight,
        ignore_index=ignore_index,
    )
