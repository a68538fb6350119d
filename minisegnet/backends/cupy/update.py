"""The end of a training step in CUDA: see update.cu. No op of the other backends: there NumPy's arithmetic does it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minisegnet.arrays import Array

from . import launch, problems

BLOCKS = 64  # partial sums of one array


class Control(NamedTuple):
    """What lies on the device and decides about an update; each is an array of one element."""

    rate: Array  # float64: the learning rate
    count: Array  # int64: how often the parameter was updated before
    factor: Array  # float64: what cuts the gradients down
    halted: Array  # int32: 1 once a step was unsound


def judge(
    loss: Array, gradients: Sequence[Array], limit: float, *, row: Array, factor: Array, halted: Array
) -> None:
    """Write the loss, the gradients' length and whether all is sound into ``row``, and set factor and halted."""
    sums = launch.zeros((len(gradients), BLOCKS), loss, np.float64)
    for sum_, gradient in zip(sums, gradients, strict=True):
        needed = min(-(-gradient.size // launch.THREADS), BLOCKS)
        launch.blocks(
            "update", "sum_squares", needed, launch.THREADS, gradient, sum_, gradient.size, like=gradient
        )
    flags = problems.all_flags(int(loss.device.id)) if launch.on_gpu(loss) else None  # type: ignore[attr-defined]
    number = 0 if flags is None else flags.size
    arguments = (sums, sums.size, loss, flags, number, limit, row, factor, halted)
    launch.blocks("update", "judge", 1, launch.THREADS, *arguments, like=loss)


def adam_update(
    data: Array,
    grad: Array,
    mean: Array,
    square: Array,
    control: Control,
    options: dict[str, Any],
    *,
    decoupled: bool,
) -> None:
    """Update one parameter in place, as ``optim.Adam`` does, or ``optim.AdamW`` with ``decoupled``."""
    rate, count, factor, halted = control
    numbers = (*options["betas"], options["eps"], options["weight_decay"], int(decoupled))
    arguments = (data, grad, mean, square, data.size, rate, count, factor, halted, *numbers)
    launch.each("update", "adam_update", data.size, *arguments, like=data)


def sgd_update(
    data: Array, grad: Array, buffer: Array | None, control: Control, options: dict[str, Any]
) -> None:
    """Update one parameter in place, as ``optim.SGD`` does."""
    rate, count, factor, halted = control
    numbers = (options["momentum"], options["dampening"], options["weight_decay"], int(options["nesterov"]))
    arguments = (data, grad, buffer, data.size, rate, count, factor, halted, *numbers)
    launch.each("update", "sgd_update", data.size, *arguments, like=data)


def count_updates(counts: Array, updated: Array, halted: Array, *, like: Array) -> None:
    """Count one update more for the parameters that have a gradient."""
    launch.each("update", "count_updates", counts.size, counts, updated, counts.size, halted, like=like)


def take_over(old: Array, made: Array, halted: Array) -> None:
    """Copy what a step has made of a buffer into the old one."""
    launch.each("update", "take_over", old.size, old, made, old.size, halted, like=old)
