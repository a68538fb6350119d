"""When a step gives NaN or infinity: do it once more, watch every layer, and name the first culprit.

NaN spreads. One in a picture makes the loss NaN, then every gradient, and an update would make every weight NaN. So
where it is seen says little; where it was first does. The repetition looks at everything in the order in which it
is computed, and stops at the first thing that isn't finite.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from minisegnet.arrays import Array
from minisegnet.autograd import Tensor, record
from minisegnet.nn.module import Module
from minisegnet.training.watching import Call, Observer, as_it_was, watched

HUGE = 1e15  # beyond this, products of two numbers are near the end of float32 (3.4e38)

PICTURES = "Look at the file, and at the normalisation: a standard deviation of 0 divides by zero"
WEIGHTS = (
    "An earlier update or the file it came from broke it; go back to an older checkpoint, and try a lower learning "
    "rate or gradient clipping"
)
GROWN = (
    "The numbers have grown too large, most likely because the learning rate is too high; try a tenth of it, "
    "gradient clipping, or a warm-up"
)
OWN = (
    "The numbers that went in are of ordinary size, so look at the arithmetic there: a division by zero (such as by a "
    "standard deviation of 0), or a logarithm or root of something that isn't positive"
)
BACKWARD = (
    "The way forward was finite, so look at the backward function there (a division by zero, the slope of a root at "
    "0); if the numbers are large, try a lower learning rate"
)


class _Found(Exception):
    """Ends the repetition; its text is the answer."""


def first_nonfinite(
    model: Module,
    loss_of: Callable[..., Tensor],
    images: Array,
    labels: Array,
    *,
    pixel_weight: Array | None = None,
) -> str | None:
    """Repeat a step's forward and backward, and name the first thing that is NaN or infinite (수치 발산).

    It looks at the pictures; the parameters and buffers; each layer's input and output, in the order of the
    forward; the scores and the loss; each gradient that arrives at a layer or leaves it, in the order of the backward;
    and the gradients of the parameters. A layer is a module that has no modules in it.

    Parameters
    ----------
    model
        In the mode, and with the running statistics and dropout steps, in which the step began. Afterwards everything
        in it is as it was, also when something raises.
    loss_of
        ``loss_of(scores, labels)``, or with ``pixel_weight=...`` where that is given.
    images, labels, pixel_weight
        The batch.

    Returns
    -------
    str or None
        What it was, and what to try, in plain words; None where everything is finite this time.

    Examples
    --------
    >>> from minisegnet import functional, nn
    >>> model = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    >>> images, labels = np.ones((1, 1, 2, 2), np.float32), np.zeros((1, 2, 2), np.int64)
    >>> first_nonfinite(model, functional.softmax_cross_entropy, images, labels) is None
    True
    >>> images[0, 0, 1, 1] = np.nan
    >>> print(first_nonfinite(model, functional.softmax_cross_entropy, images, labels).partition(". ")[0])
    picture 0 of the batch (counted from 0) has 1 NaN and 0 infinite values of 4
    """
    try:
        with as_it_was(model), np.errstate(all="ignore"):
            _check_batch(images, labels, pixel_weight)
            _check_state(model)
            options = {} if pixel_weight is None else {"pixel_weight": pixel_weight}
            with watched(model, _Examiner()):
                _step(model, loss_of, images, labels, options)
    except _Found as found:
        return str(found)
    return None


def _step(
    model: Module,
    loss_of: Callable[..., Tensor],
    images: Array,
    labels: Array,
    options: Mapping[str, Array],
) -> None:
    """Forward and backward, with a look at all that isn't inside a layer."""
    scores = model(images)
    _check(scores.data, "the map of the model's scores", ", although every layer's output was finite", GROWN)
    loss = loss_of(_watch_scores(scores), labels, **options)
    around = f", although the scores are finite; the largest is {_largest([scores.data]):.3g}"
    _check(loss.data, "the loss", around, _cause([scores.data]))
    loss.backward(None if loss.data.size == 1 else np.ones_like(loss.data))
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            around = ", although the gradients that passed between the layers were finite"
            _check(parameter.grad, f"the gradient of the parameter {name}", around, BACKWARD)


def _watch_scores(scores: Tensor) -> Tensor:
    def look(dy: Array) -> Array:
        _check(
            dy, "the gradient that the loss gives to the scores", ", although the loss is finite", BACKWARD
        )
        return dy

    return record(scores.data, [scores], look)


# ---------------------------------------------------------------------------------------------------------
# Before the step


def _check_batch(images: Array, labels: Array, pixel_weight: Array | None) -> None:
    for n, image in enumerate(images):
        _check(image, f"picture {n} of the batch (counted from 0)", "", PICTURES)
    for what, maps in (("labels", labels), ("pixel weights", pixel_weight)):
        for n, values in enumerate(() if maps is None else maps):
            where = f"the map of {what} of picture {n} of the batch (counted from 0)"
            _check(values, where, "", "Look at how it is made")


def _check_state(model: Module) -> None:
    before = ", before the step already"
    for name, parameter in model.named_parameters():
        _check(parameter.data, f"the parameter {name}", before, WEIGHTS)
    for name, buffer in model.named_buffers():
        _check(buffer.data, f"the buffer {name}", before, WEIGHTS)


# ---------------------------------------------------------------------------------------------------------
# The layers


class _Examiner(Observer):
    """Looks at the numbers that go into each layer and come out of it."""

    def __init__(self) -> None:
        self.arrived: dict[Call, float] = {}  # the largest gradient at a layer's output

    def enters(self, call: Call, inputs: list[Array]) -> None:
        for array in inputs:
            around = ", although the layers before it gave finite ones; something between them makes it"
            _check(array, f"{call}: its input", around, GROWN)

    def leaves(self, call: Call, inputs: list[Array], y: Array) -> None:
        weights = [parameter.data for parameter in call.module.parameters()]
        around = f", its input had none; the largest input was {_largest(inputs):.3g}"
        around += f", the largest weight {_largest(weights):.3g}" if weights else ""
        _check(y, f"{call}: its output", around, _cause([*inputs, *weights]))

    def gradient_enters(self, call: Call, dy: Array) -> None:
        around = ", although those that were computed before it were finite"
        _check(dy, f"{call}: the gradient that arrives at its output", around, BACKWARD)
        self.arrived[call] = _largest([dy])

    def gradient_leaves(self, call: Call, dx: Array) -> None:
        arrived = self.arrived.get(call, 0.0)
        around = f", the one that arrived at its output had none; the largest there was {arrived:.3g}"
        cause = GROWN if arrived > HUGE else BACKWARD
        _check(dx, f"{call}: the gradient that it passes back to its input", around, cause)


# ---------------------------------------------------------------------------------------------------------
# Looking at numbers


def _check(values: Array, what: str, around: str, cause: str) -> None:
    """End the repetition if one of the values is NaN or infinite."""
    if values.dtype.kind == "f" and not bool(np.isfinite(values).all()):
        missing, infinite = int(np.isnan(values).sum()), int(np.isinf(values).sum())
        has = f"has {missing} NaN and {infinite} infinite values of {values.size}"
        raise _Found(f"{what} {has if values.ndim else f'is {values.item()}'}{around}. {cause}.")


def _largest(arrays: Sequence[Array]) -> float:
    return max((float(abs(a).max()) for a in arrays if a.size), default=0.0)


def _cause(arrays: Sequence[Array]) -> str:
    """Tell numbers that have grown too large from arithmetic that goes wrong with ordinary ones."""
    return GROWN if _largest(arrays) > HUGE else OWN
