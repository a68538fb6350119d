"""U-Net's weight map: background pixels in the narrow gap between two cells count more in the loss."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minisegnet.arrays import Array
from minisegnet.ops import checks


def border_weight(
    instances: Array,
    *,
    w0: float = 10.0,
    sigma: float = 5.0,
    labels: Array | None = None,
    class_weight: str | Sequence[float] | Array | None = None,
) -> Array:
    r"""Weigh each pixel, and most of all those between two cells that nearly touch (경계 가중치).

    .. math:: w(x) = w_c(x) + w_0 \exp\Bigl(-\frac{(d_1(x) + d_2(x))^2}{2\sigma^2}\Bigr)

    d_1 and d_2 are the distances of pixel x to the nearest and to the second nearest cell. w_c depends on the
    pixel's class alone. Conventions: a distance is from pixel centre to pixel centre, to the nearest pixel of the
    cell; so across a straight gap whose two rims are g apart (g - 1 background pixels), d_1 + d_2 = g from rim to
    rim. The second term belongs to background pixels; those of a cell have w = w_c.

    Parameters
    ----------
    instances
        (H, W), integers: 0 is background, each cell has a number of its own. Which number doesn't matter, and a
        cell may have several pieces.
    w0
        The most that a gap can add, 0 or more.
    sigma
        How fast that fades with the gap's width, in pixels.
    labels
        (H, W), integers: the classes that ``class_weight`` speaks of. None: 0 background, 1 cell.
    class_weight
        None: w_c = 1. Numbers: the weight of class 0, 1, … "balance": inverse frequency in this picture; of C
        classes that are there, one with n of the N pixels has N / (C n), so that each weighs the same in all and a
        pixel 1 on average.

    Returns
    -------
    weight
        (H, W), float32: ``pixel_weight`` of the losses.

    Notes
    -----
    O. Ronneberger, P. Fischer and T. Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation" (2015),
    section 3, equation 2, with w0 = 10 and sigma about 5. The paper balances over the training set: count its
    classes and pass numbers. It also cuts a border between cells that touch; without a background pixel between
    them there is nothing to weigh.

    Examples
    --------
    >>> border_weight(np.array([[1, 0, 2]])).round(2)  # d1 = d2 = 1: 1 + 10 exp(-4 / 50)
    array([[ 1.  , 10.23,  1.  ]], dtype=float32)
    >>> border_weight(np.array([[1, 0, 0, 0]]), class_weight="balance").round(2)  # one cell: no gap
    array([[2.  , 0.67, 0.67, 0.67]], dtype=float32)
    """
    op = "border_weight"
    instances = _whole_numbers(instances, "instances", op)
    w0, sigma = checks.number(w0, "w0", op), checks.number(sigma, "sigma", op)
    if w0 < 0 or sigma <= 0:
        raise ValueError(f"{op}: w0 is {w0} and sigma {sigma}; expected w0 >= 0 and sigma > 0")
    weight = _class_weights(instances, labels, class_weight, op)
    d1, d2 = _two_nearest(instances)
    with np.errstate(over="ignore"):  # a tiny sigma: infinitely many sigmas away
        gap = w0 * np.exp(-0.5 * ((d1 + d2) / sigma) ** 2)  # 0 where there is no second cell: d2 is infinite
    return np.where(instances == 0, weight + gap, weight).astype(np.float32)


def squared_distance(mask: Array) -> Array:
    r"""Squared Euclidean distance of each pixel to the nearest True pixel, exactly.

    .. math:: d^2_{i,j} = \min_q \bigl[(j - q)^2 + \min_{p:\,m_{p,q}} (i - p)^2\bigr]

    The square splits into a part along the rows and a part along the columns, and so the minimum over all pixels
    becomes two minima over one line each: first the nearest True pixel p of every column, then the best column q.

    Parameters
    ----------
    mask
        (H, W), bool.

    Returns
    -------
    distance
        (H, W), float64: whole numbers; infinite everywhere if nothing is True.

    Notes
    -----
    P. Felzenszwalb and D. Huttenlocher, "Distance Transforms of Sampled Functions" (2012), section 2, find the best
    column as a lower envelope of parabolas in a time that doesn't depend on their number. Here every column that
    holds a True pixel is tried on the whole picture: more sums, but long ones that NumPy does at once, and a cell
    has few columns.

    Examples
    --------
    >>> squared_distance(np.array([[True, False, False], [False, False, False]]))
    array([[0., 1., 4.],
           [1., 2., 5.]])
    """
    op = "squared_distance"
    mask = checks.array(mask, "mask", op)
    if not isinstance(mask, np.ndarray) or mask.dtype != bool:
        raise TypeError(
            f"{op}: mask is an array of {mask.dtype}; expected a NumPy array of bool: labels == 1"
        )
    checks.rank(mask, 2, "mask", op, "(H, W)")
    H, W = mask.shape
    columns = np.flatnonzero(mask.any(axis=0))
    vertical = _along_columns(mask[:, columns])  # (H, Q)
    best, candidate = np.full((H, W), np.inf), np.empty((H, W))
    for k, q in enumerate(columns):
        np.add(vertical[:, k, None], (np.arange(W) - q) ** 2, out=candidate)
        np.minimum(best, candidate, out=best)
    return best


def _along_columns(mask: Array) -> Array:
    """Squared distance to the nearest True pixel of the same column."""
    row = np.arange(mask.shape[0], dtype=np.float64)[:, None]
    above = np.maximum.accumulate(np.where(mask, row, -np.inf), axis=0)  # the last one met on the way down
    below = np.minimum.accumulate(np.where(mask, row, np.inf)[::-1], axis=0)[::-1]  # and on the way up
    return np.minimum(row - above, below - row) ** 2


def _two_nearest(instances: Array) -> tuple[Array, Array]:
    """Distances to the nearest and the second nearest cell; infinite where there is none."""
    first = np.full(instances.shape, np.inf)
    second = first.copy()
    for number in np.unique(instances[instances > 0]):  # two maps are kept, however many cells there are
        distance = squared_distance(instances == number)
        second = np.minimum(second, np.maximum(first, distance))  # the loser of first and distance
        first = np.minimum(first, distance)
    return np.sqrt(first), np.sqrt(second)


# ---------------------------------------------------------------------------------------------------------
# Class weights


def _class_weights(instances: Array, labels: Array | None, class_weight: Any, op: str) -> Array:
    """w_c of every pixel, (H, W) float64."""
    if class_weight is None:
        if labels is not None:
            raise ValueError(
                f'{op}: labels without class_weight; expected "balance" or one weight per class too'
            )
        return np.ones(instances.shape)
    labels = (instances > 0).astype(np.int64) if labels is None else _whole_numbers(labels, "labels", op)
    checks.shape(labels, instances.shape, "labels", op, "the shape of instances")
    if isinstance(class_weight, str):
        checks.choice(class_weight, ("balance",), "class_weight", op)
        _, position, count = np.unique(labels, return_inverse=True, return_counts=True)
        return (labels.size / (len(count) * count))[position.reshape(labels.shape)]
    try:
        weights = np.asarray(class_weight, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{op}: class_weight is {class_weight!r}; expected one number per class") from None
    if weights.ndim != 1 or not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError(f"{op}: class_weight is {class_weight!r}; expected one number >= 0 per class, (C,)")
    checks.index_range(labels, 0, len(weights) - 1, "labels", op, f"class_weight has {len(weights)} numbers")
    return weights[labels]


def _whole_numbers(value: Any, name: str, op: str) -> Array:
    a = checks.array(value, name, op)
    if not isinstance(a, np.ndarray) or a.dtype.kind not in "iu":
        raise TypeError(
            f"{op}: {name} is an array of {a.dtype} ({type(a).__name__}); expected a NumPy array of integers, "
            "0 for background"
        )
    a = checks.integers(a, name, op)
    if a.ndim != 2 or 0 in a.shape:
        raise ValueError(f"{op}: {name} has shape {a.shape}; expected (H, W), each 1 or more")
    if a.min() < 0:
        raise ValueError(f"{op}: {name} holds {a.min()}; expected 0 for background and positive numbers")
    return a
