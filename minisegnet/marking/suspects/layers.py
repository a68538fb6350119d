"""Mistakes in activations, in batch normalisation and in what arranges maps."""

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from minisegnet.marking.suspects.suspect import right, suspect

# ---------------------------------------------------------------------------------------------------------
# relu and its relatives

NAN = """a NaN must come through: relu(NaN) is NaN. Comparisons with NaN are False, so that np.where(x > 0, x,
        0), fmax and
    max(x, 0) hide it; np.maximum(x, 0) keeps it"""
suspect("relu.nan-hidden", "relu", "y", NAN)(lambda a: np.where(a.x > 0, a.x, 0.0))
suspect("relu.absolute", "relu", "y", "this is the absolute value; relu makes what is negative 0")(
    lambda a: np.abs(a.x)
)
suspect("relu_backward.passes-everywhere", "relu_backward", "dx", """the gradient passes everywhere: where y is
        0 the relu had cut
    something off, and dx is 0 there. y is never below 0, so that `y >= 0` is always true: ask for y > 0""")(
    lambda a: a.dy
)  # fmt: skip
suspect("relu_backward.sign-of-dy", "relu_backward", "dx", """dx is relu(dy); whether the gradient passes is
        decided by y > 0, not by
    dy""")(lambda a: np.maximum(a.dy, 0))  # fmt: skip
suspect("relu_backward.dy-forgotten", "relu_backward", "dx", "dy is missing: dx = dy where y > 0, not 1")(
    lambda a: np.where(a.y > 0, 1.0, 0.0)
)
suspect(
    "relu_backward.times-y",
    "relu_backward",
    "dx",
    "dx is dy times y; the slope of a relu is 1 where y > 0, not y",
)(lambda a: a.dy * a.y)
suspect("leaky_relu_backward.slope-forgotten", "leaky_relu_backward", "dx", """where y is negative dx is 0; a
        leaky relu passes
    slope * dy there""")(lambda a: np.where(a.y > 0, a.dy, 0.0))  # fmt: skip
suspect("leaky_relu_backward.at-least", "leaky_relu_backward", "dx", """at y = 0 the slope counts: only y > 0
        lets all of dy
    pass""")(lambda a: np.where(a.y >= 0, a.dy, a.slope * a.dy))  # fmt: skip
suspect(
    "leaky_relu.negative-zero",
    "leaky_relu",
    "y",
    "this is a plain relu: what is negative is multiplied by slope",
)(lambda a: np.maximum(a.x, 0))


@suspect(
    "sigmoid.overflow",
    "sigmoid",
    "y",
    """exp overflows: for very negative x, exp(-x) is infinite. Write it so that exp sees no
    positive number: with e = exp(-abs(x)), y is 1 / (1 + e) for x >= 0, else e / (1 + e)""",
)
def _(a: SimpleNamespace) -> Any:
    return np.exp(a.x) / (1 + np.exp(a.x))


suspect(
    "sigmoid.sign",
    "sigmoid",
    "y",
    "the sign in the exponent is wrong: y = 1 / (1 + exp(-x)), which grows with x",
)(lambda a: right("sigmoid", a, x=-a.x))
suspect("sigmoid_backward.of-x", "sigmoid_backward", "dx", """the sigmoid is applied once more: the backward
        gets y, the forward's
    answer, not x. dx = dy * y * (1 - y)""")(
    lambda a: a.dy * right("sigmoid", SimpleNamespace(x=a.y)) * (1 - right("sigmoid", SimpleNamespace(x=a.y)))
)  # fmt: skip
suspect("sigmoid_backward.dy-forgotten", "sigmoid_backward", "dx", "dy is missing: dx = dy * y * (1 - y)")(
    lambda a: a.y * (1 - a.y)
)
suspect("sigmoid_backward.half", "sigmoid_backward", "dx", "a factor is missing: dx = dy * y * (1 - y)")(
    lambda a: a.dy * a.y
)
suspect("sigmoid_backward.half", "sigmoid_backward", "dx", "a factor is missing: dx = dy * y * (1 - y)")(
    lambda a: a.dy * (1 - a.y)
)


# ---------------------------------------------------------------------------------------------------------
# softmax


OVERFLOW = """exp overflows for large numbers, and inf / inf is NaN. Subtract the largest value along the axis
        first: it
    changes nothing but keeps exp from overflowing"""


@suspect("softmax.overflow", "softmax", "y", OVERFLOW)
def _(a: SimpleNamespace) -> Any:
    e = np.exp(a.x)
    return e / e.sum(axis=a.axis, keepdims=True)


