"""Dice loss: how far each predicted region overlaps with the true one."""

from minisegnet.arrays import Array
from minisegnet.autograd import Tensor
from minisegnet.inputs import Input
from minisegnet.losses.common import on_tape
from minisegnet.losses.overlap import overlap_loss, overlap_loss_backward


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

    >>> import numpy as np
    >>> logits = np.array([[99.0, 0.0], [99.0, 0.0]])  # all of it is class 0
    >>> dice(logits, np.array([0, 0])).item()
    0.0
    >>> dice(logits, np.array([0, 1])).item()  # scores (2 + 1)/(2 + 1 + 1) and (0 + 1)/(0 + 1 + 1)
    0.375
    """
    return on_tape(
        dice_loss,
        dice_loss_backward,
        logits,
        target,
        smooth=smooth,
        classes=classes,
        weight=weight,
        pixel_weight=pixel_weight,
        ignore_index=ignore_index,
    )


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

    By default the mean is over all classes, background included (as in MONAI), and s decides about a class that the
    target hasn't: its score is s / (predicted + s), near 1 where (almost) nothing was predicted. With
    ``classes="present"`` such a class doesn't count.

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
    >>> import numpy as np
    >>> logits = np.log(np.array([[3.0, 1.0], [1.0, 1.0]]))  # probabilities 3/4, 1/4 and 1/2, 1/2
    >>> loss, probs = dice_loss(logits, np.array([0, 1]), smooth=0.0)
    >>> round(loss.item(), 6)  # scores 1.5/(1.25 + 1) = 2/3 and 1/(0.75 + 1) = 4/7
    0.380952
    >>> round((1 / 3 + 3 / 7) / 2, 6)
    0.380952
    """
    return overlap_loss(
        "dice_loss",
        logits,
        target,
        alpha=0.5,
        beta=0.5,
        smooth=smooth,
        classes=classes,
        weight=weight,
        pixel_weight=pixel_weight,
        ignore_index=ignore_index,
    )


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
    >>> import numpy as np
    >>> probs, target = np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([0, 1])
    >>> dice_loss_backward(1.0, probs, target, smooth=0.0)
    array([[-0.125,  0.125],
           [ 0.125, -0.125]])
    """
    return overlap_loss_backward(
        "dice_loss_backward",
        dloss,
        probs,
        target,
        alpha=0.5,
        beta=0.5,
        smooth=smooth,
        classes=classes,
        weight=weight,
        pixel_weight=pixel_weight,
        ignore_index=ignore_index,
    )
