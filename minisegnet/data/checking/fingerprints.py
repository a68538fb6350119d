"""Recognise a picture under another name: exactly, by its pixels; nearly, by what is left of it when it is small.

Two pictures are the same if they have the same pixels, whatever the format of their files. They are nearly the same if
their proportions agree and, averaged down to 16 x 16 grey cells, they differ by less than 6 % of their contrast (the
standard deviation of the cells), and no cell by more than 40 %. So a picture that was saved as JPEG, scaled or turned
into grey is found. One that was cropped, turned or mirrored isn't, and neither are pictures without contrast.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minisegnet.arrays import Array

CELLS = 16
LUMA = (0.299, 0.587, 0.114)  # how bright the eye finds red, green and blue: the grey that most programs save
ALIKE, FARTHEST = 0.06, 0.4  # differences, as shares of the contrast: on average and in the worst cell
LEAST_CONTRAST = 0.5  # of 255: below it lies only noise
SAME_PROPORTIONS = 0.02


class Fingerprint(NamedTuple):
    """What is kept of a picture to recognise it by."""

    digest: bytes  # of its pixels
    cells: Array  # (16, 16) float32, from 0 to 255
    proportion: float  # width / height

    @classmethod
    def of(cls, image: Array) -> "Fingerprint":
        """Take that of a picture (H, W, C), as ``read_image`` gives it."""
        return cls(digest(image), small(image), image.shape[1] / image.shape[0])


def digest(a: Array) -> bytes:
    """Return a hash of an array: of its shape, its type and all of its numbers.

    >>> digest(np.zeros((2, 3))) == digest(np.zeros((3, 2))), digest(np.zeros(2)) == digest(np.zeros(2))
    (False, True)
    """
    told = hashlib.blake2b(f"{a.shape} {a.dtype.str} ".encode(), digest_size=16)
    told.update(np.ascontiguousarray(a).data)
    return told.digest()


def small(image: Array) -> Array:
    """Average a picture (H, W, C) down to 16 x 16 grey cells from 0 to 255, (16, 16) float32.

    >>> cells = small(np.tile(np.arange(32, dtype=np.uint8)[:, None, None], (1, 8, 1)))
    >>> cells.shape, cells[:3, 0].tolist()
    ((16, 16), [0.5, 2.5, 4.5])
    """
    H, W, C = image.shape
    scale = {"u1": 1, "u2": 1 / 257}.get(image.dtype.str[1:], 255)
    greys = np.array(LUMA) if C == 3 else np.full(C, 1 / C)
    columns = np.zeros((W, CELLS))
    for k in range(CELLS):
        first, weights = _share(W, k)
        columns[first : first + len(weights), k] = weights
    cells = np.empty((CELLS, CELLS), np.float32)
    for k in range(CELLS):
        first, weights = _share(H, k)
        part = image[first : first + len(weights)]
        line = np.einsum("hwc,h->wc", part, weights)  # (W, C); no copy of the part as floats
        cells[k] = (line @ greys) @ columns * scale
    return cells


def _share(length: int, k: int) -> tuple[int, Array]:
    """Say which pixels cell k covers, and by what share of the cell each; at the ends these are parts of pixels."""
    begin, end = k * length / CELLS, (k + 1) * length / CELLS
    first, last = int(begin), min(int(np.ceil(end)), length)
    edges = np.clip(np.arange(first, last + 1), begin, end)
    return first, np.diff(edges) / (end - begin)


def groups(fingerprints: Sequence[Fingerprint]) -> tuple[list[list[int]], list[list[int]]]:
    """Find pictures that are the same, and pictures that are nearly the same.

    Returns
    -------
    same, nearly
        Groups of numbers of pictures, each of two or more. A near group holds one picture of each group of equal ones.
    """
    by_digest: dict[bytes, list[int]] = {}
    for number, fingerprint in enumerate(fingerprints):
        by_digest.setdefault(fingerprint.digest, []).append(number)
    same = [numbers for numbers in by_digest.values() if len(numbers) > 1]
    return same, _near([numbers[0] for numbers in by_digest.values()], fingerprints)


def _near(numbers: list[int], fingerprints: Sequence[Fingerprint]) -> list[list[int]]:
    """Join pictures that are alike into groups; only those of nearly the same brightness are compared."""
    if not numbers:
        return []
    cells = np.stack([fingerprints[n].cells.ravel() for n in numbers])  # (n, 256)
    proportions = np.array([fingerprints[n].proportion for n in numbers])
    means, contrasts = cells.mean(axis=1, dtype=np.float64), cells.std(axis=1, dtype=np.float64)
    order = np.argsort(means, kind="stable")
    first_of = list(range(len(numbers)))  # whom each belongs to
    for place, k in enumerate(order.tolist()):
        if contrasts[k] < LEAST_CONTRAST:
            continue
        # Cells that differ by less than this on average have means that do.
        most = ALIKE * contrasts[k]
        others = order[place + 1 : np.searchsorted(means[order], means[k] + most, side="right")]
        apart = np.abs(cells[others] - cells[k])
        alike = (apart.mean(axis=1) < most) & (apart.max(axis=1, initial=0) <= FARTHEST * contrasts[k])
        alike &= np.abs(proportions[others] / proportions[k] - 1) <= SAME_PROPORTIONS
        for other in others[alike].tolist():
            _join(first_of, k, other)
    found: dict[int, list[int]] = {}
    for k, number in enumerate(numbers):
        found.setdefault(_root(first_of, k), []).append(number)
    return [sorted(group) for group in found.values() if len(group) > 1]


def _root(first_of: list[int], k: int) -> int:
    while first_of[k] != k:
        k = first_of[k]
    return k


def _join(first_of: list[int], a: int, b: int) -> None:
    a, b = _root(first_of, a), _root(first_of, b)
    first_of[max(a, b)] = min(a, b)
