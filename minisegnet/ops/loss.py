"""The losses that are kernels: softmax cross-entropy and binary cross-entropy, forward and backward."""

from typing import Any

import numpy as np

from minisegnet.arrays import Array
from minisegnet.ops import checks
from minisegnet.ops.dispatch import array_module, is_cupy, kernel

REDUCTIONS = ("mean", "sum", "none")


# ---------------------------------------------------------------------------------------------------------
# Checks


def _weights(value: Any, name: str, op: str, like: Array) -> Array:
    a = checks.floats(value, name, op, like=like, like_name="logits")
    if not is_cupy(a) and a.size and not (np.isfinite(a).all() and a.min() >= 0):
        raise ValueError(
            f"{op}: {name} holds a negative number, NaN or infinity; expected finite weights of at least 0"
        )
    return a


def checked_dloss(value: Any, target: Array, logits: Array, reduction: str, op: str) -> Array:
    """Check the gradient with respect to a loss and return it as an array of the loss's shape."""
    if isinstance(value, int | float | np.floating) and not isinstance(value, bool):
        try:
            with np.errstate(over="ignore"):  # beyond float32's range it becomes infinity, as in the kernels
                value = np.asarray(value, dtype=logits.dtype)
        except OverflowError:
            raise ValueError(f"{op}: dloss is an integer too large for {logits.dtype}") from None
    dloss = checks.floats(value, "dloss", op, like=logits, like_name="logits")
    expected = tuple(target.shape) if reduction == "none" else ()
    checks.shape(dloss, expected, "dloss", op, f"the shape of the loss with reduction={reduction!r}")
    return checks.contiguous(dloss)


def _ignore_index(value: Any, op: str) -> int | None:
    if value is None:
        return None
    return checks.integer(value, "ignore_index", op, -checks.LARGEST)


def checked_labels(target: Any, logits: Array, ignore_index: int | None, op: str) -> Array:
    """Check labels against the logits and return them as int64."""
    target = checks.integers(target, "target", op)
    N, C = logits.shape[:2]
    checks.shape(target, (N, *logits.shape[2:]), "target", op, "the logits' shape without its class axis")
    if not is_cupy(target):
        wrong = (target < 0) | (target >= C)
        if ignore_index is not None:
            wrong &= target != ignore_index
        if wrong.any():
            values, counts = np.unique(target[wrong], return_counts=True)
            named = ", ".join(f"{v} ({n} times)" for v, n in zip(values[:5], counts[:5], strict=True))
            more = f" and {len(values) - 5} more values" if len(values) > 5 else ""
            raise ValueError(
                f"{op}: target holds labels outside 0..{C - 1}: {named}{more}. If one of them marks pixels that don't "
                "count, pass it as ignore_index (often 255); otherwise the mask's values need mapping to classes"
            )
    return checks.contiguous(target)


# ---------------------------------------------------------------------------------------------------------
# Softmax cross-entropy


def cross_entropy_arguments(
    logits: Array,
    target: Any,
    weight: Any,
    pixel_weight: Any,
    ignore_index: Any,
    reduction: Any,
    op: str,
    name: str,
) -> tuple[Array, Array, dict[str, Any]]:
    """Check all that cross-entropy takes, forward and backward: scores (or probabilities), labels, options."""
    logits = checks.floats(logits, name, op)
    if logits.ndim < 2 or 0 in logits.shape[1:]:
        raise ValueError(
            f"{op}: {name} has shape {logits.shape}; expected (N, C) or (N, C, H, W) scores with at least one class "
            "and pixel"
        )
    ignore_index = _ignore_index(ignore_index, op)
    target = checked_labels(target, logits, ignore_index, op)
    if weight is not None:
        weight = _weights(weight, "weight", op, logits)
        checks.shape(weight, (logits.shape[1],), "weight", op, "one weight for each class")
        weight = checks.contiguous(weight)
    if pixel_weight is not None:
        pixel_weight = _weights(pixel_weight, "pixel_weight", op, logits)
        checks.shape(pixel_weight, target.shape, "pixel_weight", op, "one weight for each target")
        pixel_weight = checks.contiguous(pixel_weight)
    options = {
        "weight": weight,
        "pixel_weight": pixel_weight,
        "ignore_index": ignore_index,
        "reduction": checks.choice(reduction, REDUCTIONS, "reduction", op),
    }
    return logits, target, options


