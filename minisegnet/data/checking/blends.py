"""Find label values that nobody drew: what is left where a mask was scaled or smoothed as if it were a picture.

Between a pixel of 0 and one of 255, averaging makes 128. Such values lie along the boundary between two labels, are
thin, and have a smaller neighbour on one side and a larger one on the other. A class that somebody drew fills areas.

What can't be told: labels 0 and 2 that were averaged give 1, and a class 1 that was drawn as a thin line between them
gives the same mask. So a mask is only suspected where several such values occur, and hardly any other thin ones; where
the values beside the two outer ones all occur, as JPEG leaves them; or where a single value lies far from both its
neighbours and doesn't part them everywhere, as a line that was drawn would.
"""

from typing import NamedTuple

import numpy as np

from minisegnet.arrays import Array

STRIP = 2**22  # pixels that are looked at in one go
LEAST_BETWEEN = 0.8  # this share of a value's pixels must lie between a smaller and a larger neighbour
SEVERAL = 3  # so many thin values between two others are no drawing
FAR = 8  # a single value counts if the two that it lies between are at least so far apart
LEAST_OPEN = 0.05  # and if they meet directly along this share of their boundary
FEWEST = 4  # fewer pixels than this prove nothing
FREQUENT = 0.05  # share of a mask that a value of a large area has
MOSTLY = 0.65  # share of a mask's thin values that must lie between two others: of real small classes, few do
RINGING = 3  # so many values beside the smallest and the largest frequent one, all of them rarer
RINGING_APART = 64  # these two differ by at least so much: numbers of classes lie closer
RINGING_MORE = 2  # so many times as frequent as the values in the middle
RINGING_FILLED = 0.05  # and hardly ever an area


class Counts(NamedTuple):
    """How often each value occurs in a mask, and in which surroundings; each (values,) int64."""

    values: Array  # those that occur, in order
    pixels: Array
    filled: Array  # pixels whose eight neighbours all have the same value
    between: Array  # pixels with both a smaller and a larger value among their eight neighbours

    def as_dict(self) -> dict[int, int]:
        """Return the number of pixels of each value."""
        return dict(zip(self.values.tolist(), self.pixels.tolist(), strict=True))


def count_values(mask: Array) -> Counts:
    """Count the values of a mask (H, W) of whole numbers from 0 to 65535.

    >>> mask = np.array([[0, 0, 0, 128, 255, 255, 255]] * 3, np.uint8)
    >>> count_values(mask)
    Counts(values=array([  0, 128, 255]), pixels=array([9, 3, 9]), filled=array([6, 0, 6]), between=array([0, 3, 0]))
    """
    H, W = mask.shape
    totals = np.zeros((3, 65536), np.int64)
    rows = max(1, STRIP // W)
    for top in range(0, H, rows):
        here, low, high = _surroundings(mask, top, min(top + rows, H))
        for k, chosen in enumerate((here, here[low == high], here[(low < here) & (here < high)])):
            counts = np.bincount(chosen.ravel())
            totals[k, : len(counts)] += counts
    values = np.flatnonzero(totals[0])
    return Counts(values, *totals[:, values])


def _surroundings(mask: Array, top: int, bottom: int) -> tuple[Array, Array, Array]:
    """Return rows of a mask, and the smallest and largest value of the 3 x 3 pixels around each."""
    above, below = max(top - 1, 0), min(bottom + 1, len(mask))
    pad = ((top == 0, bottom == len(mask)), (1, 1))
    part = np.pad(mask[above:below], np.array(pad, int), mode="edge")  # (rows + 2, W + 2)
    results = []
    for chosen in (np.minimum, np.maximum):
        a = chosen(chosen(part[:-2], part[1:-1]), part[2:])  # (rows, W + 2)
        results.append(chosen(chosen(a[:, :-2], a[:, 1:-1]), a[:, 2:]))  # (rows, W)
    return mask[top:bottom], results[0], results[1]


class Blend(NamedTuple):
    """Values of one mask that averaging made."""

    values: tuple[int, ...]
    sure: bool  # several such values; a single one may still be a class that is drawn elsewhere


def blended(mask: Array, counts: Counts | None = None) -> Blend | None:
    """Find the values of a mask that only averaging can have made; None where that can't be said.

    Parameters
    ----------
    mask
        (H, W), whole numbers from 0 to 65535.
    counts
        What ``count_values`` found, if it is known.

    Examples
    --------
    >>> black_and_white = np.zeros((20, 20), np.uint8)
    >>> black_and_white[5:16, 4:12] = 255
    >>> halved = black_and_white.reshape(10, 2, 10, 2).mean(axis=(1, 3)).astype(np.uint8)
    >>> halved[:4, 1].tolist(), blended(halved), blended(black_and_white)
    ([0, 0, 0, 0], Blend(values=(127,), sure=False), None)
    """
    counts = counts or count_values(mask)
    solid = counts.values[counts.filled > 0]
    if len(solid) < 2:
        return None
    inside = (counts.filled == 0) & (counts.values > solid[0]) & (counts.values < solid[-1])
    thin = inside & (counts.between >= LEAST_BETWEEN * counts.pixels)
    values = tuple(counts.values[thin].tolist())
    frequent = counts.values[(counts.filled > 0) & (counts.pixels >= FREQUENT * mask.size)]
    if len(frequent) < 2:
        return None
    if _rings(counts, int(frequent[0]), int(frequent[-1])):
        rare = inside & (counts.pixels < FREQUENT * mask.size)
        return Blend(tuple(counts.values[rare].tolist()), sure=True)
    if counts.pixels[thin].sum() < FEWEST or len(values) < MOSTLY * inside.sum():
        return None
    if len(values) >= SEVERAL and len(values) > len(solid):
        return Blend(values, sure=True)
    lone = tuple(value for value in values if _parts_badly(mask, value, solid))
    return Blend(lone, sure=False) if lone else None


def _rings(counts: Counts, low: int, high: int) -> bool:
    """Say whether values beside the two outer ones are more frequent than in the middle, as JPEG leaves them."""
    if high - low < RINGING_APART:
        return False
    pixels = counts.as_dict()
    beside = [*range(low + 1, low + 1 + RINGING), *range(high - RINGING, high)]
    number = [pixels.get(value, 0) for value in beside]
    if not 0 < min(number) <= max(number) < min(pixels[low], pixels[high]):
        return False
    middle = (counts.values > beside[RINGING - 1]) & (counts.values < beside[RINGING]) & (counts.filled == 0)
    usual = counts.pixels[middle].sum() / (beside[RINGING] - beside[RINGING - 1] - 1)
    filled = counts.filled[np.isin(counts.values, beside)].sum()
    return bool(sum(number) >= RINGING_MORE * usual * len(beside) and filled <= RINGING_FILLED * sum(number))


def _parts_badly(mask: Array, value: int, solid: Array) -> bool:
    """Say whether a value lies far from the two that it lies between, and leaves gaps where these touch."""
    low, high = solid[solid < value][-1], solid[solid > value][0]
    if high - low < FAR:
        return False
    touching = 0
    for one, other in ((mask[1:], mask[:-1]), (mask[:, 1:], mask[:, :-1])):
        touching += int((((one == low) & (other == high)) | ((one == high) & (other == low))).sum())
    return touching >= LEAST_OPEN * (touching + int((mask == value).sum()))
