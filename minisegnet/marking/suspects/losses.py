"""Mistakes in the losses."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from minisegnet.marking.suspects.suspect import right, suspect

CE, CE_BACK, BCE, BCE_BACK = (
    "softmax_cross_entropy",
    "softmax_cross_entropy_backward",
    "bce_with_logits",
    "bce_with_logits_backward",
)


def _each(op: str, a: SimpleNamespace) -> Any:
    """Return every pixel's loss, weighted; ignored ones are 0."""
    return right(op, a, reduction="none")


def _counted(a: SimpleNamespace) -> Any:
    """Mark the pixels that count."""
    return np.ones(a.target.shape, bool) if a.ignore_index is None else a.target != a.ignore_index


def _divided(op: str, count: Any) -> Any:
    """Return the mean loss, divided by something else."""

    def run(a: SimpleNamespace) -> Any:
        if a.reduction != "mean":
            return right(op, a)
        return np.array(_each(op, a).sum() / np.float64(count(a)))

    return run


def _divided_back(op: str, count: Any) -> Any:
    def run(a: SimpleNamespace) -> Any:
        if a.reduction != "mean":
            return right(op, a)
        return right(op, a, reduction="sum", dloss=a.dloss) / np.float64(count(a))

    return run


def _weights(a: SimpleNamespace) -> float:
    """Return the sum of the weights of the pixels that count."""
    weights = _counted(a).astype(float)
    if a.weight is not None:
        labels = np.where(_counted(a), a.target, 0)
        weights = weights * a.weight[labels]
    if a.pixel_weight is not None:
        weights = weights * a.pixel_weight
    return float(weights.sum())


ALL = """the mean is taken over all pixels; those that are ignored don't count: divide by {by} of the pixels
        that count"""
BY_COUNT = """the weighted losses are divided by the number of pixels; a weighted mean divides by the sum of
        their weights"""
BATCH = """it is divided by the number of pictures only; the mean is over all pixels: divide by {by}"""
SUM = """this is the sum; reduction="mean" divides by {by}"""
NOTHING = """when nothing counts (all pixels ignored), the mean is 0, not 0 / 0 = NaN"""
for _op, _back, _by in (
    (CE, CE_BACK, "the sum of the weights (1 each, where none are given)"),
    (BCE, BCE_BACK, "the number"),
):
    _output = "dlogits"
    _rules: list[tuple[str, str, Any]] = [
        ("mean-over-all", ALL.format(by=_by), lambda a: max(a.target.size, 1)),
        ("mean-over-pictures", BATCH.format(by=_by), lambda a: max(len(a.target), 1)),
        ("mean-forgotten", SUM.format(by=_by + " of what counts"), lambda a: 1),
    ]
    if _op == CE:
        # First: without ignore_index, dividing by all elements is this mistake.
        _rules.insert(0, ("weights-not-in-mean", BY_COUNT, lambda a: max(int(_counted(a).sum()), 1)))
        _rules.append(("nothing-counts", NOTHING, _weights))
    else:
        _rules.append(("mean-by-weights", """it is divided by the sum of the weights; this loss divides by the
        number of elements that
            count""", lambda a: _bce_weights(a) or 1))  # fmt: skip
        _rules.append(("nothing-counts", NOTHING, lambda a: int(_counted(a).sum())))
    for _name, _hint, _count in _rules:
        suspect(f"{_op}.{_name}", _op, "loss", " ".join(_hint.split()))(_divided(_op, _count))
        suspect(f"{_back}.{_name}", _back, "dlogits", " ".join(_hint.split()))(_divided_back(_back, _count))


def _bce_weights(a: SimpleNamespace) -> float:
    weights = _counted(a).astype(float)
    for given in (a.weight, a.pixel_weight):
        if given is not None:
            weights = weights * given
    return float(weights.sum())


# ---------------------------------------------------------------------------------------------------------
# Overflow


@suspect(
    f"{CE}.overflow",
    CE,
    "loss",
    """exp overflows for large logits: subtract the largest logit of each pixel before exp""",
)
def _(a: SimpleNamespace) -> Any:
    e = np.exp(a.logits)
    return _from_probs(a, e / e.sum(axis=1, keepdims=True))


LOG = """a probability is rounded to 0, and its logarithm is minus infinity: take the loss from the logits,
        log(sum of exp(z - max)) -
    (z[label] - max), not from log(probs)"""


@suspect(f"{CE}.log-of-zero", CE, "loss", LOG)
def _(a: SimpleNamespace) -> Any:
    return _from_probs(a, right(CE, a, "probs"))


for _tiny in (1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-15, 1e-16):

    @suspect(
        f"{CE}.log-of-zero",
        CE,
        "loss",
        """a small number inside the logarithm bounds the loss, so that it is wrong where the
        probability is tiny: take the loss from the logits, log(sum of exp(z - max)) - (z[label] - max)""",
    )
    def _(a: SimpleNamespace, tiny: float = _tiny) -> Any:
        return _from_probs(a, right(CE, a, "probs") + tiny)


def _from_probs(a: SimpleNamespace, probs: Any) -> Any:
    counted = _counted(a)
    labels = np.where(counted, a.target, 0)
    each = -np.log(np.take_along_axis(probs, labels[:, None], axis=1)[:, 0])
    weights = counted.astype(float)
    if a.weight is not None:
        weights = weights * a.weight[labels]
    if a.pixel_weight is not None:
        weights = weights * a.pixel_weight
    each = np.where(counted, each * weights, 0.0)
    if a.reduction == "none":
        return each
    total = each.sum()
    if a.reduction == "mean":
        total = total / weights.sum() if weights.sum() else 0.0
    return np.array(total)