LOG = """the logarithm of a probability that was rounded to 0 is minus infinity. Work with the logarithms from
        the start:
    y = (x - max) - log(sum of exp(x - max))"""


@suspect("log_softmax.overflow", "log_softmax", "y", LOG)
def _(a: SimpleNamespace) -> Any:
    return np.log(right("softmax", a))


@suspect("log_softmax.overflow", "log_softmax", "y", OVERFLOW)
def _(a: SimpleNamespace) -> Any:
    return a.x - np.log(np.exp(a.x).sum(axis=a.axis, keepdims=True))


@suspect("log_softmax.overflow", "log_softmax", "y", OVERFLOW)
def _(a: SimpleNamespace) -> Any:
    e = np.exp(a.x)
    return np.log(e / e.sum(axis=a.axis, keepdims=True))


@suspect(
    "log_softmax.maximum-not-back",
    "log_softmax",
    "y",
    """the largest value was subtracted in one place only: y = (x - max) -
    log(sum of exp(x - max)); subtracting it in both places keeps y the same""",
)
def _(a: SimpleNamespace) -> Any:
    peak = a.x.max(axis=a.axis, keepdims=True)
    return a.x - np.log(np.exp(a.x - peak).sum(axis=a.axis, keepdims=True))


AXIS = """the sum runs over the wrong axis: it runs over `axis` (1 unless told, the classes), so that
        y.sum(axis=axis) is
    all ones{log}"""


def _axes(op: str, log: str) -> None:
    for axis in (-1, 0, 2):
        suspect(f"{op}.wrong-axis", op, "y", AXIS.format(log=log))(
            lambda a, axis=axis: right(op, a, axis=axis) if axis < a.x.ndim else None
        )

    def over_all(a: SimpleNamespace) -> Any:
        return right(op, a, x=a.x.reshape(1, -1), axis=1).reshape(a.x.shape)

    suspect(f"{op}.wrong-axis", op, "y", AXIS.format(log=log))(over_all)


_axes("softmax", "")
_axes("log_softmax", " for exp(y)")
for _axis in (-1, 0):
    for _op, _sum in (("softmax", "the sum of dy * y"), ("log_softmax", "the sum of dy")):
        suspect(
            f"{_op}_backward.wrong-axis",
            f"{_op}_backward",
            "dx",
            f"{_sum} runs over the wrong axis: it runs over `axis`",
        )(lambda a, op=_op, axis=_axis: right(f"{op}_backward", a, axis=axis))

DIAGONAL = """only y * (1 - y) is there, each class for itself. Raising one score lowers all others: dx = y *
        (dy - sum of dy * y
    along the axis)"""
suspect("softmax_backward.diagonal", "softmax_backward", "dx", DIAGONAL)(lambda a: a.dy * a.y * (1 - a.y))
suspect(
    "softmax_backward.sum-forgotten", "softmax_backward", "dx", DIAGONAL.replace("y * (1 - y)", "y * dy")
)(lambda a: a.dy * a.y)
suspect("softmax_backward.sum-of-dy", "softmax_backward", "dx", """the sum is taken of dy alone: dx = y * (dy -
        sum of dy * y along
    the axis)""")(lambda a: a.y * (a.dy - a.dy.sum(axis=a.axis, keepdims=True)))  # fmt: skip
suspect("softmax_backward.y-forgotten", "softmax_backward", "dx", """y is missing in front: dx = y * (dy - sum
        of dy * y along the
    axis)""")(lambda a: a.dy - (a.dy * a.y).sum(axis=a.axis, keepdims=True))  # fmt: skip
suspect("log_softmax_backward.y-for-probability", "log_softmax_backward", "dx", """y is a logarithm here: dx =
        dy - exp(y) * sum of dy
    along the axis""")(lambda a: a.dy - a.y * a.dy.sum(axis=a.axis, keepdims=True))  # fmt: skip
suspect("log_softmax_backward.softmax", "log_softmax_backward", "dx", """this is the softmax's backward; the
        logarithm's is
    dx = dy - exp(y) * sum of dy along the axis""")(
    lambda a: right("softmax_backward", a, y=np.exp(a.y))
)  # fmt: skip
suspect("log_softmax_backward.sum-forgotten", "log_softmax_backward", "dx", """dy is to be summed along the
        axis: dx = dy - exp(y) *
    sum of dy""")(lambda a: a.dy - np.exp(a.y) * a.dy)  # fmt: skip


# ---------------------------------------------------------------------------------------------------------
# batch_norm


