"""Schedules of the learning rate: plain functions of the step.

Each function here returns a schedule, which takes the number of the step (the first is 0) and gives the
learning rate of that step. A schedule remembers nothing. So training that stops and resumes at step 700 goes
on with exactly the rate of step 700, and a schedule can be plotted before anything is trained.
"""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

from minisegnet.ops import checks

Schedule: TypeAlias = Callable[[int], float]


def constant(lr: float) -> Schedule:
    r"""Keep the learning rate as it is: :math:`\eta_t = \eta`.

    Parameters
    ----------
    lr
        The learning rate.

    Returns
    -------
    schedule
        ``schedule(step) -> lr``.

    Examples
    --------
    >>> schedule = constant(0.1)
    >>> schedule(0), schedule(1000)
    (0.1, 0.1)
    """
    lr = at_least_zero(lr, "lr", "constant")

    def schedule(step: int) -> float:
        checks.integer(step, "step", "constant", 0)
        return lr

    return schedule


def step(lr: float, every: int, factor: float) -> Schedule:
    r"""Multiply the learning rate by a factor after every so many steps.

    .. math:: \eta_t = \eta \, f^{\lfloor t / n \rfloor}

    Parameters
    ----------
    lr
        The learning rate at the start.
    every
        Number of steps n between two changes.
    factor
        What it is multiplied by, f; often 0.1.

    Returns
    -------
    schedule
        ``schedule(step) -> lr``.

    Examples
    --------
    >>> schedule = step(1.0, every=2, factor=0.5)
    >>> [schedule(t) for t in range(6)]
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """
    lr, factor = at_least_zero(lr, "lr", "step"), at_least_zero(factor, "factor", "step")
    every = checks.integer(every, "every", "step", 1)

    def schedule(step: int) -> float:
        return lr * factor ** (checks.integer(step, "step", "step", 0) // every)

    return schedule


def poly(lr: float, total: int, power: float = 0.9) -> Schedule:
    r"""Let the learning rate fall to 0 like a power of the steps that are left.

    .. math:: \eta_t = \eta \left(1 - \frac{t}{T}\right)^p

    and 0 after step T. With p = 1 it is a straight line.

    Parameters
    ----------
    lr
        The learning rate at the start.
    total
        Number of steps T of the whole training.
    power
        The power p, above 0.

    Returns
    -------
    schedule
        ``schedule(step) -> lr``.

    References
    ----------
    Chen et al., "DeepLab", 2018, section 4.1: the "poly" policy, found to be better than steps.

    Examples
    --------
    >>> schedule = poly(1.0, total=4, power=2)
    >>> [schedule(t) for t in range(6)]
    [1.0, 0.5625, 0.25, 0.0625, 0.0, 0.0]
    """
    lr, power = at_least_zero(lr, "lr", "poly"), checks.number(power, "power", "poly")
    total = checks.integer(total, "total", "poly", 1)
    if power <= 0:
        raise ValueError(f"poly: power is {power}; expected a number above 0, such as 0.9. See constant()")

    def schedule(step: int) -> float:
        left = total - min(checks.integer(step, "step", "poly", 0), total)
        return lr * float((left / total) ** power)

    return schedule


def cosine(lr: float, total: int, final: float = 0.0) -> Schedule:
    r"""Let the learning rate fall along half a wave of the cosine: slowly, fast, slowly.

    .. math:: \eta_t = \eta_T + \frac{\eta - \eta_T}{2} \left(1 + \cos \frac{\pi t}{T}\right)

    After step T it stays at its final value. (PyTorch's ``CosineAnnealingLR`` would climb again.)

    Parameters
    ----------
    lr
        The learning rate at the start.
    total
        Number of steps T of the whole training.
    final
        The learning rate at the end.

    Returns
    -------
    schedule
        ``schedule(step) -> lr``.

    References
    ----------
    Loshchilov & Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017, equation 5 (no restarts here).

    Examples
    --------
    >>> schedule = cosine(1.0, total=4)
    >>> [round(schedule(t), 3) for t in range(6)]
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """
    lr, final = at_least_zero(lr, "lr", "cosine"), at_least_zero(final, "final", "cosine")
    total = checks.integer(total, "total", "cosine", 1)

    def schedule(step: int) -> float:
        done = min(checks.integer(step, "step", "cosine", 0), total) / total
        return final + (lr - final) * (1 + math.cos(math.pi * done)) / 2

    return schedule


def warmup(schedule: Schedule, steps: int) -> Schedule:
    r"""Begin with small steps: multiply the first learning rates of a schedule by a ramp.

    .. math:: \eta'_t = \eta_t \, \min\left(1, \frac{t + 1}{n}\right)

    The gradients of fresh weights are large and point in directions that soon prove wrong, and averages such as
    Adam's are still those of few gradients. The schedule's own steps are counted from the start of training, so
    that ``warmup(poly(lr, total), steps)`` still ends at ``total``.

    Parameters
    ----------
    schedule
        What comes after the ramp, and is multiplied by it.
    steps
        Length n of the ramp: step n - 1 is the first at the full learning rate. 0 for none.

    Returns
    -------
    schedule
        ``schedule(step) -> lr``.

    References
    ----------
    Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", 2017, section 2.2.

    Examples
    --------
    >>> schedule = warmup(constant(1.0), steps=4)
    >>> [schedule(t) for t in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """
    if not callable(schedule):
        raise TypeError(
            f"warmup: schedule is {schedule!r} ({type(schedule).__name__}); expected a function of the step. "
            "For a fixed rate pass constant(lr)"
        )
    steps = checks.integer(steps, "steps", "warmup", 0)

    def warmed(step: int) -> float:
        lr = schedule(checks.integer(step, "step", "warmup", 0))
        return lr * ((step + 1) / steps) if step + 1 < steps else lr

    return warmed


def at_least_zero(value: Any, name: str, who: str) -> float:
    """Return a finite Python float that is not negative."""
    number = checks.number(value, name, who)
    if number < 0:
        raise ValueError(f"{who}: {name} is {number}; expected a number of at least 0")
    return number
