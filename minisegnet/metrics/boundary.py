"""Boundary F1: how much of the outlines lies where it should."""

import math
from typing import Any

import numpy as np

from minisegnet.arrays import Array
from minisegnet.metrics.confusion import counted, label_pair, within
from minisegnet.ops import checks
from minisegnet.ops.dispatch import to_numpy


def boundary_f1(
    target: Array,
    predicted: Array,
    classes: int,
    *,
    tolerance: float = 2,
    ignore_index: int | None = None,
) -> Array:  # (C,)
    r"""Compare the outlines of each class: the F1 of boundary pixels that lie near the other outline (경계 F1).

    .. math:: P_c = \frac{\#\{p \in \hat B_c : d(p, B_c) \le \theta\}}{\#\hat B_c}, \quad
              R_c = \frac{\#\{p \in B_c : d(p, \hat B_c) \le \theta\}}{\#B_c}, \quad
              F_c = \frac{2 P_c R_c}{P_c + R_c}

    B_c are the boundary pixels of class c in the truth, and with a hat those in the prediction: its pixels that
    have a neighbour of another class above, below, left or right. The picture's edge is no boundary. d is the
    Euclidean distance to the nearest one, from pixel centre to pixel centre.

    Parameters
    ----------
    target, predicted
        (H, W), integers: the true and the predicted class of each pixel.
    classes
        How many classes there are.
    tolerance
        How far apart outlines may be, in pixels. A float between 0 and 1 is a share of the picture's diagonal, such
        as 0.0075.
    ignore_index
        Pixels with this target don't count, in either map, and a class that meets them has no boundary there.

    Returns
    -------
    f1
        (C,), float64: 0 where only one of the two has a boundary of the class, nan where neither has.

    Notes
    -----
    G. Csurka, D. Larlus and F. Perronnin, "What is a good evaluation measure for semantic segmentation?" (2013),
    section 3, with 0.75 % of the diagonal; they average over pictures, ``Evaluation`` adds the pixels up.

    Examples
    --------
    >>> target = np.array([[0, 0, 0, 1, 1, 1]])
    >>> predicted = np.array([[0, 0, 0, 0, 1, 1]])  # the outline is one pixel off
    >>> boundary_f1(target, predicted, 2, tolerance=1)
    array([1., 1.])
    >>> boundary_f1(target, predicted, 2, tolerance=0)
    array([0., 0.])
    """
    counts = boundary_counts(target, predicted, classes, tolerance=tolerance, ignore_index=ignore_index)
    return f1_of_counts(counts)


def boundary_counts(
    target: Array,
    predicted: Array,
    classes: int,
    *,
    tolerance: float = 2,
    ignore_index: int | None = None,
) -> Array:  # (C, 4)
    """Count boundary pixels of each class: predicted, of these near the truth; true, of these near the prediction.

    The arguments are those of ``boundary_f1``. The counts of several pictures may be added.

    Examples
    --------
    >>> boundary_counts(np.array([[0, 1, 1]]), np.array([[0, 0, 0]]), 2)
    array([[0, 0, 1, 0],
           [0, 0, 1, 0]])
    """
    op = "boundary_f1"
    C = checks.integer(classes, "classes", op, 1, maximum=2**16)
    target, predicted = (to_numpy(a) for a in label_pair(target, predicted, op))
    checks.rank(target, 2, "target", op, "(H, W); give several pictures one by one")
    counts = counted(target, ignore_index, op)
    within(target[counts], C, "target", op)
    within(predicted[counts], C, "predicted", op)
    reach = _reach(tolerance, target.shape, op)
    true_edge, predicted_edge = _edges(target, counts), _edges(predicted, counts)
    table = np.zeros((C, 4), np.int64)
    for c in range(C):
        truth, guess = true_edge & (target == c), predicted_edge & (predicted == c)
        table[c] = [*_near(guess, truth, reach), *_near(truth, guess, reach)]
    return table


def f1_of_counts(counts: Array) -> Array:
    """Make F1 of the counts of boundary pixels: (C, 4) becomes (C,).

    >>> f1_of_counts(np.array([[4, 3, 6, 3], [0, 0, 2, 0], [0, 0, 0, 0]])).round(3)  # P = 3/4, R = 1/2
    array([0.6, 0. , nan])
    """
    guessed, hits, true, found = (column.astype(np.float64) for column in counts.T)
    precision, recall = hits / np.maximum(guessed, 1), found / np.maximum(true, 1)
    both = precision + recall
    f1 = np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)
    return np.where(guessed + true > 0, f1, np.nan)


def _reach(tolerance: Any, size: tuple[int, ...], op: str) -> float:
    """Return the tolerance in pixels."""
    reach = checks.number(tolerance, "tolerance", op)
    if reach < 0:
        raise ValueError(
            f"{op}: tolerance is {tolerance}; expected pixels, 0 or more, or a share of the diagonal below 1"
        )
    diagonal = math.hypot(*size)
    return reach * diagonal if reach < 1 else min(reach, diagonal)


def _edges(labels: Array, counts: Array) -> Array:
    """Mark the pixels that have a neighbour of another class; both must count."""
    edge = np.zeros(labels.shape, bool)
    down = (labels[1:] != labels[:-1]) & counts[1:] & counts[:-1]  # (H-1, W): between a row and the next
    across = (labels[:, 1:] != labels[:, :-1]) & counts[:, 1:] & counts[:, :-1]  # (H, W-1)
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    return edge


def _near(points: Array, others: Array, reach: float) -> tuple[int, int]:
    """Count the True pixels of ``points``, and those of them that have one of ``others`` within reach.

    As in ``squared_distance`` the square splits: first the nearest other pixel of each column, then the columns
    left and right. But only as far as the reach, and only at the points, which are few.
    """
    i, j = np.nonzero(points)
    if not i.size or not others.any():
        return i.size, 0
    H, W = others.shape
    row = np.arange(H, dtype=np.float64)[:, None]
    above = np.maximum.accumulate(np.where(others, row, -np.inf), axis=0)
    below = np.minimum.accumulate(np.where(others, row, np.inf)[::-1], axis=0)[::-1]
    vertical = np.minimum(row - above, below - row) ** 2  # (H, W)
    near = np.zeros(i.size, bool)
    for shift in range(-int(min(reach, W)), int(min(reach, W)) + 1):
        column = j + shift
        inside = (column >= 0) & (column < W)
        near |= inside & (vertical[i, np.clip(column, 0, W - 1)] + shift * shift <= reach * reach)
    return i.size, int(near.sum())
