"""The arithmetic of Dice and Tversky: scores of overlap, class by class, and their gradients."""

from typing import Any

from minisegnet import ops
from minisegnet.arrays import Array
from minisegnet.losses.common import (
    CLASSES,
    areas_of,
    at_least_0,
    module_of,
    or_1,
    per_class,
    regions,
    scalar,
    shares,
    sum_by_class,
    upstream,
    where,
)
from minisegnet.ops import checks


def overlap_loss(
    op: str,
    logits: Array,
    target: Array,
    *,
    alpha: float,
    beta: float,
    smooth: float,
    classes: str,
    weight: Array | None,
    pixel_weight: Array | None,
    ignore_index: int | None,
) -> tuple[Array, Array]:
    """Compute Tversky's loss and the probabilities. Dice is Tversky with alpha = beta = 1/2.

    ``op`` is the name of the caller, for its error messages.
    """
    alpha, beta, smooth = _check_options(alpha, beta, smooth, classes, op)
    logits, truth, area, weight = regions(logits, target, weight, pixel_weight, ignore_index, op, "logits")
    probs = where(area > 0, ops.softmax(logits), 0)
    score, _, areas = _scores(probs, truth, area, alpha, beta, smooth)  # (C,)
    return scalar((shares(areas, weight, classes) * (1 - score)).sum(), logits), probs


def overlap_loss_backward(
    op: str,
    dloss: Array | float,
    probs: Array,
    target: Array,
    *,
    alpha: float,
    beta: float,
    smooth: float,
    classes: str,
    weight: Array | None,
    pixel_weight: Array | None,
    ignore_index: int | None,
) -> Array:
    """Go back from the loss to the scores, to the probabilities, to the logits."""
    alpha, beta, smooth = _check_options(alpha, beta, smooth, classes, op)
    probs, truth, area, weight = regions(probs, target, weight, pixel_weight, ignore_index, op, "probs")
    dloss = upstream(dloss, probs, "mean", op)
    score, size, areas = _scores(probs, truth, area, alpha, beta, smooth)  # (C,)
    dscore = -dloss * shares(areas, weight, classes)
    on_class = dscore * (2 - score * 2 * (1 - beta)) / size  # slopes at pixels of the class, and elsewhere
    off_class = dscore * (0 - score * 2 * alpha) / size
    slopes = [per_class(a.astype(probs.dtype), probs.ndim) for a in (on_class, off_class)]  # (C, 1, ...)
    dprobs = module_of(probs).where(truth, *slopes) * area  # (N, C, ...)
    return ops.softmax_backward(dprobs, probs)


def _check_options(alpha: Any, beta: Any, smooth: Any, classes: Any, op: str) -> tuple[float, float, float]:
    alpha, beta = at_least_0(alpha, "alpha", op), at_least_0(beta, "beta", op)
    smooth = at_least_0(smooth, "smooth", op)
    checks.choice(classes, CLASSES, "classes", op)
    return alpha, beta, smooth


def _scores(
    probs: Array, truth: Array, area: Array, alpha: float, beta: float, smooth: float
) -> tuple[Array, Array, Array]:
    """Give each class's score A/B, its B, and its area in the target, in float64."""
    mass = probs * area  # (N, C, ...)
    actual, predicted = areas_of(truth, area), sum_by_class(mass)  # (C,)
    true_positive = sum_by_class(where(truth, mass, 0))  # (C,)
    false_positive, false_negative = predicted - true_positive, actual - true_positive
    size = 2 * (true_positive + alpha * false_positive + beta * false_negative) + smooth
    score = where(size != 0, (2 * true_positive + smooth) / or_1(size), 1)  # nothing there, nothing found
    return score, or_1(size), actual
