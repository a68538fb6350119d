"""Do the labels mean the same in all pictures? Then what was seen in some pictures tells something about another.

A simple guess is made for every picture from all others: brightness, colour and texture around a pixel, mixed at
random and weighed by least squares, predict its class. The guess is poor, but it needn't be good: if it isn't better
with a picture's own mask than with another's, then the masks have nothing to do with the pictures, or each mask has
a numbering of its own.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minisegnet.arrays import Array
from minisegnet.diagnosis.survey import Picture

FEWEST = 6  # pictures
MOST = 24
PIXELS = 600  # of each picture
MIXED = 48  # random mixtures of features
RIDGE = 1e-2
MARGIN = 0.02


class Meaning(NamedTuple):
    """How much of the labels can be guessed from other pictures."""

    pictures: int
    own: float  # share of the variance of the labels that the guess explains; 0: none
    shuffled: float  # the same, where every picture has another's mask: the best of several shuffles

    @property
    def consistent(self) -> bool:
        """Whether pictures tell something about their own masks."""
        return self.own > max(self.shuffled, 0.0) + MARGIN


def meaning(pictures: Sequence[Picture], *, seed: int = 0) -> Meaning | None:
    """Guess labels from other pictures; None where there are too few pictures, or only one class.

    Examples
    --------
    >>> from minisegnet.data.synthetic import Synthetic
    >>> from minisegnet.diagnosis.survey import survey
    >>> pictures = survey(Synthetic("cells", count=8, size=48))
    >>> meaning(pictures).consistent
    True
    >>> labels = [picture.labels for picture in pictures]
    >>> mixed_up = [p._replace(labels=l) for p, l in zip(pictures, labels[3:] + labels[:3])]
    >>> meaning(mixed_up).consistent
    False
    """
    pictures = [p for p in pictures if p.image.shape[0] >= 16 and p.image.shape[1] >= 16][:MOST]
    if len(pictures) < FEWEST:
        return None
    H, W = (min(p.labels.shape[axis] for p in pictures) for axis in (0, 1))
    generator = np.random.default_rng(seed)
    places = generator.permutation(H * W)[:PIXELS]  # the same in all pictures, so that masks can be exchanged
    features = np.array([_features(p.image)[:H, :W].reshape(H * W, -1)[places] for p in pictures])
    labels = np.array([p.labels[:H, :W].ravel()[places] for p in pictures])  # (pictures, pixels)
    features = _mixed(features, generator)
    classes = len(pictures[0].counts)
    if len(np.unique(labels[(labels >= 0) & (labels < classes)])) < 2:
        return None
    grams = None if not ((labels >= 0) & (labels < classes)).all() else features.swapaxes(1, 2) @ features
    steps = sorted({max(1, len(pictures) * k // 5) for k in range(1, 5)})
    shuffled = [_explained(features, np.roll(labels, step, axis=0), classes, grams) for step in steps]
    return Meaning(len(pictures), _explained(features, labels, classes, grams), max(shuffled))


def _features(image: Array) -> Array:
    """Value, means and deviations around each pixel, and its place, (H, W, F)."""
    H, W = image.shape[:2]
    found = []
    for plane in np.moveaxis(image.astype(np.float64), 2, 0):
        found.append(plane)
        for size in (3, 9):
            mean = _box(plane, size)
            found += [mean, np.sqrt(np.maximum(_box(plane**2, size) - mean**2, 0))]
    rows, columns = np.meshgrid(np.linspace(-1, 1, H), np.linspace(-1, 1, W), indexing="ij")
    return np.stack([*found, rows, columns], axis=2)


def _box(plane: Array, size: int) -> Array:
    """Mean of a square window around each pixel, with borders mirrored, by sums of sums."""
    half = size // 2
    total = np.pad(plane, half, mode="reflect").cumsum(axis=0).cumsum(axis=1)
    total = np.pad(total, ((1, 0), (1, 0)))
    result: Array = total[size:, size:] - total[:-size, size:] - total[size:, :-size] + total[:-size, :-size]
    return result / size**2


def _mixed(features: Array, generator: np.random.Generator) -> Array:
    """Standardise, and add random mixtures that are cut off at 0, which makes the guess more than a plane."""
    flat = features.reshape(-1, features.shape[-1])
    scale = flat.std(axis=0)
    standard = (features - flat.mean(axis=0)) / np.where(scale > 1e-9, scale, 1.0)
    weights = generator.normal(size=(standard.shape[-1], MIXED)) / np.sqrt(standard.shape[-1])
    mixtures = np.maximum(standard @ weights + generator.normal(size=MIXED), 0)
    ones = np.ones((*standard.shape[:2], 1))
    return np.concatenate([standard, mixtures, ones], axis=2)


def _explained(features: Array, labels: Array, classes: int, grams: Array | None) -> float:
    """Share of the labels' variance that a guess from the other pictures explains; below 0: worse than no guess.

    Normal equations of all pictures are summed; that of all but one is the sum less its own. ``grams`` are their left
    sides, the same for all labels as long as every pixel counts; None: they are worked out here.
    """
    P, _, F = features.shape
    known = (labels >= 0) & (labels < classes)
    targets = (labels[..., None] == np.arange(classes)) & known[..., None]  # (pictures, pixels, classes)
    if grams is None:
        grams = np.array([f[k].T @ f[k] for f, k in zip(features, known, strict=True)])
    rights = np.array([f[k].T @ t[k] for f, k, t in zip(features, known, targets, strict=True)])
    sums, numbers = targets.sum(axis=1).astype(np.float64), known.sum(axis=1)
    gram, right, total, number = grams.sum(axis=0), rights.sum(axis=0), sums.sum(axis=0), numbers.sum()
    missed = varied = 0.0
    for i in range(P):
        k, rest = known[i], number - numbers[i]
        if not k.any() or rest == 0:
            continue
        matrix = gram - grams[i]
        weights = np.linalg.solve(matrix + RIDGE * rest * np.eye(F), right - rights[i])
        guess = features[i][k] @ weights
        missed += float(((targets[i][k] - guess) ** 2).sum())
        varied += float(((targets[i][k] - (total - sums[i]) / rest) ** 2).sum())
    return 1 - missed / varied if varied else 0.0
