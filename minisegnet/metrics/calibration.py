"""Calibration: whether a model may be believed when it says how sure it is."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from minisegnet.arrays import Array
from minisegnet.metrics.confusion import counted, label_pair
from minisegnet.ops import checks
from minisegnet.ops.dispatch import to_numpy

BINS = 15
MOST_BINS = 1000
AT_A_TIME = 2**20  # pixels, so that a large picture needs no large arrays of 64 bits beside it
ROUNDING = 1e-5  # a probability in float32 may be so much above 1


@dataclass(frozen=True, eq=False)
class Reliability:
    r"""How sure a model was, and how often it was right.

    Attributes
    ----------
    edges
        (B + 1,), float64: bin b holds the confidences above ``edges[b]``, up to and including ``edges[b + 1]``. The
        first holds 0 as well.
    pixels
        (B,), int64: how many pixels are in each bin.
    right
        (B,), int64: how many of them were labelled right.
    confidence
        (B,), float64: the mean confidence of each bin's pixels; nan where it has none.
    """

    edges: Array  # (B + 1,)
    pixels: Array  # (B,)
    right: Array  # (B,)
    confidence: Array  # (B,)

    @property
    def accuracy(self) -> Array:  # (B,)
        """Which part of each bin's pixels was right; nan where it has none."""
        return np.where(self.pixels > 0, self.right / np.maximum(self.pixels, 1), np.nan)

    @property
    def ece(self) -> float:
        r"""Return the expected calibration error (기대 보정 오차): the mean distance of accuracy and confidence.

        .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{n} \,\lvert \mathrm{accuracy}_b - \mathrm{confidence}_b \rvert

        with n_b pixels in bin b and n in all. Not a number where no pixel counts.
        """
        return self._mean(np.abs(self.accuracy - self.confidence))

    @property
    def mean_confidence(self) -> float:
        """The mean over all pixels."""
        return self._mean(self.confidence)

    @property
    def mean_accuracy(self) -> float:
        """Which part of all pixels was right: the pixel accuracy."""
        total = int(self.pixels.sum())
        return int(self.right.sum()) / total if total else math.nan

    def _mean(self, values: Array) -> float:
        """Return the mean of one value for each bin, by pixels."""
        there = self.pixels > 0
        if not there.any():
            return math.nan
        return math.fsum(self.pixels[there] * values[there]) / int(self.pixels.sum())