def _channels(x: Any) -> tuple[int, ...]:
    return tuple(i for i in range(x.ndim) if i != 1)


def _along(x: Any, values: Any) -> Any:
    """Shape (C,) values so that they meet the channel axis."""
    return values.reshape(1, -1, *(1,) * (x.ndim - 2))


def _normalised(a: SimpleNamespace, mean: Any, scale: Any) -> Any:
    y = (a.x - mean) * scale
    if a.gamma is not None:
        y = y * _along(a.x, a.gamma) + _along(a.x, a.beta)
    return y


def _over(axes: tuple[int, ...]) -> Callable[[SimpleNamespace], Any]:
    def run(a: SimpleNamespace) -> Any:
        if not a.training or max(axes) >= a.x.ndim:
            return right("batch_norm", a)
        mean, var = a.x.mean(axis=axes, keepdims=True), a.x.var(axis=axes, keepdims=True)
        return _normalised(a, mean, 1 / np.sqrt(var + a.eps))

    return run


AXES = """mean and variance are taken over the wrong axes: each channel has one of each, over all pictures and places,
    x.mean(axis=(0, 2, 3))"""
for _n in (1, 2, 3, 4):
    for _chosen in itertools.combinations(range(4), _n):
        if _chosen not in ((0, 2, 3), (0,), (0, 2)):
            suspect("batch_norm.axes", "batch_norm", "y", AXES)(_over(_chosen))
suspect("batch_norm.axes", "batch_norm", "y", AXES)(_over((0,)))
suspect("batch_norm.axes", "batch_norm", "y", AXES)(_over((0, 2)))


