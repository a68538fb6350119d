"""Colours for classes: a palette that colour-blind readers can tell apart, and the one of PASCAL VOC."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from minisegnet.arrays import Array
from minisegnet.sizes import as_int

Colour: TypeAlias = tuple[int, int, int]  # red, green, blue: 0 to 255
Palette: TypeAlias = tuple[Colour, ...]

OKABE_ITO: Palette = (
    (0, 0, 0),  # black
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # bluish green
    (240, 228, 66),  # yellow
    (0, 114, 178),  # blue
    (213, 94, 0),  # vermilion
    (204, 121, 167),  # reddish purple
)

DARKEST = 0.35  # lightness of what is chosen: black has 0, white 1
MOST_CHOSEN = 256  # colours that are chosen to be far apart; no eye tells more apart anyway

# What is left of linear red, green and blue where one kind of cones is missing (Viénot, Brettel and Mollon, 1999).
NORMAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
PROTANOPIA = ((0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0), (0.00401, -0.00401, 1.0))
DEUTERANOPIA = ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0))

# From linear red, green and blue to OKLab, where a distance is about how different two colours look (Ottosson, 2020).
TO_CONES = ((0.41222, 0.53633, 0.05145), (0.21190, 0.68070, 0.10740), (0.08830, 0.28172, 0.62998))
TO_OKLAB = ((0.21045, 0.79362, -0.00407), (1.97800, -2.42859, 0.45059), (0.02590, 0.78277, -0.80868))


def default_palette(classes: int) -> Palette:
    """Return a colour for each class, such that colour-blind readers can tell them apart, too.

    Class 0, mostly the background, is black. The next seven colours are those of M. Okabe and K. Ito, "Color Universal
    Design" (2002). Each that follows is the one of a grid of colours that is farthest from all before it: far to
    normal eyes and to the two common kinds of colour blindness. From the 257th on they are only different.

    The palette of fewer classes is the beginning of that of more.

    Examples
    --------
    >>> default_palette(3)
    ((0, 0, 0), (230, 159, 0), (86, 180, 233))
    """
    classes = as_int(classes, "classes", 1)
    if classes <= len(OKABE_ITO):
        return OKABE_ITO[:classes]
    if classes <= MOST_CHOSEN:
        return _far_apart()[:classes]
    return _far_apart() + _only_different(classes - MOST_CHOSEN, set(_far_apart()))


def voc_palette(classes: int) -> Palette:
    """Return the colours of PASCAL VOC's masks, which many other data sets use as well; at most 256.

    The bits of the label are dealt out to red, green and blue in turn, and each colour puts its own from the highest
    bit down: label 1 is half red, 2 half green, 4 half blue, 8 a quarter red.

    Examples
    --------
    >>> voc_palette(4)
    ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    >>> voc_palette(256)[255]  # the border that VOC ignores
    (224, 224, 192)
    """
    classes = as_int(classes, "classes", 1)
    if classes > 256:
        raise ValueError(f"classes is {classes}; VOC's palette has 256 colours, default_palette has more")
    return tuple((_dealt(label, 0), _dealt(label, 1), _dealt(label, 2)) for label in range(classes))


def _dealt(label: int, channel: int) -> int:
    """Collect bits channel, channel + 3, channel + 6 of the label, the first as the highest of eight."""
    return sum((label >> (channel + 3 * turn) & 1) << (7 - turn) for turn in range(3))


def as_hex(colour: Colour) -> str:
    """Write a colour as web pages do.

    >>> as_hex((128, 0, 255))
    '#8000ff'
    """
    return "#{:02x}{:02x}{:02x}".format(*colour)


def of_hex(text: str) -> Colour:
    """Read ``#rrggbb``.

    >>> of_hex("#8000FF")
    (128, 0, 255)
    """
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


@lru_cache(maxsize=1)
def _far_apart() -> Palette:
    """Okabe's and Ito's colours, and then always the candidate whose nearest neighbour is farthest."""
    steps = [round(255 * k / 8) for k in range(9)]
    candidates = [(r, g, b) for r in steps for g in steps for b in steps]
    seen, chosen = _as_seen(candidates), list(OKABE_ITO)  # (3, candidates, 3)
    nearest = np.min([_apart(seen, _as_seen([colour])) for colour in chosen], axis=0)  # (candidates,)
    nearest[seen[0, :, 0] < DARKEST] = 0  # almost black is for the background
    while len(chosen) < MOST_CHOSEN:
        best = int(
            nearest.round(6).argmax()
        )  # rounded, so that machines whose last bits differ choose the same
        chosen.append(candidates[best])
        nearest = np.minimum(nearest, _apart(seen, seen[:, best : best + 1]))
    return tuple(chosen)


def difference(a: Colour, b: Colour) -> float:
    """Say how different two colours look, to whom they look least different.

    Black and white differ by 1, colours that are only just told apart by about 0.02.

    >>> round(difference((255, 255, 255), (0, 0, 0)), 3)
    1.0
    """
    return float(_apart(_as_seen([a]), _as_seen([b]))[0])


def _apart(a: Array, b: Array) -> Array:
    """Distances (n,) between colours as they are seen, (3, n, 3) and (3, 1, 3)."""
    closest: Array = np.sqrt(((a - b) ** 2).sum(axis=2)).min(axis=0)
    return closest


def _as_seen(colours: Sequence[Colour]) -> Array:
    """Bring colours to OKLab as three kinds of eyes see them, (3, n, 3): normal ones first."""
    x = np.array(colours) / 255  # (n, 3)
    x = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)  # linear light
    light = [np.clip(_times(eyes, x), 0, 1) for eyes in (NORMAL, PROTANOPIA, DEUTERANOPIA)]
    return np.stack([_times(TO_OKLAB, np.cbrt(_times(TO_CONES, seen))) for seen in light])


def _times(matrix: tuple[tuple[float, ...], ...], x: Array) -> Array:
    return np.stack([sum(m * x[:, k] for k, m in enumerate(row)) for row in matrix], axis=1)


def _only_different(count: int, taken: set[Colour]) -> Palette:
    """More colours than anybody can tell apart: multiples of a large odd number, which meet each colour once."""
    found: list[Colour] = []
    number = 0
    while len(found) < count:
        number = (number + 0x9E3779) % 2**24
        colour = (number >> 16, number >> 8 & 255, number & 255)
        if colour not in taken:
            found.append(colour)
    return tuple(found)