def softmax_cross_entropy(
    logits: Array,
    target: Array,
    *,
    weight: Array | None = None,
    pixel_weight: Array | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> tuple[Array, Array]:
    r"""Minus the logarithm of the probability that softmax gives to the right class (교차 엔트로피).

    .. math:: \ell_i = -\,\omega_{t_i}\, q_i \log p_{i,t_i}, \qquad p_{i,c} = \frac{e^{z_{i,c}}}{\sum_k e^{z_{i,k}}}

    with scores z, label t, class weight :math:`\omega` and pixel weight q. The mean divides by the sum of
    :math:`\omega_{t_i} q_i` over the pixels that count; if that is 0, the loss is 0.

    Parameters
    ----------
    logits
        Scores (N, C) or (N, C, H, W), before any softmax.
    target
        Labels 0..C-1, (N,) or (N, H, W), of any integer dtype.
    weight
        One weight for each class (C,).
    pixel_weight
        One weight for each target, of target's shape.
    ignore_index
        Label of pixels that don't count; None means that all do.
    reduction
        ``"mean"``, ``"sum"`` or ``"none"``.

    Returns
    -------
    loss
        A 0-d array, or of target's shape with ``"none"``.
    probs
        Softmax of the logits, of their shape; the backward needs it.

    Notes
    -----
    Backward: ``probs - onehot(target)``, weighted.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.log(np.array([[1.0, 3.0], [1.0, 1.0]]))  # probabilities 1/4, 3/4 and 1/2, 1/2
    >>> loss, probs = softmax_cross_entropy(logits, np.array([1, 0]), reduction="none")
    >>> probs.round(6)
    array([[0.25, 0.75],
           [0.5 , 0.5 ]])
    >>> np.exp(-loss).round(6)
    array([0.75, 0.5 ])
    """
    op = "softmax_cross_entropy"
    logits, target, options = cross_entropy_arguments(
        logits, target, weight, pixel_weight, ignore_index, reduction, op, "logits"
    )
    run = kernel(op, logits, target, options["weight"], options["pixel_weight"])
    return run(checks.contiguous(logits), target, **options)


def softmax_cross_entropy_backward(
    dloss: Array | float,
    probs: Array,
    target: Array,
    *,
    weight: Array | None = None,
    pixel_weight: Array | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Array:
    r"""Gradient of :func:`softmax_cross_entropy` with respect to the logits.

    .. math:: dz_{i,c} = d\ell_i\; \omega_{t_i}\, q_i\, (p_{i,c} - [c = t_i])

    divided by the same sum as the loss for the mean; exactly 0 at pixels that are ignored.

    Parameters
    ----------
    dloss
        Gradient with respect to the loss: a 0-d array or a number, or of target's shape with ``"none"``.
    probs
        As the forward returned them.
    target, weight, pixel_weight, ignore_index, reduction
        As in the forward.

    Returns
    -------
    dlogits
        Shape of the logits.

    Examples
    --------
    >>> import numpy as np
    >>> probs = np.array([[0.25, 0.75], [0.5, 0.5]])
    >>> softmax_cross_entropy_backward(1.0, probs, np.array([1, 0]), reduction="sum")
    array([[ 0.25, -0.25],
           [-0.5 ,  0.5 ]])
    """
    op = "softmax_cross_entropy_backward"
    probs, target, options = cross_entropy_arguments(
        probs, target, weight, pixel_weight, ignore_index, reduction, op, "probs"
    )
    dloss = checked_dloss(dloss, target, probs, options["reduction"], op)
    run = kernel(op, dloss, probs, target, options["weight"], options["pixel_weight"])
    return run(dloss, checks.contiguous(probs), target, **options)


# ---------------------------------------------------------------------------------------------------------
# Binary cross-entropy


def _bce_target(target: Any, logits: Array, ignore_index: int | None, op: str) -> Array:
    """Check targets in 0..1 (or equal to ignore_index) and return them in the logits' dtype."""
    target = checks.array(target, "target", op)
    if target.dtype.kind not in "biu":
        target = checks.floats(target, "target", op, like=logits, like_name="logits")
    checks.shape(target, logits.shape, "target", op, "the logits' shape")
    if not is_cupy(target):
        right = (target >= 0) & (target <= 1)
        if ignore_index is not None:
            right |= target == ignore_index
        if not right.all():  # NaN is wrong, too
            values = np.unique(target[~right])
            raise ValueError(
                f"{op}: {int((~right).sum())} targets lie outside 0..1 (such as {values[0]}); expected probabilities. "
                "Masks with 0 and 255 need dividing by 255; a label that doesn't count is passed as ignore_index"
            )
    return checks.contiguous(target.astype(logits.dtype, copy=False))


def _element_weight(value: Any, name: str, logits: Array, op: str) -> Array | None:
    """Check a weight that broadcasts and return it in the logits' full shape, as kernels take it."""
    if value is None:
        return None
    a = _weights(value, name, op, logits)
    per_pixel = (*logits.shape[:1], *logits.shape[2:])
    if name == "pixel_weight" and a.ndim == logits.ndim - 1 and a.shape == per_pixel:
        a = a[:, None]  # (N, H, W): one weight for each pixel, the same for all its channels
    try:
        full = array_module(a).broadcast_to(a, logits.shape)
    except ValueError:
        raise ValueError(
            f"{op}: {name} has shape {a.shape}, which doesn't broadcast to the logits' shape {logits.shape}"
        ) from None
    return checks.contiguous(full)


def _bce_arguments(
    logits: Any, target: Any, weight: Any, pixel_weight: Any, ignore_index: Any, reduction: Any, op: str
) -> tuple[Array, Array, dict[str, Any]]:
    logits = checks.floats(logits, "logits", op)
    ignore_index = _ignore_index(ignore_index, op)
    options = {
        "weight": _element_weight(weight, "weight", logits, op),
        "pixel_weight": _element_weight(pixel_weight, "pixel_weight", logits, op),
        "ignore_index": ignore_index,
        "reduction": checks.choice(reduction, REDUCTIONS, "reduction", op),
    }
    return logits, _bce_target(target, logits, ignore_index, op), options


def bce_with_logits(
    logits: Array,
    target: Array,
    *,
    weight: Array | None = None,
    pixel_weight: Array | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Array:
    r"""Cross-entropy of independent yes/no decisions: sigmoid and its loss in one stable step (이진 교차 엔트로피).

    .. math::
        \ell = -\omega \left( t \log \sigma(z) + (1 - t) \log (1 - \sigma(z)) \right)
             = \omega \left( (1 - t) \max(z, 0) - t \min(z, 0) + \log(1 + e^{-|z|}) \right)

    The mean divides by the number of elements that count (not by their weights); if none does, the loss is 0.

    Parameters
    ----------
    logits
        Scores of any shape, before any sigmoid.
    target
        Probabilities 0..1 (floats, integers or bools) of the logits' shape.
    weight
        Weights that broadcast to the logits' shape, such as (C, 1, 1).
    pixel_weight
        Weights that broadcast to the logits' shape, or (N, H, W) for logits (N, C, H, W). The two multiply.
    ignore_index
        Target value of elements that don't count; None means that all do.
    reduction
        ``"mean"``, ``"sum"`` or ``"none"``.

    Returns
    -------
    loss
        A 0-d array, or of the logits' shape with ``"none"``.

    Notes
    -----
    Backward: ``sigmoid(logits) - target``, weighted.

    Examples
    --------
    >>> import numpy as np
    >>> loss = bce_with_logits(np.log(np.array([3.0, 1.0])), np.array([1.0, 0.0]), reduction="none")
    >>> np.exp(-loss).round(6)  # sigmoid gave 3/4 to the first, and 1/2 against the second
    array([0.75, 0.5 ])
    """
    op = "bce_with_logits"
    logits, target, options = _bce_arguments(
        logits, target, weight, pixel_weight, ignore_index, reduction, op
    )
    run = kernel(op, logits, target, options["weight"], options["pixel_weight"])
    return run(checks.contiguous(logits), target, **options)


def bce_with_logits_backward(
    dloss: Array | float,
    logits: Array,
    target: Array,
    *,
    weight: Array | None = None,
    pixel_weight: Array | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Array:
    r"""Gradient of :func:`bce_with_logits` with respect to the logits: :math:`dz = d\ell\,\omega\,(\sigma(z) - t)`.

    Divided by the number of elements that count for the mean; exactly 0 at elements that are ignored.

    Parameters
    ----------
    dloss
        Gradient with respect to the loss: a 0-d array or a number, or of the logits' shape with ``"none"``.
    logits, target, weight, pixel_weight, ignore_index, reduction
        As in the forward.

    Returns
    -------
    dlogits
        Shape of the logits.

    Examples
    --------
    >>> import numpy as np
    >>> bce_with_logits_backward(1.0, np.zeros(2), np.array([1.0, 0.0]), reduction="sum")
    array([-0.5,  0.5])
    """
    op = "bce_with_logits_backward"
    logits, target, options = _bce_arguments(
        logits, target, weight, pixel_weight, ignore_index, reduction, op
    )
    dloss = checked_dloss(dloss, target, logits, options["reduction"], op)
    run = kernel(op, dloss, logits, target, options["weight"], options["pixel_weight"])
    return run(dloss, checks.contiguous(logits), target, **options)
