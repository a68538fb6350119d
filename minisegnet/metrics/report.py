"""The numbers that papers report, read from a confusion matrix, with a table to print them."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minisegnet.arrays import Array
from minisegnet.ops import checks
from minisegnet.ops.dispatch import to_numpy

NAN = float("nan")


@dataclass(frozen=True, eq=False)
class Report:
    r"""What a confusion matrix says about a prediction.

    With n_ij pixels of class i predicted as class j, and :math:`t_i = \sum_j n_{ij}` pixels of class i,

    ======================== =============================================================
    pixel accuracy           :math:`\sum_i n_{ii} / \sum_i t_i`
    accuracy of i (recall)   :math:`n_{ii} / t_i`
    precision of i           :math:`n_{ii} / \sum_j n_{ji}`
    IoU of i                 :math:`n_{ii} / (t_i + \sum_j n_{ji} - n_{ii})`
    Dice of i (F1)           :math:`2 n_{ii} / (t_i + \sum_j n_{ji})`
    frequency-weighted IoU   :math:`\sum_i t_i\,\mathrm{IoU}_i / \sum_i t_i`
    ======================== =============================================================

    ("mean" accuracy, IoU and Dice: the plain mean over classes.) In Korean: pixel accuracy 픽셀 정확도; IoU
    교집합/합집합 (intersection over union); mIoU 평균 IoU; precision 정밀도; recall 재현율; Dice 다이스 계수.

    What can't be measured is not a number (nan) and enters no mean. So a class that is neither in the truth nor in
    the prediction doesn't count. But one that is predicted without being there has IoU and Dice 0, and these do
    count: the pixels are mistakes. Its accuracy is not a number: there is no pixel to find. Likewise the precision
    of a class that was never predicted. A picture without any counted pixel has only nan.

    Attributes
    ----------
    class_names
        One for each class.
    confusion
        (C, C), int64: the counts themselves; rows are the truth.
    support
        (C,), int64: pixels of each class in the truth.
    pixel_accuracy, mean_accuracy, mean_precision, miou, frequency_weighted_iou, mean_dice
        One number each. ``miou`` is the dataset's: all pixels of all pictures in one table.
    accuracy, precision, iou, dice
        (C,), float64.
    pictures, miou_per_image
        How many pictures there were, and the mean of their mIoUs, each over the classes that occur there: a small
        picture counts as much as a big one. Only ``Evaluation`` knows them; else 0 and nan.
    boundary_f1
        (C,), float64, or None where it wasn't asked for.

    Notes
    -----
    J. Long, E. Shelhamer and T. Darrell, "Fully Convolutional Networks for Semantic Segmentation" (2015), section 5,
    with its names n_ij and t_i. The paper's means run over all classes, and all occur in its data sets;
    torchmetrics' Jaccard index leaves out an absent class, as here.
    """

    class_names: tuple[str, ...]
    confusion: Array  # (C, C)
    support: Array  # (C,)
    pixel_accuracy: float
    mean_accuracy: float
    mean_precision: float
    miou: float
    frequency_weighted_iou: float
    mean_dice: float
    accuracy: Array  # (C,)
    precision: Array  # (C,)
    iou: Array  # (C,)
    dice: Array  # (C,)
    pictures: int = 0
    miou_per_image: float = NAN
    boundary_f1: Array | None = None  # (C,)

    @classmethod
    def of(cls, confusion: Array, class_names: Sequence[str] | None = None) -> "Report":
        """Read all the numbers from a confusion matrix.

        Parameters
        ----------
        confusion
            (C, C), integers: rows are the truth, columns the prediction.
        class_names
            One for each class, all different; None: their numbers.

        Examples
        --------
        >>> report = Report.of(np.array([[6, 2], [0, 2]]), ["ground", "cell"])
        >>> report.pixel_accuracy, report.iou  # 6 / 8: two pixels of the ground were taken for a cell
        (0.8, array([0.75, 0.5 ]))
        >>> print(report.table())
        class   pixels   share    IoU  accuracy  precision   Dice
        ground       8  80.0 %  0.750     0.750      1.000  0.857
        cell         2  20.0 %  0.500     1.000      0.500  0.667
        mean                    0.625     0.875      0.750  0.762
        <BLANKLINE>
        pixel accuracy 0.800, mIoU 0.625, frequency-weighted IoU 0.700
        """
        n = _checked(confusion)
        names = _names(class_names, len(n))
        right, support, guessed = np.diagonal(n), n.sum(axis=1), n.sum(axis=0)  # (C,) each
        iou = ratio(right, support + guessed - right)
        accuracy, precision = ratio(right, support), ratio(right, guessed)
        dice = ratio(2 * right, support + guessed)
        total = support.sum()
        there = support > 0  # the others weigh 0, and 0 times nan would be nan
        return cls(
            class_names=names,
            confusion=n,
            support=support,
            pixel_accuracy=float(ratio(right.sum(), total)),
            mean_accuracy=mean_of_numbers(accuracy),
            mean_precision=mean_of_numbers(precision),
            miou=mean_of_numbers(iou),
            frequency_weighted_iou=float(ratio((support[there] * iou[there]).sum(), total)),
            mean_dice=mean_of_numbers(dice),
            accuracy=accuracy,
            precision=precision,
            iou=iou,
            dice=dice,
        )

    @property
    def mean_boundary_f1(self) -> float:
        """The mean over classes; not a number where boundaries weren't compared."""
        return NAN if self.boundary_f1 is None else mean_of_numbers(self.boundary_f1)

    # -----------------------------------------------------------------------------------------------------
    # Showing it

    def table(self) -> str:
        """Return the numbers per class as text in columns, with the means below."""
        columns = [self.iou, self.accuracy, self.precision, self.dice]
        means = [self.miou, self.mean_accuracy, self.mean_precision, self.mean_dice]
        rows = [["class", "pixels", "share", "IoU", "accuracy", "precision", "Dice"]]
        if self.boundary_f1 is not None:
            columns, means = [*columns, self.boundary_f1], [*means, self.mean_boundary_f1]
            rows[0].append("boundary F1")
        total = int(self.support.sum())
        for c, name in enumerate(self.class_names):
            pixels = int(self.support[c])
            share = f"{100 * pixels / total:.1f} %" if total else "-"
            rows.append([_one_line(name), f"{pixels:,}", share, *(_number(column[c]) for column in columns)])
        rows.append(["mean", "", "", *(_number(mean) for mean in means)])
        return "\n".join([*aligned(rows), "", *self._footnotes(rows)])

    def _footnotes(self, rows: list[list[str]]) -> list[str]:
        line = f"pixel accuracy {_number(self.pixel_accuracy)}, mIoU {_number(self.miou)}"
        if self.pictures:
            line += f" (per image {_number(self.miou_per_image)}, {self.pictures} pictures)"
        notes = [f"{line}, frequency-weighted IoU {_number(self.frequency_weighted_iou)}"]
        if any("-" in row[2:] for row in rows):
            notes.append("-: not a number, because there is nothing to measure; it enters no mean")
        return notes

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers, lists and dictionaries by class name, for JSON; nan becomes None.

        Examples
        --------
        >>> Report.of(np.array([[3, 0], [0, 0]]), ["ground", "cell"]).as_dict()["iou"]
        {'ground': 1.0, 'cell': None}
        """
        single = ["pixel_accuracy", "mean_accuracy", "mean_precision", "miou", "frequency_weighted_iou"]
        facts: dict[str, Any] = {name: _plain(getattr(self, name)) for name in [*single, "mean_dice"]}
        if self.pictures:
            facts |= {"pictures": self.pictures, "miou_per_image": _plain(self.miou_per_image)}
        for name in ("iou", "accuracy", "precision", "dice", "boundary_f1"):
            values = getattr(self, name)
            if values is not None:
                facts[name] = dict(zip(self.class_names, map(_plain, values.tolist()), strict=True))
        if self.boundary_f1 is not None:
            facts["mean_boundary_f1"] = _plain(self.mean_boundary_f1)
        facts["support"] = dict(zip(self.class_names, self.support.tolist(), strict=True))
        facts["confusion"] = self.confusion.tolist()
        return facts


def mean_of_numbers(values: Array) -> float:
    """Return the mean of those that are numbers, or nan if none is; NumPy's ``nanmean`` would warn.

    >>> mean_of_numbers(np.array([1.0, np.nan, 2.0]))
    1.5
    """
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if numbers.size else NAN


# ---------------------------------------------------------------------------------------------------------
# Checks and arithmetic


def _checked(confusion: Any) -> Array:
    op = "Report.of"
    n = to_numpy(checks.integers(confusion, "confusion", op)).copy()
    if n.ndim != 2 or n.shape[0] != n.shape[1] or not n.size:
        raise ValueError(f"{op}: confusion has shape {n.shape}; expected (C, C), from confusion_matrix")
    if n.min() < 0:
        raise ValueError(f"{op}: confusion holds {n.min()}; expected counts, 0 or more")
    n.flags.writeable = False
    return n


def _names(class_names: Any, C: int) -> tuple[str, ...]:
    op = "Report.of"
    if class_names is None:
        return tuple(str(c) for c in range(C))
    if isinstance(class_names, str) or not all(isinstance(name, str) for name in class_names):
        raise TypeError(f"{op}: class_names is {class_names!r}; expected one string for each class")
    names = tuple(class_names)
    if len(names) != C or len(set(names)) != C:
        raise ValueError(
            f"{op}: class_names has {len(names)} names ({len(set(names))} different); expected {C} different ones, "
            "one for each class"
        )
    return names


def ratio(part: Any, whole: Any) -> Array:
    """Divide, and give nan (without a warning) where there is nothing to divide by.

    >>> ratio([1, 0], [2, 0])
    array([0.5, nan])
    """
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    quotient: Array = np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    return quotient


# ---------------------------------------------------------------------------------------------------------
# Text


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def _one_line(name: str) -> str:
    return " ".join(name.split())


def _width(text: str) -> int:
    """Columns on a terminal: Korean letters take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def aligned(rows: list[list[str]]) -> list[str]:
    """Pad the cells: the first column to the left, the others to the right."""
    widths = [max(_width(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = []
    for row in rows:
        pads = [" " * (width - _width(cell)) for width, cell in zip(widths, row, strict=True)]
        cells = [row[0] + pads[0], *(pad + cell for pad, cell in zip(pads[1:], row[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return lines
