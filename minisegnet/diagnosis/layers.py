"""How large the numbers are in every layer, forward and backward: what is dead, what explodes, what vanishes."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minisegnet import ops
from minisegnet.arrays import Array
from minisegnet.autograd import Tensor
from minisegnet.diagnosis.finding import DOUBTFUL, WRONG, Finding, percent
from minisegnet.nn.module import Module
from minisegnet.training.watching import Call, Observer, watched

DEAD, DYING = 0.75, 0.5  # share of the channels of a layer with ReLU that never say anything
GROWS, SHRINKS = 1e3, 1e-3  # scale of a layer's output, of that of the first layer
FIRST_GRADIENT = 1e-4  # gradient of the first weights, relative to them, of the usual (median) layer's
NO_GRADIENT = 1e-9
LARGE_SCORES = 30.0  # exp(-30): the softmax is certain


class Scale(NamedTuple):
    """What one call of a layer showed."""

    name: str
    kind: str  # the module's class
    output: float  # root mean square of what it returned
    silent: float  # share of its channels that are one value everywhere
    gradient: float  # root mean square of the gradient that arrived at its output; 0: none
    weight: float | None  # root mean square of its weight; None: it has none
    weight_gradient: float | None  # that of the weight's gradient


def measure_scales(
    model: Module, loss_of: Callable[[Tensor], Tensor], images: Array
) -> tuple[list[Scale], float, float]:
    """Make one forward and backward and measure all layers on the way; the model is as it was afterwards.

    Returns
    -------
    scales
        One for each call of a layer, in the order of the forward.
    loss
        Of the model's scores.
    scores
        Their root mean square.

    Examples
    --------
    >>> from minisegnet import nn
    >>> model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU())
    >>> model[0].weight.data[:], model[0].bias.data[:] = 0, [3, -1]
    >>> images, target = np.ones((1, 1, 2, 2), np.float32), np.zeros((1, 2, 2), int)
    >>> from minisegnet.losses import cross_entropy
    >>> scales, loss, _ = measure_scales(model, lambda scores: cross_entropy(scores, target), images)
    >>> [(scale.name, scale.kind, round(scale.output, 3), scale.silent) for scale in scales]
    [('0', 'Conv2d', 2.236, 1.0), ('1', 'ReLU', 2.121, 1.0)]
    """
    observer = _Measures()
    with np.errstate(all="ignore"), watched(model, observer):
        scores = model(images)
        loss = loss_of(scores)
        if loss.requires_grad:
            loss.backward()
        scales = [observer.scale(call) for call in observer.outputs]
    return scales, float(loss.item()), _root_mean_square(scores.data)


class _Measures(Observer):
    def __init__(self) -> None:
        self.outputs: dict[Call, tuple[float, float]] = {}
        self.gradients: dict[Call, float] = {}

    def leaves(self, call: Call, inputs: list[Array], y: Array) -> None:
        self.outputs[call] = _root_mean_square(y), _silent(y)

    def gradient_enters(self, call: Call, dy: Array) -> None:
        self.gradients[call] = _root_mean_square(dy)

    def scale(self, call: Call) -> Scale:
        weight: Any = vars(call.module).get("weight")
        has = weight is not None and weight.ndim > 1
        size = _root_mean_square(weight.data) if has else None
        gradient = None
        if has:
            gradient = 0.0 if weight.grad is None else _root_mean_square(weight.grad)
        kind = type(call.module).__name__
        return Scale(call.name, kind, *self.outputs[call], self.gradients.get(call, 0.0), size, gradient)


def _root_mean_square(values: Array) -> float:
    """Return it in float64, without overflow."""
    x = ops.to_numpy(values).astype(np.float64)
    return float(np.sqrt(np.mean(x**2))) if x.size else 0.0


def _silent(y: Array) -> float:
    """Return the share of channels whose values are all the same, over the whole batch."""
    if y.ndim < 2 or not y.size:
        return 0.0
    planes = ops.to_numpy(y).swapaxes(0, 1).reshape(y.shape[1], -1)
    return float((planes.max(axis=1) == planes.min(axis=1)).mean()) if planes.shape[1] > 1 else 0.0


# ---------------------------------------------------------------------------------------------------------
# In words


def check_scales(scales: Sequence[Scale], *, flat_pictures: bool = False) -> list[Finding]:
    """Find layers that are dead, outputs that explode or vanish, and weights that no gradient reaches."""
    return [
        *([] if flat_pictures else _dead(scales)),
        *_activations(scales),
        *_gradients(scales),
    ]


def _dead(scales: Sequence[Scale]) -> list[Finding]:
    relus = [scale for scale in scales if scale.kind == "ReLU"]
    worst = [scale for scale in relus if scale.silent >= DYING]
    if not worst:
        return []
    first = worst[0]
    listed = ", ".join(f"{scale.name} ({percent(scale.silent)})" for scale in worst[:4])
    listed += f" and {len(worst) - 4} more" if len(worst) > 4 else ""
    return [
        Finding(
            "dead-layers",
            WRONG if max(scale.silent for scale in worst) >= DEAD else DOUBTFUL,
            f"in {len(worst)} of {len(relus)} layers with ReLU, most channels are 0 for every pixel of the batch: "
            f"{listed}",
            "a ReLU that is never above 0 passes nothing on and lets no gradient back: its weights stay as they "
            "are for ever (dead ReLU, 죽은 ReLU)",
            f"look at what comes before {first.name}: biases that are far below 0, weights from a file that don't "
            "fit, or a learning rate that was too high; start from new weights, with batch normalisation (--option "
            "norm=batch) where the model has it",
        )
    ]


def _activations(scales: Sequence[Scale]) -> list[Finding]:
    with_weight = [scale for scale in scales if scale.weight]  # those that are all zero are so on purpose
    if len(with_weight) < 2 or not with_weight[0].output > 0:
        return []
    first, last = with_weight[0], with_weight[-1]
    ratios = [scale.output / first.output for scale in with_weight]
    k = int(
        np.argmax([abs(np.log10(max(ratio, 1e-300))) if np.isfinite(ratio) else np.inf for ratio in ratios])
    )
    there = with_weight[k]
    numbers = (
        f"the output of {first.name} is {first.output:.2g} large, that of {there.name} {there.output:.2g}, that of "
        f"the last layer, {last.name}, {last.output:.2g}"
    )
    advice = (
        "use first weights that keep the scale (He's initialisation, which the layers have of themselves), and batch "
        "normalisation (--option norm=batch) where the model has it"
    )
    if not ratios[k] <= GROWS:
        why = "numbers that grow from layer to layer make scores, loss and gradients huge"
        return [Finding("exploding", WRONG, numbers, why, advice)]
    if ratios[k] < SHRINKS:
        why = "numbers that shrink from layer to layer make all pictures look alike at the end, and gradients tiny"
        return [Finding("vanishing", WRONG, numbers, why, advice)]
    return []


def _gradients(scales: Sequence[Scale]) -> list[Finding]:
    """Compare the gradient of each weight with the weight: by that share a step of plain descent moves it."""
    relative = [
        (scale, scale.weight_gradient / scale.weight)
        for scale in scales
        if scale.weight and scale.weight_gradient is not None
    ]
    if len(relative) < 3:
        return []
    usual = float(np.median([share for _, share in relative]))
    first, share = relative[0]
    if not np.isfinite(share) or share >= max(FIRST_GRADIENT * usual, NO_GRADIENT):
        return []
    return [
        Finding(
            "vanishing-gradients",
            WRONG,
            f"the gradient of the first layer's weights ({first.name}) is {share:.1g} of the weights themselves; "
            f"the usual layer's is {usual:.1g}",
            "a layer without a gradient doesn't learn",
            "look for a dead or saturated layer behind it, and for weights or normalisation that make numbers tiny",
        )
    ]


def check_start(loss: float, blind: float, scores: float, classes: int, name: str) -> list[Finding]:
    """Compare the loss at the start with that of a model that gives every class the same score."""
    log = f" (ln {classes} = {np.log(classes):.3f})" if abs(blind - np.log(classes)) < 1e-3 else ""
    numbers = (
        f"the loss ({name}) at the start is {loss:.4g}; a model that gives all classes the same score has "
    )
    numbers += f"{blind:.4g}{log}"
    if np.isfinite(loss) and (loss <= 2.5 * blind + 0.5 or blind == 0):
        return []
    return [
        Finding(
            "start-loss",
            WRONG if not np.isfinite(loss) or loss > 6 * blind + 2 or scores > LARGE_SCORES else DOUBTFUL,
            f"{numbers}; the scores are {scores:.3g} large",
            "a model that has seen nothing should not be certain; it must first unlearn that, with huge gradients",
            "look at the normalisation of the pictures and at the first weights; batch normalisation keeps scores "
            "small",
        )
    ]
