"""The losses that are kernels, in CUDA: see loss.cu. A loss is a 0-d array that stays where its logits are."""

import math

import numpy as np

from minisegnet.arrays import Array

from . import launch

THREADS = 256
MOST_BLOCKS = (
    1024  # of a sum: a thread sums every (1024 * 256)th pixel at most, and the last block 1024 numbers
)


def softmax_cross_entropy(
    logits: Array,
    target: Array,
    *,
    weight: Array | None,
    pixel_weight: Array | None,
    ignore_index: int | None,
    reduction: str,
) -> tuple[Array, Array]:
    """Minus the logarithm of the label's probability, for each pixel; and all probabilities."""
    C, P = logits.shape[1], math.prod(logits.shape[2:])
    probs = launch.empty(logits.shape, logits)  # (N, C, ...)
    losses, parts = _room(target, logits, reduction)
    arguments = (logits, target, weight, pixel_weight, probs, losses, parts, target.size, C, P)
    _start("softmax_cross_entropy", target.size, *arguments, *_ignored(ignore_index), like=logits)
    return (_loss(parts, reduction, logits) if losses is None else losses), probs


def softmax_cross_entropy_backward(
    dloss: Array,
    probs: Array,
    target: Array,
    *,
    weight: Array | None,
    pixel_weight: Array | None,
    ignore_index: int | None,
    reduction: str,
) -> Array:
    """``probs - one-hot of the label``, times what the pixel's loss counts."""
    C, P = probs.shape[1], math.prod(probs.shape[2:])
    ignored = _ignored(ignore_index)
    counted = None
    if reduction == "mean":
        parts = _parts(target.size, probs)
        arguments = (target, weight, pixel_weight, parts, target.size, C)
        _start("softmax_cross_entropy_counted", target.size, *arguments, *ignored, like=probs)
        counted = _counted(parts, probs)
    dlogits = launch.empty(probs.shape, probs)
    arguments = (dloss, probs, target, weight, pixel_weight, counted, dlogits, target.size, C, P)
    step = int(reduction == "none")
    _start("softmax_cross_entropy_backward", target.size, *arguments, step, *ignored, like=probs)
    return dlogits


def bce_with_logits(
    logits: Array,
    target: Array,
    *,
    weight: Array | None,
    pixel_weight: Array | None,
    ignore_index: float | None,
    reduction: str,
) -> Array:
    """``-t log(sigmoid(z)) - (1 - t) log(1 - sigmoid(z))`` for each element."""
    losses, parts = _room(target, logits, reduction)
    arguments = (logits, target, weight, pixel_weight, losses, parts, target.size)
    _start("bce_with_logits", target.size, *arguments, *_ignored(ignore_index), like=logits)
    return _loss(parts, reduction, logits) if losses is None else losses


def bce_with_logits_backward(
    dloss: Array,
    logits: Array,
    target: Array,
    *,
    weight: Array | None,
    pixel_weight: Array | None,
    ignore_index: float | None,
    reduction: str,
) -> Array:
    """``sigmoid(z) - t``, times what the element's loss counts."""
    ignored = _ignored(ignore_index)
    counted = None
    if reduction == "mean":
        parts = _parts(target.size, logits)
        _start("bce_with_logits_counted", target.size, target, parts, target.size, *ignored, like=logits)
        counted = _counted(parts, logits)
    dlogits = launch.empty(logits.shape, logits)
    arguments = (dloss, logits, target, weight, pixel_weight, counted, dlogits, target.size)
    step = int(reduction == "none")
    _start("bce_with_logits_backward", target.size, *arguments, step, *ignored, like=logits)
    return dlogits


# ---------------------------------------------------------------------------------------------------------
# The pieces of a launch


def _ignored(ignore_index: float | None) -> tuple[bool, float]:
    """Whether a label is ignored, and which: two arguments of the kernels."""
    return ignore_index is not None, 0 if ignore_index is None else ignore_index


def _room(target: Array, logits: Array, reduction: str) -> tuple[Array | None, Array | None]:
    """One loss for each target, or two sums for each block."""
    if reduction == "none":
        return launch.empty(target.shape, logits), None
    return None, _parts(target.size, logits)


def _blocks(total: int) -> int:
    """How many blocks share the work of a sum: by the shape alone, so that on each device the result is the same."""
    return min(max(math.ceil(total / THREADS), 1), MOST_BLOCKS)


def _parts(total: int, like: Array) -> Array:
    return launch.empty((_blocks(total), 2), like, np.float64)  # (blocks, 2)


def _start(kernel: str, total: int, *arguments: object, like: Array) -> None:
    launch.blocks("loss", kernel, _blocks(total), THREADS, *arguments, launch.problem(like), like=like)


def _loss(parts: Array | None, reduction: str, like: Array) -> Array:
    assert parts is not None
    loss, counted = launch.empty((), like), launch.empty((), like, np.float64)
    arguments = (parts, len(parts), reduction == "mean", loss, counted)
    launch.blocks("loss", "loss_of_parts", 1, THREADS, *arguments, like=like)
    return loss


def _counted(parts: Array, like: Array) -> Array:
    """What a mean was divided by, on the device."""
    counted = launch.empty((), like, np.float64)
    launch.blocks("loss", "loss_of_parts", 1, THREADS, parts, len(parts), False, None, counted, like=like)
    return counted
