"""Cross-entropy of softmax, under its short name."""

from minisegnet import functional
from minisegnet.autograd import Tensor
from minisegnet.inputs import Input


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
    >>> import numpy as np
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
