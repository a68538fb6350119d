"""What the losses share: which pixels count, sums by class, and the step onto the tape.

All of it runs on NumPy's and CuPy's arrays alike. No function here reads values on a GPU, so none waits for it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minisegnet.arrays import Array
from minisegnet.autograd import Tensor, record
from minisegnet.inputs import Input, array_of, constant_of
from minisegnet.ops import checks
from minisegnet.ops.dispatch import array_module, backend_for, is_cupy
from minisegnet.ops.loss import checked_dloss, cross_entropy_arguments

CLASSES = ("all", "present")


# ---------------------------------------------------------------------------------------------------------
# Arrays


module_of = array_module  # numpy or cupy, wherever an array comes from


def where(condition: Array, values: Array, other: float) -> Array:
    """Keep the values where the condition holds, in their dtype, and put a number elsewhere.

    Where pixels don't count this must be a choice, not a product: 0 times NaN is NaN.
    """
    chosen: Array = module_of(values).where(condition, values, values.dtype.type(other))
    return chosen


def or_1(values: Any) -> Array:
    """Replace zeros by 1, so that one can divide by them."""
    return where(values != 0, values, 1)


def scalar(value: Any, like: Array) -> Array:
    """Make an array without axes, in the dtype of the scores."""
    made: Array = module_of(like).asarray(value, dtype=like.dtype)
    return made


def per_class(values: Array, ndim: int) -> Array:
    """Give values (C,) the shape (C, 1, ...), which broadcasts to scores (N, C, ...) of ``ndim`` axes."""
    return values.reshape(-1, *[1] * (ndim - 2))  # (C, 1, ...)


def one_hot(labels: Array, C: int) -> Array:
    """Say for each class which pixels belong to it: labels (N, ...) become bools (N, C, ...).

    >>> one_hot(np.array([1, 0]), 2)
    array([[False,  True],
           [ True, False]])
    """
    truth: Array = labels[:, None] == per_class(module_of(labels).arange(C), labels.ndim + 1)  # (N, C, ...)
    return truth


# ---------------------------------------------------------------------------------------------------------
# Checks


def at_least_0(value: Any, name: str, op: str) -> float:
    """Check that this is a number that isn't negative."""
    number = checks.number(value, name, op)
    if number < 0:
        raise ValueError(f"{op}: {name} is {number}; expected a number of at least 0")
    return number


def upstream(dloss: Any, probs: Array, reduction: str, op: str) -> Array:
    """Check the gradient that comes in; a number will do, too."""
    if is_cupy(probs) and isinstance(dloss, int | float):
        dloss = scalar(dloss, probs)
    per_pixel = probs[:, 0]  # has target's shape
    checked = checked_dloss(dloss, per_pixel, probs, reduction, op)
    backend_for(op, (checked, probs))
    return checked


def regions(
    scores: Array, target: Array, weight: Any, pixel_weight: Any, ignore_index: Any, op: str, name: str
) -> tuple[Array, Array, Array, Array | None]:
    """Check the arguments, and say which pixels belong to each class and how much each pixel counts.

    Returns the scores; the truth (N, C, ...) as bools; the area of each pixel (N, 1, ...), which is its weight, or 0
    where it is ignored; and the class weights.
    """
    scores, target, options = cross_entropy_arguments(
        scores, target, weight, pixel_weight, ignore_index, "mean", op, name
    )
    weight, pixel_weight = options["weight"], options["pixel_weight"]
    backend_for(op, (scores, target, weight, pixel_weight))  # raises if NumPy and CuPy are mixed
    if pixel_weight is None:
        pixel_weight = module_of(scores).ones(target.shape, scores.dtype)
    if options["ignore_index"] is not None:
        pixel_weight = where(target != options["ignore_index"], pixel_weight, 0)
    return scores, one_hot(target, scores.shape[1]), pixel_weight[:, None], weight


# ---------------------------------------------------------------------------------------------------------
# Sums by class


def sum_by_class(values: Array) -> Array:
    """Sum over the batch and all pixels, in float64."""
    sums: Array = values.sum(axis=(0, *range(2, values.ndim)), dtype=np.float64)  # (C,)
    return sums


def areas_of(truth: Array, area: Array) -> Array:
    """Sum the areas of each class's pixels."""
    return sum_by_class(where(truth, area, 0))  # (C,)


def shares(areas: Array, weight: Array | None, classes: str) -> Array:
    """Say how much each class counts in the mean: shares that sum to 1, or all 0 where no class counts."""
    counts = module_of(areas).ones_like(areas) if weight is None else weight.astype(np.float64)  # (C,)
    if classes == "present":
        counts = where(areas > 0, counts, 0)
    return counts / or_1(counts.sum())


# ---------------------------------------------------------------------------------------------------------
# The tape


def on_tape(
    forward: Callable[..., tuple[Array, Array]],
    backward: Callable[..., Array],
    logits: Input,
    target: Input,
    *,
    weight: Input | None,
    pixel_weight: Input | None,
    **options: Any,
) -> Tensor:
    """Call the forward of a pair, which gives loss and probabilities, and record its backward."""
    target = constant_of(target, "target")
    options["weight"] = constant_of(weight, "weight")
    options["pixel_weight"] = constant_of(pixel_weight, "pixel_weight")
    loss, probs = forward(array_of(logits), target, **options)
    return record(loss, [logits], lambda dy: backward(dy, probs, target, **options))