class Calibration:
    r"""Collects how sure a model was of each pixel and whether it was right (보정, calibration).

    The confidence of a pixel is the probability of the class that was chosen, the highest one. A model is calibrated
    if, of all pixels of which it is 80 % sure, it gets 80 % right. Pixels are counted in bins of equal width by their
    confidence; only three numbers a bin are kept, however many pictures come.

    Parameters
    ----------
    bins
        How many bins there are.
    ignore_index
        Target of the pixels that don't count.

    Notes
    -----
    C. Guo, G. Pleiss, Y. Sun and K. Weinberger, "On Calibration of Modern Neural Networks" (2017), section 2, with 15
    bins.

    Examples
    --------
    Four pixels. Of two the model was 0.9 sure, and both are right; of two it was 0.6 sure, and one is right.

    >>> calibration = Calibration(bins=2)
    >>> confidence = np.array([[0.9, 0.9, 0.6, 0.6]])
    >>> calibration.add(np.array([[0, 1, 1, 0]]), np.array([[0, 1, 1, 1]]), confidence)
    >>> found = calibration.reliability()
    >>> found.pixels, found.right  # all four are in the upper bin, 0.5 to 1: 3 / 4 are right, 0.75 is the mean
    (array([0, 4]), array([0, 3]))
    >>> round(found.ece, 3)
    0.0
    >>> finer = Calibration(bins=5)  # two bins have pixels: |1/2 - 0.6| / 2 + |1 - 0.9| / 2
    >>> finer.add(np.array([[0, 1, 1, 0]]), np.array([[0, 1, 1, 1]]), confidence)
    >>> round(finer.reliability().ece, 3)
    0.1
    """

    def __init__(self, bins: int = BINS, ignore_index: int | None = None) -> None:
        self.bins = checks.integer(bins, "bins", "Calibration", 1, maximum=MOST_BINS)
        self.ignore_index = ignore_index
        self._pixels = np.zeros(self.bins, np.int64)
        self._right = np.zeros(self.bins, np.int64)
        self._confidence = np.zeros(self.bins)  # sums

    def add(self, target: Array, predicted: Array, confidence: Array) -> None:
        """Add pixels: the true and the predicted label of each, and how sure the model was.

        Parameters
        ----------
        target, predicted
            Integers, of any shape.
        confidence
            Floats from 0 to 1 of the same shape, such as :func:`confidence_of` gives.
        """
        op = "Calibration.add"
        target, predicted = (to_numpy(a) for a in label_pair(target, predicted, op))
        confidence = to_numpy(checks.array(confidence, "confidence", op))
        checks.shape(confidence, tuple(target.shape), "confidence", op, "the shape of target")
        counts = counted(target, self.ignore_index, op)
        sure = _probabilities(confidence[counts], op)  # (P,)
        right = target[counts] == predicted[counts]  # (P,)
        for start in range(0, len(sure), AT_A_TIME):
            part = slice(start, start + AT_A_TIME)
            self._count(np.minimum(sure[part].astype(np.float64), 1), right[part])

    def _count(self, sure: Array, right: Array) -> None:
        """Sort pixels into the bins."""
        # A float32 times a number below 2**29 is exact in float64, so that no pixel falls beside its bin.
        b = np.clip(np.ceil(sure * self.bins).astype(np.int64) - 1, 0, self.bins - 1)  # (P,)
        self._pixels += np.bincount(b, minlength=self.bins)
        self._right += np.bincount(b[right], minlength=self.bins)
        self._confidence += np.bincount(b, weights=sure, minlength=self.bins)

    def reliability(self) -> Reliability:
        """Return the counts so far."""
        sums = np.where(self._pixels > 0, self._confidence, np.nan)
        return Reliability(
            edges=np.arange(self.bins + 1) / self.bins,
            pixels=self._pixels.copy(),
            right=self._right.copy(),
            confidence=sums / np.maximum(self._pixels, 1),
        )


def confidence_of(scores: Array) -> Array:
    r"""Return the highest probability at each pixel, without making all of them.

    .. math:: \max_c \frac{e^{s_c}}{\sum_k e^{s_k}} = \frac{1}{\sum_k e^{s_k - \max_c s_c}}

    Parameters
    ----------
    scores
        (…, C, H, W), floats: what a model returns, before the softmax.

    Returns
    -------
    confidence
        (…, H, W), from 1 / C to 1, in the dtype of the scores.

    Examples
    --------
    >>> scores = np.log(np.array([[[0.2, 0.5]], [[0.8, 0.5]]]))  # (2, 1, 2): probabilities 0.2 and 0.8; 0.5 and 0.5
    >>> confidence_of(scores)
    array([[0.8, 0.5]])
    """
    op = "confidence_of"
    scores = to_numpy(checks.floats(scores, "scores", op))
    if scores.ndim < 3 or not scores.shape[-3]:
        raise ValueError(f"{op}: scores has shape {scores.shape}; expected (..., C, H, W), C at least 1")
    highest = scores.max(axis=-3)  # (..., H, W)
    if not np.isfinite(highest).all():
        wrong = int((~np.isfinite(highest)).sum())
        raise ValueError(
            f"{op}: the scores of {wrong} pixels are not finite (NaN or infinite), so that there are no probabilities; "
            "the model is broken: train it again with a lower learning rate"
        )
    total = np.zeros_like(highest)
    for c in range(scores.shape[-3]):
        total += np.exp(scores[..., c, :, :] - highest)
    confidence: Array = 1 / total
    return confidence


def _probabilities(values: Any, op: str) -> Array:
    """Check numbers from 0 to 1, but for rounding, and return them."""
    if values.dtype.kind != "f":
        raise TypeError(f"{op}: confidence has dtype {values.dtype}; expected floats from 0 to 1")
    if values.size and not (values.min() >= 0 and values.max() <= 1 + ROUNDING):  # NaN is neither
        raise ValueError(
            f"{op}: confidence goes from {values.min():g} to {values.max():g}; expected probabilities, 0 to 1. Make "
            "them of scores by confidence_of"
        )
    checked: Array = values
    return checked
