"""Binary cross-entropy: every class makes its own yes and no."""

from minisegnet import functional
from minisegnet.arrays import Array
from minisegnet.autograd import Tensor
from minisegnet.inputs import Input, array_of, constant_of
from minisegnet.losses.common import one_hot, per_class, where
from minisegnet.ops import checks
from minisegnet.ops.loss import checked_labels


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
    >>> import numpy as np
    >>> logits = np.log(np.array([[3.0], [1.0]]))  # the sigmoid says 3/4 and 1/2
    >>> loss = bce(logits, np.array([1, 0]), reduction="none")
    >>> np.exp(-loss.data).round(6)
    array([[0.75],
           [0.5 ]])
    """
    target_data = checks.array(constant_of(target, "target"), "target", "bce")
    weight_data = constant_of(weight, "weight")
    if target_data.ndim == logits.ndim - 1:
        target_data, ignore_index = _yes_or_no(array_of(logits), target_data, ignore_index)
    if weight_data is not None and weight_data.ndim == 1 and logits.ndim > 2:
        weight_data = per_class(weight_data, logits.ndim)  # (C, 1, 1)
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
    labels = checked_labels(target, logits, ignore_index, "bce")  # (N, ...)
    truth = one_hot(labels, C).astype(logits.dtype)  # (N, C, ...)
    if ignore_index is None:
        return truth, None
    # The ignored label may be 0 or 1, which are answers here: ignored pixels get a mark of their own.
    return where(labels[:, None] != ignore_index, truth, -1), -1