@suspect(
    f"{CE}.overflow",
    CE,
    "probs",
    """exp overflows for large logits: subtract the largest logit of each pixel before exp""",
)
def _(a: SimpleNamespace) -> Any:
    e = np.exp(a.logits)
    return e / e.sum(axis=1, keepdims=True)


suspect(
    f"{CE}.sign", CE, "loss", "the sign is wrong: the loss is minus the logarithm of the label's probability"
)(lambda a: -right(CE, a))
suspect(
    f"{CE}.probs-are-logits",
    CE,
    "probs",
    "the second result is the logits; return the probabilities, softmax(logits)",
)(lambda a: a.logits)


@suspect(
    f"{CE}.probs-are-logits",
    CE,
    "probs",
    "the second result is log(probs); return the probabilities themselves",
)
def _(a: SimpleNamespace) -> Any:
    return right("log_softmax", SimpleNamespace(x=a.logits, axis=1))


STABLE = """the logarithm of a sigmoid that was rounded to 0 is minus infinity: write the loss as max(z, 0) - z
        * t + log1p(exp(-abs(z)))"""


@suspect(f"{BCE}.overflow", BCE, "loss", STABLE)
def _(a: SimpleNamespace) -> Any:
    p = right("sigmoid", SimpleNamespace(x=a.logits))
    return _bce_from(a, -(a.target * np.log(p) + (1 - a.target) * np.log(1 - p)))


@suspect(f"{BCE}.overflow", BCE, "loss", STABLE)
def _(a: SimpleNamespace) -> Any:
    return _bce_from(a, np.log(1 + np.exp(a.logits)) - a.logits * a.target)


@suspect(f"{BCE}.half", BCE, "loss", "only the pixels of class 1 count; the others add -(1 - t) * log(1 - p)")
def _(a: SimpleNamespace) -> Any:
    return _bce_from(a, a.target * np.logaddexp(0, -a.logits))


def _bce_from(a: SimpleNamespace, each: Any) -> Any:
    counted = _counted(a)
    for given in (a.weight, a.pixel_weight):
        if given is not None:
            each = each * given
    each = np.where(counted, each, 0.0)
    if a.reduction == "none":
        return each
    return np.array(each.sum() / (max(int(counted.sum()), 1) if a.reduction == "mean" else 1))


# ---------------------------------------------------------------------------------------------------------
# Backwards


DLOSS = """dloss is missing: the gradient of what comes after is multiplied in, even where it is often 1"""
for _op in (CE_BACK, BCE_BACK):
    suspect(f"{_op}.dloss-forgotten", _op, "dlogits", DLOSS)(
        lambda a, op=_op: right(op, a, dloss=np.ones_like(a.dloss))
    )
    suspect(
        f"{_op}.sign",
        _op,
        "dlogits",
        "the sign is wrong: the gradient is (probability - label) times the rest",
    )(lambda a, op=_op: -right(op, a))


def _scale(a: SimpleNamespace) -> Any:
    """Return what every pixel's (probability - one-hot) is multiplied by."""
    counted = _counted(a)
    labels = np.where(counted, a.target, 0)
    weights = counted.astype(float)
    if a.weight is not None:
        weights = weights * a.weight[labels]
    if a.pixel_weight is not None:
        weights = weights * a.pixel_weight
    by = weights.sum() if a.reduction == "mean" else 1.0
    return (weights / by if by else 0 * weights) * a.dloss


suspect(f"{CE_BACK}.one-hot-forgotten", CE_BACK, "dlogits", """the label is missing: the gradient is probs - 1
        at the label's class, and
    probs at the others""")(lambda a: a.probs * _scale(a)[:, None])  # fmt: skip


@suspect(
    f"{CE_BACK}.only-label",
    CE_BACK,
    "dlogits",
    """only the label's class gets a gradient; the others get their probability, too:
    raising them lowers the label's""",
)
def _(a: SimpleNamespace) -> Any:
    labels = np.where(_counted(a), a.target, 0)[:, None]
    one_hot = np.zeros_like(a.probs)
    np.put_along_axis(one_hot, labels, 1.0, axis=1)
    return (a.probs - 1) * one_hot * _scale(a)[:, None]


@suspect(
    f"{CE_BACK}.ignored-get-gradient", CE_BACK, "dlogits", """ignored pixels get a gradient; theirs is 0"""
)
def _(a: SimpleNamespace) -> Any:
    if a.weight is not None or a.pixel_weight is not None:
        return None
    count = max(int(_counted(a).sum()), 1) if a.reduction == "mean" else 1
    return right(CE_BACK, a) + np.where(_counted(a), 0, a.dloss / count)[:, None] * a.probs


@suspect(
    f"{BCE_BACK}.ignored-get-gradient",
    BCE_BACK,
    "dlogits",
    """ignored elements get a gradient; theirs is 0""",
)
def _(a: SimpleNamespace) -> Any:
    if a.ignore_index is None:
        return right(BCE_BACK, a)
    count = max(int(_counted(a).sum()), 1) if a.reduction == "mean" else 1
    each = (right("sigmoid", SimpleNamespace(x=a.logits)) - a.target) * a.dloss / count
    for given in (a.weight, a.pixel_weight):
        if given is not None:
            each = each * given
    return each
