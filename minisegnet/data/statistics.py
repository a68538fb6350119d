"""What is measured on a data set before training: how bright its pictures are, and how often each class occurs.

Every sum is in float64 or in whole numbers and in one fixed order, so that the same pictures always give the same bits.
"""

import math
from typing import NamedTuple

import numpy as np

from minisegnet.arrays import Array
from minisegnet.data.sample import Dataset, Sample
from minisegnet.ops import checks
from minisegnet.sizes import as_int

WEIGHTINGS = ("median-frequency", "inverse")


# ---------------------------------------------------------------------------------------------------------
# Brightness


class Normalisation(NamedTuple):
    """Mean and standard deviation of each channel, of pictures as floats from 0 to 1 (정규화, normalisation).

    A network learns best from numbers around 0 that are about 1 large, and it must see new pictures as it saw those of
    the training. So these numbers belong to the trained model.

    >>> Normalisation(mean=(0.5,), std=(0.25,)).apply(np.array([[[0], [255]]], np.uint8))
    array([[[-2.],
            [ 2.]]], dtype=float32)
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def apply(self, image: Array) -> Array:
        """Bring a picture (H, W, C), as files hold it, to mean 0 and deviation 1: float32, a new array."""
        x = as_floats(image)
        if x.ndim != 3 or x.shape[2] != len(self.mean):
            raise ValueError(f"the picture has shape {x.shape}; expected (H, W, {len(self.mean)})")
        x = np.subtract(x, np.array(self.mean, np.float32), order="C")
        x /= np.array(self.std, np.float32)
        return x


def as_floats(image: Array) -> Array:
    """Return a picture as float32 from 0 to 1: uint8 / 255, uint16 / 65535, floats as they are.

    >>> as_floats(np.array([0, 51, 255], np.uint8))
    array([0. , 0.2, 1. ], dtype=float32)
    """
    if image.dtype.kind == "f":
        return image.astype(np.float32, copy=False)
    if image.dtype not in (np.uint8, np.uint16):
        raise TypeError(f"the picture is {image.dtype}; expected uint8, uint16, or floats from 0 to 1")
    x: Array = np.divide(image, np.float32(np.iinfo(image.dtype).max), dtype=np.float32)
    return x


def measure_normalisation(dataset: Dataset, most: int = 200) -> Normalisation:
    """Measure mean and standard deviation of each channel over all pixels.

    Parameters
    ----------
    dataset
        Its pictures count, its labels don't.
    most
        Of more pictures than this, so many are read, evenly spread.

    Returns
    -------
    normalisation
        A channel that is the same everywhere has the deviation 1: there is nothing to scale.

    Notes
    -----
    Mean and squared deviations of one picture at a time are joined by T. Chan, G. Golub and R. LeVeque, "Updating
    Formulae and a Pairwise Algorithm for Computing Sample Variances" (1979), equations 2.1. The textbook's mean of
    squares minus square of the mean would cancel.
    """
    most = as_int(most, "most", 1)
    if len(dataset) == 0:
        raise ValueError(f"{dataset.name} has no pictures to measure; expected one or more")
    number = min(len(dataset), most)
    count = 0
    mean, squares = np.zeros(dataset.channels), np.zeros(dataset.channels)  # squared deviations from the mean
    for k in range(number):
        planes = _planes(dataset[k * len(dataset) // number], dataset.channels)  # (C, H W)
        n = planes.shape[1]
        its_mean = planes.mean(axis=1)
        its_squares = ((planes - its_mean[:, None]) ** 2).sum(axis=1)
        step = its_mean - mean
        squares += its_squares + step**2 * (count * n / (count + n))
        mean += step * (n / (count + n))
        count += n
    std = np.sqrt(squares / count)
    std[std < 1e-6] = 1.0  # below the smallest step of 16 bits: rounding, not contrast
    return Normalisation(tuple(mean.tolist()), tuple(std.tolist()))


def _planes(sample: Sample, channels: int) -> Array:
    """Channels of a picture one after the other, so that each is summed on its own, (C, H W) float64."""
    image = sample.image
    if image.ndim != 3 or image.shape[2] != channels:
        raise ValueError(f"picture {sample.name!r} has shape {image.shape}; expected (H, W, {channels})")
    return np.ascontiguousarray(as_floats(image).reshape(-1, channels).T, np.float64)


# ---------------------------------------------------------------------------------------------------------
# Classes


class LabelCounts(NamedTuple):
    """How many pixels each class has, (C,) int64; ignored pixels are left out of both."""

    pixels: Array  # of the class
    of_pictures: Array  # of the pictures in which the class occurs


def count_labels(dataset: Dataset) -> LabelCounts:
    """Count the pixels of each class, and those of the pictures in which the class occurs.

    Every picture is read once. A picture without labels and a label that is no class raise.
    """
    C = len(dataset.class_names)
    pixels, of_pictures = np.zeros(C, np.int64), np.zeros(C, np.int64)
    for sample in dataset:
        here = _histogram(sample, C, dataset.ignore_index)
        pixels += here
        of_pictures += np.where(here > 0, here.sum(), 0)
    return LabelCounts(pixels, of_pictures)


def _histogram(sample: Sample, C: int, ignore_index: int | None) -> Array:
    if sample.labels is None:
        raise ValueError(f"picture {sample.name!r} has no labels to count; expected one for each pixel")
    counts = np.bincount(checks.integers(sample.labels, "labels", "count_labels").ravel(), minlength=C)
    if ignore_index is not None and ignore_index < len(counts):
        counts[ignore_index] = 0
    if counts[C:].any():
        wrong = np.flatnonzero(counts[C:]) + C
        raise ValueError(
            f"picture {sample.name!r} has label {', '.join(map(str, wrong[:5]))} at {counts[C:].sum()} pixels; "
            f"expected 0 to {C - 1}" + ("" if ignore_index is None else f", or {ignore_index} to be ignored")
        )
    return counts[:C].astype(np.int64)


def class_weights(dataset: Dataset, kind: str) -> Array:
    r"""Weigh rare classes higher in the loss (클래스 가중치), (C,) float32.

    Let :math:`n_c` be the pixels of class c, :math:`m_c` those of the pictures in which it occurs, and n all pixels;
    ignored ones never count.

    Parameters
    ----------
    dataset
        Its labels are counted.
    kind
        - ``"median-frequency"``: with the frequency :math:`f_c = n_c / m_c`, the weight is
          :math:`\mathrm{median}(f) / f_c`. A class of the median frequency weighs 1.
        - ``"inverse"``: :math:`n / (C\,n_c)` where C classes occur. Each weighs the same in all, and a pixel weighs 1
          on average.

        A class that doesn't occur has weight 0 and no part in the median: no pixel would use it.

    Notes
    -----
    D. Eigen and R. Fergus, "Predicting Depth, Surface Normals and Semantic Labels with a Common Multi-Scale
    Convolutional Architecture" (2015), section 6.3.1; V. Badrinarayanan, A. Kendall and R. Cipolla, "SegNet" (2017),
    section 3.1.
    """
    counts = count_labels(dataset)
    if not counts.pixels.any():
        raise ValueError(
            f"{dataset.name} has no pixel with a class; expected at least one that isn't ignored"
        )
    return weights_of(counts, kind)


def weights_of(counts: LabelCounts, kind: str) -> Array:
    """Work out :func:`class_weights` from what was counted, (C,) float32.

    >>> weights_of(LabelCounts(np.array([90, 10, 0]), np.array([100, 100, 0])), "inverse")
    array([0.5555556, 5.       , 0.       ], dtype=float32)
    """
    checks.choice(kind, WEIGHTINGS, "kind", "class_weights")
    pixels, of_pictures = counts
    there = pixels > 0
    weights = np.zeros(len(pixels))
    if kind == "median-frequency" and there.any():
        frequency = pixels[there] / of_pictures[there]
        weights[there] = np.median(frequency) / frequency
    elif kind == "inverse":
        weights[there] = math.fsum(pixels) / (there.sum() * pixels[there])
    return weights.astype(np.float32)
