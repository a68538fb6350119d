"""Add up the metrics of many pictures."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minisegnet.arrays import Array
from minisegnet.metrics.boundary import boundary_counts, f1_of_counts
from minisegnet.metrics.confusion import confusion_matrix, label_pair
from minisegnet.metrics.report import Report, mean_of_numbers, ratio
from minisegnet.ops import checks
from minisegnet.ops.dispatch import to_numpy


class Picture(NamedTuple):
    """What is kept of one picture: some counts for each class that is in its truth or in its prediction.

    The K classes are few even where a data set has many, so that a picture takes about a kilobyte.
    """

    size: tuple[int, int]  # (H, W)
    classes: Array  # (K,), int64: which classes these are
    support: Array  # (K,), int64: true pixels
    guessed: Array  # (K,), int64: predicted pixels
    right: Array  # (K,), int64: pixels that are both
    boundaries: Array  # (K, 4), int64: see ``boundary_counts``; zeros where boundaries weren't asked for

    @classmethod
    def of(cls, size: tuple[int, int], confusion: Array, boundaries: Array) -> "Picture":
        """Read the counts from the confusion matrix of the picture."""
        support, guessed = confusion.sum(axis=1), confusion.sum(axis=0)  # (C,)
        there = np.flatnonzero(support + guessed)  # (K,)
        right = np.diagonal(confusion)[there]
        return cls(size, there, support[there], guessed[there], right, boundaries[there])

    @property
    def miou(self) -> float:
        """The mean IoU over the classes that are there; nan where no pixel counts."""
        return mean_of_numbers(self.iou)

    @property
    def pixel_accuracy(self) -> float:
        """Which part of the pixels that count is right; nan where none counts."""
        return float(ratio(self.right.sum(), self.support.sum()))

    @property
    def iou(self) -> Array:
        """IoU of each of the classes, (K,)."""
        return ratio(self.right, self.support + self.guessed - self.right)

    @property
    def accuracy(self) -> Array:
        """Accuracy (recall) of each of the classes, (K,); nan for those that aren't in the truth."""
        return ratio(self.right, self.support)

    @property
    def precision(self) -> Array:
        """Precision of each of the classes, (K,); nan for those that weren't predicted."""
        return ratio(self.right, self.guessed)

    @property
    def dice(self) -> Array:
        """Dice of each of the classes, (K,)."""
        return ratio(2 * self.right, self.support + self.guessed)

    @property
    def boundary_f1(self) -> Array:
        """Boundary F1 of each of the classes, (K,); nan for those without a boundary."""
        return f1_of_counts(self.boundaries)


class Evaluation:
    """Collects pictures with their predictions and reports on all of them together.

    Two means go by the name of mIoU, and both are given. ``miou`` adds all pictures up to one confusion matrix, as
    benchmarks do: a class is judged by all its pixels. ``miou_per_image`` is the mean of each picture's own mIoU,
    over the classes that are in its truth or its prediction: one bad picture is not hidden by a big good one.

    Parameters
    ----------
    classes
        How many classes there are.
    class_names
        One for each; None: their numbers.
    ignore_index
        Target of the pixels that don't count.
    boundary
        Whether to measure boundary F1 too, which takes longer. Boundary pixels of all pictures are added up before
        they become an F1.
    tolerance
        How far apart outlines may be (see ``boundary_f1``).

    Attributes
    ----------
    confusion
        (C, C), int64: of all pictures so far.
    pictures
        A :class:`Picture` for each, in the order in which they came.

    Examples
    --------
    >>> evaluation = Evaluation(2, ["ground", "cell"])
    >>> evaluation.add(np.array([[0, 0, 1, 1]]), np.array([[0, 0, 1, 1]]))
    >>> evaluation.add(np.array([[0, 1]]), np.array([[0, 0]]))
    >>> report = evaluation.report()
    >>> report.iou, round(report.miou, 3)
    (array([0.75      , 0.66666667]), 0.708)
    >>> report.miou_per_image  # the mean of 1 and (1/2 + 0) / 2
    0.625
    >>> [picture.miou for picture in evaluation.pictures]
    [1.0, 0.25]
    """

    def __init__(
        self,
        classes: int,
        class_names: Sequence[str] | None = None,
        ignore_index: int | None = None,
        *,
        boundary: bool = False,
        tolerance: float = 2,
    ) -> None:
        self.classes = checks.integer(classes, "classes", "Evaluation", 1, maximum=2**16)
        self.ignore_index = ignore_index
        self.boundary = checks.flag(boundary, "boundary", "Evaluation")
        self.tolerance = tolerance
        self.confusion = np.zeros((self.classes, self.classes), np.int64)  # (C, C)
        self.pictures: list[Picture] = []
        self._boundaries = np.zeros((self.classes, 4), np.int64)
        self.class_names = Report.of(self.confusion, class_names).class_names  # checks them

    def add(self, target: Array, predicted: Array) -> None:
        """Add one picture (H, W), or a batch of them (N, H, W): the true and the predicted labels."""
        op = "Evaluation.add"
        target, predicted = label_pair(target, predicted, op)
        if target.ndim not in (2, 3):
            raise ValueError(
                f"{op}: target has shape {tuple(target.shape)}; expected (H, W) labels of one picture, or (N, H, W)"
            )
        if target.ndim == 2:
            target, predicted = target[None], predicted[None]  # (N, H, W)
        # All are measured before any is kept, so that an error leaves the evaluation as it was.
        measured = [self._measure(*pair) for pair in zip(target, predicted, strict=True)]
        size = (target.shape[1], target.shape[2])
        for confusion, boundaries in measured:
            self.confusion += confusion
            self._boundaries += boundaries
            self.pictures.append(Picture.of(size, confusion, boundaries))

    def _measure(self, target: Array, predicted: Array) -> tuple[Array, Array]:
        options = {"ignore_index": self.ignore_index}
        confusion = to_numpy(confusion_matrix(target, predicted, self.classes, **options))
        if not self.boundary:
            return confusion, np.zeros_like(self._boundaries)
        return confusion, boundary_counts(
            target, predicted, self.classes, tolerance=self.tolerance, **options
        )

    def report(self) -> Report:
        """Return the numbers of all pictures so far."""
        return dataclasses.replace(
            Report.of(self.confusion, self.class_names),
            pictures=len(self.pictures),
            miou_per_image=mean_of_numbers(np.array([picture.miou for picture in self.pictures], np.float64)),
            boundary_f1=f1_of_counts(self._boundaries) if self.boundary else None,
        )