def _with_statistics(a: SimpleNamespace, scale: Callable[[Any, Any, int], Any], always: bool = False) -> Any:
    """Normalise with another scale, made of variance, eps and the number of values; in training, or always."""
    if not a.training and not always:
        return right("batch_norm", a)
    if not a.training:
        found = scale(a.running_var, a.eps, a.x.size // a.x.shape[1])
        return _normalised(a, _along(a.x, a.running_mean), _along(a.x, found))
    axes = _channels(a.x)
    count = a.x.size // a.x.shape[1]
    found = scale(a.x.var(axis=axes), a.eps, count)
    return _normalised(a, _along(a.x, a.x.mean(axis=axes)), _along(a.x, found))


UNBIASED = """y is normalised with the unbiased variance (divided by n - 1); y takes the plain one (divided by
        n). The unbiased one
    is for running_var only"""
suspect("batch_norm.unbiased", "batch_norm", "y", UNBIASED)(
    lambda a: _with_statistics(a, lambda var, eps, n: 1 / np.sqrt(var * n / (n - 1) + eps))
)
OUTSIDE = "eps is added outside of the root: inv_std = 1 / sqrt(var + eps)"
NO_ROOT = "it is divided by the variance, not by its root: inv_std = 1 / sqrt(var + eps)"
for _always in (True, False):  # in evaluation, too, where one line serves both
    suspect("batch_norm.eps-outside", "batch_norm", "y", OUTSIDE)(
        lambda a, always=_always: _with_statistics(
            a, lambda var, eps, n: 1 / (np.sqrt(var) + eps), always=always
        )
    )
    suspect("batch_norm.root-forgotten", "batch_norm", "y", NO_ROOT)(
        lambda a, always=_always: _with_statistics(a, lambda var, eps, n: 1 / (var + eps), always=always)
    )


@suspect(
    "batch_norm.evaluation-as-training",
    "batch_norm",
    "y",
    """training=False uses the batch's own mean and variance; it must
    use running_mean and running_var""",
)
def _(a: SimpleNamespace) -> Any:
    return right("batch_norm", a, training=True)


BIASED = """running_var gets the plain variance; it keeps the unbiased one: var * n / (n - 1), n the number of
        values a channel"""
MOMENTUM = """momentum is the wrong way round: running = (1 - momentum) * running + momentum * batch"""


def _running(
    a: SimpleNamespace, output: str, unbiased: bool = True, swapped: bool = False, kept: bool = True
) -> Any:
    old = a.running_mean if output == "running_mean" else a.running_var
    if old is None or not a.training:
        return None if old is None else old
    axes, n = _channels(a.x), a.x.size // a.x.shape[1]
    new = (
        a.x.mean(axis=axes)
        if output == "running_mean"
        else a.x.var(axis=axes) * (n / (n - 1) if unbiased else 1)
    )
    share = 1 - a.momentum if swapped else a.momentum
    return (1 - share) * old * kept + share * new


suspect("batch_norm.running-biased", "batch_norm", "running_var", BIASED)(
    lambda a: _running(a, "running_var", False)
)
for _output in ("running_mean", "running_var"):
    suspect("batch_norm.momentum-swapped", "batch_norm", _output, MOMENTUM)(
        lambda a, output=_output: _running(a, output, swapped=True)
    )
    suspect("batch_norm.running-not-updated", "batch_norm", _output, f"""{_output} comes back unchanged: in
        training it moves a little
        towards the batch's own, (1 - momentum) * running + momentum * batch""")(
        lambda a, output=_output: getattr(a, output)
    )  # fmt: skip
    suspect(
        "batch_norm.running-always",
        "batch_norm",
        _output,
        f"{_output} is updated with training=False, too; then it stays",
    )(lambda a, output=_output: right("batch_norm", a, output, training=True))
suspect("batch_norm.momentum-swapped", "batch_norm", "running_var", MOMENTUM)(
    lambda a: _running(a, "running_var", unbiased=False, swapped=True)
)
INV_STD = """inv_std is {what}; return 1 / sqrt(var + eps)"""
suspect("batch_norm.inv-std", "batch_norm", "inv_std", INV_STD.format(what="the standard deviation"))(
    lambda a: 1 / right("batch_norm", a, "inv_std")
)
suspect("batch_norm.inv-std", "batch_norm", "inv_std", INV_STD.format(what="the variance plus eps"))(
    lambda a: 1 / right("batch_norm", a, "inv_std") ** 2
)
suspect("batch_norm.inv-std", "batch_norm", "inv_std", INV_STD.format(what="the variance"))(
    lambda a: 1 / right("batch_norm", a, "inv_std") ** 2 - a.eps
)


def _back(
    a: SimpleNamespace, mean: bool = True, variance: bool = True, divide: bool = True, gamma: bool = True
) -> Any:
    """Compute dx of a batch normalisation with some of its terms left out."""
    axes, n = _channels(a.x), a.x.size // a.x.shape[1]
    normalised = (a.x - _along(a.x, a.mean)) * _along(a.x, a.inv_std)
    dx = a.dy
    if a.training:
        by = n if divide else 1
        if mean:
            dx = dx - a.dy.sum(axis=axes, keepdims=True) / by
        if variance:
            dx = dx - normalised * (a.dy * normalised).sum(axis=axes, keepdims=True) / by
    scale = a.inv_std if a.gamma is None or not gamma else a.gamma * a.inv_std
    return dx * _along(a.x, scale)


BACK: tuple[tuple[str, str, dict[str, bool]], ...] = (
    (
        "constants",
        """mean and variance are treated as constants: in training both depend on x. dx = gamma * inv_std * (dy
        - mean of dy -
        normalised * mean of dy * normalised), means over all values of the channel""",
        {"mean": False, "variance": False},
    ),
    (
        "variance-constant",
        """the variance is treated as a constant: the term normalised * mean of (dy * normalised) is missing""",
        {"variance": False},
    ),
    ("mean-constant", """the mean is treated as a constant: the term mean of dy is missing""", {"mean": False}),
    ("no-division", """the two sums are not divided by n, the number of values a channel: they are
        means""", {"divide": False}),
    ("gamma-forgotten", """gamma is missing in dx: the forward multiplies by it, so does dx""", {"gamma": False}),
)  # fmt: skip
for _name, _hint, _terms in BACK:
    suspect(f"batch_norm_backward.{_name}", "batch_norm_backward", "dx", _hint)(
        lambda a, terms=_terms: _back(a, **terms)
    )
suspect("batch_norm_backward.training-ignored", "batch_norm_backward", "dx", """with training=False mean and
        variance are constants:
    dx is just gamma * inv_std * dy""")(lambda a: right("batch_norm_backward", a, training=True))  # fmt: skip
DGAMMA = """dgamma is summed with {what}; it is the sum of dy times the normalised x, (x - mean) * inv_std"""
for _what, _factor in (
    ("x itself", lambda a: a.x),
    ("x - mean, without inv_std", lambda a: a.x - _along(a.x, a.mean)),
):
    suspect("batch_norm_backward.dgamma", "batch_norm_backward", "dgamma", DGAMMA.format(what=_what))(
        lambda a, factor=_factor: None if a.gamma is None else (a.dy * factor(a)).sum(axis=_channels(a.x))
    )
for _output in ("dgamma", "dbeta"):
    suspect(
        "batch_norm_backward.mean",
        "batch_norm_backward",
        _output,
        f"{_output} is a mean; it is a sum over all values a channel",
    )(
        lambda a, output=_output: (
            None if a.gamma is None else right("batch_norm_backward", a, output) / (a.x.size // a.x.shape[1])
        )
    )


# ---------------------------------------------------------------------------------------------------------
# Arranging


suspect("concat.reversed", "concat", "y", "the arrays stand in reversed order: the first one comes first")(
    lambda a: right("concat", a, arrays=a.arrays[::-1])
)
for _axis in (-1, 0):
    suspect(
        "concat.wrong-axis",
        "concat",
        "y",
        "they are joined along another axis than `axis`, which is 1 (the channels) unless told",
    )(lambda a, axis=_axis: right("concat", a, axis=axis))
suspect(
    "add_backward.halved",
    "add_backward",
    "da",
    "a sum passes the whole gradient on to both: da = dy, db = dy",
)(lambda a: a.dy / 2)
suspect(
    "add_backward.halved",
    "add_backward",
    "db",
    "a sum passes the whole gradient on to both: da = dy, db = dy",
)(lambda a: a.dy / 2)


def _start(a: SimpleNamespace, rule: Callable[[int, int], int], whole: Any, size: Any) -> tuple[int, int]:
    return rule(whole[0], size[0]), rule(whole[1], size[1])


CROP: dict[str, tuple[str, Callable[[int, int], int]]] = {
    "rounded-up": (
        """where the margin is odd, the crop starts one too far: it starts at (H - h) // 2, rounded down""",
        lambda whole, part: (whole - part + 1) // 2,
    ),
    "top-left": ("""this is the upper left corner; the crop lies in the middle, from (H - h) //
        2""", lambda whole, part: 0),
    "off-by-one": ("""the crop starts one pixel too late: it starts at (H - h) //
        2""", lambda whole, part: (whole - part) // 2 + 1),
    "bottom-right": ("""this is the lower right corner; the crop lies in the middle, from (H - h) //
        2""", lambda whole, part: whole - part),
}  # fmt: skip
for _name, (_hint, _begin) in CROP.items():

    @suspect(f"crop2d.{_name}", "crop2d", "y", _hint)
    def _(a: SimpleNamespace, rule: Callable[[int, int], int] = _begin) -> Any:
        top, left = _start(a, rule, a.x.shape[2:], a.size)
        return a.x[:, :, top : top + a.size[0], left : left + a.size[1]]

    @suspect(f"crop2d_backward.{_name}", "crop2d_backward", "dx", _hint)
    def _(a: SimpleNamespace, rule: Callable[[int, int], int] = _begin) -> Any:
        size = a.dy.shape[2:]
        top, left = _start(a, rule, a.input_size, size)
        dx = np.zeros((*a.dy.shape[:2], *a.input_size))
        dx[:, :, top : top + size[0], left : left + size[1]] = a.dy
        return dx


def _padded(a: SimpleNamespace, mode: str) -> Any:
    (ph, pw), none = a.padding, (0, 0)
    return np.pad(a.x, (none, none, (ph, ph), (pw, pw)), mode=mode)  # type: ignore[call-overload]


suspect("pad2d.edge-repeated", "pad2d", "y", """reflecting repeats the edge here; row -1 shows row 1, not row
        0: the edge is the mirror and
    comes once""")(lambda a: _padded(a, "symmetric") if a.mode == "reflect" else right("pad2d", a))  # fmt: skip
suspect(
    "pad2d.edge",
    "pad2d",
    "y",
    """the edge is repeated; mode="reflect" mirrors: row -1 shows row 1, row -2 shows row 2""",
)(lambda a: _padded(a, "edge") if a.mode == "reflect" else right("pad2d", a))
CUT = """with mode="reflect" the gradients of the padding are lost: padding shows pixels of the map once more,
        and what arrives there
    is added to those pixels"""
suspect("pad2d_backward.reflections-lost", "pad2d_backward", "dx", CUT)(
    lambda a: right("pad2d_backward", a, mode="zero")
)
suspect(
    "dropout_backward.scale-forgotten",
    "dropout_backward",
    "dx",
    "the factor 1 / (1 - p) is missing: dx = dy * mask / (1 - p)",
)(lambda a: a.dy * a.mask)
suspect(
    "dropout_backward.mask-forgotten",
    "dropout_backward",
    "dx",
    "dropped values have no gradient: dx = dy * mask / (1 - p)",
)(lambda a: a.dy / (1 - a.p))
