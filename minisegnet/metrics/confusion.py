"""The confusion matrix: the table that every other count-based metric is read from."""

from typing import Any

from minisegnet.arrays import Array
from minisegnet.losses.common import module_of
from minisegnet.ops import checks
from minisegnet.ops.dispatch import is_cupy

SHOWN = 5  # an error names this many wrong values


def confusion_matrix(
    target: Array, predicted: Array, classes: int, *, ignore_index: int | None = None
) -> Array:  # (C, C)
    r"""Count, for each class i of the truth, how many of its pixels were given each class j (혼동 행렬).

    .. math:: n_{ij} = \#\{\text{pixels } p : t_p = i,\; y_p = j\}

    Parameters
    ----------
    target
        Integers of any shape: the true class of each pixel.
    predicted
        Integers of the same shape: the class that was predicted.
    classes
        How many classes there are; the labels are 0 to classes - 1.
    ignore_index
        Where the target has this value, the pixel doesn't count, whatever was predicted there. None: every pixel
        counts.

    Returns
    -------
    confusion
        (C, C), int64. Rows are the truth, columns the prediction: the diagonal is what was right. It is on the GPU
        if the labels are. The tables of two pictures add up to the table of both.

    Notes
    -----
    A pair (i, j) is one number, C i + j, and counting numbers is what ``bincount`` does.

    Examples
    --------
    >>> import numpy as np
    >>> target = np.array([[0, 0, 1], [1, 1, 255]])
    >>> predicted = np.array([[0, 1, 1], [1, 1, 0]])
    >>> confusion_matrix(target, predicted, 2, ignore_index=255)
    array([[1, 1],
           [0, 3]])
    """
    op = "confusion_matrix"
    C = checks.integer(classes, "classes", op, 1, maximum=2**16)
    target, predicted = counted_pixels(target, predicted, C, ignore_index, op)
    return module_of(target).bincount(C * target + predicted, minlength=C * C).reshape(C, C)  # type: ignore[no-any-return]


def counted_pixels(
    target: Any, predicted: Any, C: int, ignore_index: Any, op: str
) -> tuple[Array, Array]:  # (P,) and (P,)
    """Check two label maps and return the P pixels of each that count, as int64."""
    target, predicted = label_pair(target, predicted, op)
    counts = counted(target, ignore_index, op)
    target, predicted = target[counts], predicted[counts]  # (P,)
    within(target, C, "target", op)
    within(predicted, C, "predicted", op)
    return target, predicted


def label_pair(target: Any, predicted: Any, op: str) -> tuple[Array, Array]:
    """Check that these are integers of one shape, from one library, and return them as int64."""
    target = checks.integers(target, "target", op)
    predicted = checks.integers(predicted, "predicted", op)
    if is_cupy(target) != is_cupy(predicted):
        kinds = " and ".join("CuPy" if is_cupy(a) else "NumPy" for a in (target, predicted))
        raise TypeError(
            f"{op}: target and predicted are {kinds} arrays; expected both of one kind. Move one by ops.to_numpy"
        )
    checks.shape(predicted, tuple(target.shape), "predicted", op, "the shape of target")
    return target, predicted


def counted(target: Array, ignore_index: Any, op: str) -> Array:
    """Say which pixels count, as bools."""
    if ignore_index is None:
        return module_of(target).ones(target.shape, dtype=bool)  # type: ignore[no-any-return]
    ignored = checks.integer(ignore_index, "ignore_index", op, -checks.LARGEST)
    mask: Array = target != ignored
    return mask


def within(labels: Array, C: int, name: str, op: str) -> None:
    """Check that all labels are classes; an error names those that aren't, and how many pixels have them."""
    wrong = labels[(labels < 0) | (labels >= C)]
    if not wrong.size:
        return
    values, counts = module_of(labels).unique(wrong, return_counts=True)
    pairs = zip(values[:SHOWN].tolist(), counts[:SHOWN].tolist(), strict=True)
    named = ", ".join(f"{value} ({count} times)" for value, count in pairs)
    more = f" and {len(values) - SHOWN} more values" if len(values) > SHOWN else ""
    hint = "the masks' values need mapping to classes, or pass the right number of classes"
    if name == "target":
        hint = (
            "if one of them marks pixels that don't count, pass it as ignore_index (often 255); otherwise "
            + hint
        )
    raise ValueError(
        f"{op}: {name} holds {wrong.size} labels outside 0..{C - 1}: {named}{more}; expected 0 to {C - 1}: {hint}"
    )
