"""Cells: a sheet of touching cells with thin membranes, as an electron microscope shows them.

Every pixel belongs to the nearest of many scattered points (a Voronoi diagram, 보로노이 다이어그램), measured in
coordinates that wobble. Where two points are nearly equally far, there is a membrane.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minisegnet.arrays import Array
from minisegnet.data.augment.draw import stream
from minisegnet.data.sample import Sample
from minisegnet.data.synthetic.drawing import (
    Canvas,
    add_noise,
    checked_number,
    checked_range,
    checked_size,
    fade,
    fractal_noise,
    smooth_noise,
    soft_minimum,
)
from minisegnet.sizes import IntOrPair, Pair

CLASS_NAMES = ("background", "cell", "membrane")
# Black, and two of Okabe and Ito's colours, which people with any kind of colour vision can tell apart.
PALETTE = ((0, 0, 0), (86, 180, 233), (213, 94, 0))
SIZE = (96, 96)
CHANNELS = 1  # grey: electrons have no colour

BACKGROUND, CELL, MEMBRANE = range(3)
ORGANELLES = 5  # mitochondria and vesicles in a cell, at most
FAR = 1e4  # pixels


class Points(NamedTuple):
    """The cells' centres, and how far each cell grows where it has room."""

    y: Array  # (K,)
    x: Array  # (K,)
    radius: Array  # (K,)


class Sheet(NamedTuple):
    """Which cell each pixel belongs to, and where in it."""

    owner: Array  # (H, W), the index of the nearest point
    down: Array  # (H, W), from that point to the pixel, in wobbling coordinates
    right: Array  # (H, W)
    edge: Array  # (H, W), how far inside of the cell's outline; negative between cells


def cells(
    size: IntOrPair,
    key: int | Sequence[int],
    *,
    across: int | Sequence[int] = (4, 7),
    gaps: float = 0.15,
    noise: float = 0.05,
) -> Sample:
    """Draw touching cells with membranes, with labels and instances.

    A membrane is 1 to 2 pixels wide whatever the size, and belongs to no instance.

    Parameters
    ----------
    size
        (H, W), at least 32 each.
    key
        Integers that decide on everything: the same key gives the same picture.
    across
        How many cells fit along the shorter side: an integer, or the fewest and the most.
    gaps
        Share of the cells that are missing, 0 to 0.9, mostly side by side: what is seen there is background.
    noise
        Standard deviation of the sensor's noise, 0 to 1; a picture has between half and all of it.

    Examples
    --------
    >>> sample = cells((48, 64), (0, 7))
    >>> sample.image.shape, sample.labels.shape
    ((48, 64, 1), (48, 64))
    >>> bool((sample.labels[sample.instances > 0] == CLASS_NAMES.index("cell")).all())
    True
    """
    H, W = checked_size(size)
    fewest, most = checked_range(across, "across")
    gaps, noise = checked_number(gaps, "gaps", 0, 0.9), checked_number(noise, "noise", 0, 1)
    rng = stream(key, 1)
    diameter = min(H, W) / rng.uniform(fewest, most)
    width = rng.uniform(1.5, 2.0)
    points = _scatter((H, W), diameter, gaps, rng)
    sheet = _grow((H, W), points, diameter, width, rng)
    canvas = Canvas((H, W), CHANNELS)
    canvas.labels[:] = np.where(sheet.edge < 0, BACKGROUND, np.where(sheet.edge < width, MEMBRANE, CELL))
    canvas.instances[:] = np.where(canvas.labels == CELL, sheet.owner + 1, 0)
    canvas.image[0] = _expose(sheet, len(points.y), diameter, width, rng)
    add_noise(canvas, noise * rng.uniform(0.5, 1), rng)
    return canvas.finish("cells")


# ---------------------------------------------------------------------------------------------------------
# Geometry


def _scatter(size: Pair, diameter: float, gaps: float, rng: np.random.Generator) -> Points:
    """Put points on a honeycomb, push each a little way off, and take some out, mostly neighbours."""
    H, W = size
    rows, columns = (math.ceil(side / diameter) + 3 for side in (H / 0.87, W))
    i, j = (v.ravel() for v in np.mgrid[0:rows, 0:columns])
    push = rng.uniform(-0.27, 0.27, (2, i.size))
    y = (0.87 * (i - 1) + push[0]) * diameter
    x = (j - 1 + 0.5 * (i % 2) + push[1]) * diameter
    # A few slow waves: where they are low, cells are missing.
    angles, phases = rng.uniform(0, 2 * math.pi, (2, 4))
    waves = np.sin((np.outer(y, np.sin(angles)) + np.outer(x, np.cos(angles))) * 1.6 / diameter + phases)
    there = (waves.sum(axis=1) + rng.uniform(-1, 1, i.size)).argsort().argsort() >= gaps * i.size
    radius = diameter * rng.uniform(0.56, 0.74, i.size)
    return Points(*(v[there].astype(np.float32) for v in (y, x, radius)))


def _grow(size: Pair, points: Points, diameter: float, width: float, rng: np.random.Generator) -> Sheet:
    """Give each pixel to the nearest point, and find how far it is from the outline."""
    H, W = size
    wobble = 0.07 * diameter * fractal_noise(size, 0.55 * diameter, rng, octaves=2)  # (2, H, W)
    y = np.arange(H, dtype=np.float32)[:, None] + 0.5 + wobble[0]  # (H, W)
    x = np.arange(W, dtype=np.float32) + 0.5 + wobble[1]  # (H, W)
    first, second, owner, other = _two_nearest(y, x, points, 1.25 * diameter)
    apart = np.hypot(points.y[owner] - points.y[other], points.x[owner] - points.x[other])
    # From a pixel to the line of equal distance between its two points, by Pythagoras: (b^2 - a^2) / 2 |ab|.
    between = np.where(other == owner, FAR, (second - first) / (2 * np.maximum(apart, 1)))
    around = points.radius[owner] - np.sqrt(first)
    edge = soft_minimum(between + width / 2, around, 0.12 * diameter)  # each of two neighbours has half
    return Sheet(owner, y - points.y[owner], x - points.x[owner], edge)


def _two_nearest(y: Array, x: Array, points: Points, reach: float) -> tuple[Array, Array, Array, Array]:
    """Squared distances to the nearest and second nearest point, and which they are; farther ones don't count."""
    H, W = y.shape
    first, second = np.full((2, H, W), FAR**2, np.float32)
    owner, other = np.zeros((2, H, W), np.intp)
    for k, (py, px) in enumerate(zip(points.y.tolist(), points.x.tolist(), strict=True)):
        t, b = max(0, math.floor(py - reach)), min(H, math.ceil(py + reach))
        l, r = max(0, math.floor(px - reach)), min(W, math.ceil(px + reach))
        if t >= b or l >= r:
            continue
        box = slice(t, b), slice(l, r)
        d = (y[box] - py) ** 2 + (x[box] - px) ** 2
        nearest, near = d < first[box], d < second[box]
        second[box] = np.where(nearest, first[box], np.where(near, d, second[box]))
        other[box] = np.where(nearest, owner[box], np.where(near, k, other[box]))
        first[box][nearest], owner[box][nearest] = d[nearest], k
    return first, second, owner, other


# ---------------------------------------------------------------------------------------------------------
# What the microscope sees


def _expose(sheet: Sheet, count: int, diameter: float, width: float, rng: np.random.Generator) -> Array:
    """Grey values of everything, blurred and unevenly lit."""
    size = sheet.owner.shape
    grain = fractal_noise(size, max(3.0, 0.16 * diameter), rng, octaves=2)  # (2, H, W)
    slow = smooth_noise(size, 0.5 * max(size), rng)  # (2, H, W)
    inside = fade(sheet.edge, 0, width)
    plasma = rng.uniform(0.54, 0.70, count).astype(np.float32)[sheet.owner] + 0.045 * grain[0]
    image = _nucleus(plasma, sheet, count, diameter, grain[1], rng)
    for _ in range(ORGANELLES):
        image = _organelle(image, sheet, count, diameter, rng)
    resin = 0.84 + 0.02 * grain[1]
    image = resin + inside * (image - resin)
    middle = np.abs(sheet.edge - width / 2)  # how far from the middle of the membrane
    stain = (0.85 + 0.15 * slow[0]).clip(0.45, 1)  # here and there the cut was slanting, and it is pale
    dark = stain * np.clip(1.25 - middle / (width / 2 + 0.35), 0, 1)
    image = image + dark * (0.14 - image)
    lit: Array = _blurred(image) * (0.97 + 0.07 * slow[1])
    return lit


def _nucleus(
    image: Array, sheet: Sheet, count: int, diameter: float, grain: Array, rng: np.random.Generator
) -> Array:
    """Put a nucleus with an envelope, clumps and a dark nucleolus into most cells; the cut misses the others."""
    rim, down, right = _ellipse(sheet, count, diameter, 0.12, (0.17, 0.27), 0.75, rng)
    rim = np.maximum(rim, 2.5 - sheet.edge)  # it keeps off the membrane
    inner = 0.56 + 0.09 * grain + 0.04 * rim / diameter
    image = _cover(image, inner, rim)
    image = _cover(image, 0.34, np.abs(rim) - 0.35)  # the envelope
    spot = np.hypot(down - 0.05 * diameter, right) - 0.06 * diameter
    return _cover(image, 0.27, np.maximum(spot, rim + 1))


def _organelle(image: Array, sheet: Sheet, count: int, diameter: float, rng: np.random.Generator) -> Array:
    """Put a mitochondrion (dark, with an outline like a membrane's) or a bright vesicle into each cell."""
    rim, _, right = _ellipse(sheet, count, diameter, 0.36, (0.05, 0.11), 0.8, rng)
    rim = np.maximum(rim, 2.0 - sheet.edge)
    bright = (rng.random(count) < 0.3)[sheet.owner]
    folds = 0.43 + 0.07 * np.sin(right * (2 * math.pi / max(2.5, 0.07 * diameter)))
    image = _cover(image, np.where(bright, 0.86, folds), rim)
    return _cover(image, 0.25, np.abs(rim) - 0.2)


def _ellipse(
    sheet: Sheet,
    count: int,
    diameter: float,
    off: float,
    radii: tuple[float, float],
    share: float,
    rng: np.random.Generator,
) -> tuple[Array, Array, Array]:
    """Draw an ellipse for each cell: about the distance from its outline, and places along its axes.

    One ellipse a cell, but all cells at once: each pixel looks up the numbers of the cell that owns it.
    """
    turn, way = rng.uniform(0, 2 * math.pi, (2, count))
    away = off * np.sqrt(rng.random(count)) * diameter
    long, short = np.sort(rng.uniform(*radii, (2, count)), axis=0)[::-1] * diameter
    there = np.where(rng.random(count) < share, 0, FAR)
    numbers = (away * np.sin(way), away * np.cos(way), np.sin(turn), np.cos(turn), long, short, there)
    dy, dx, sine, cosine, a, b, missing = np.take(np.stack(numbers).astype(np.float32), sheet.owner, axis=1)
    down, right = sheet.down - dy, sheet.right - dx
    down, right = cosine * down - sine * right, cosine * right + sine * down
    return (np.hypot(down / b, right / a) - 1) * b + missing, down, right


def _cover(image: Array, value: Array | float, distance: Array) -> Array:
    covered: Array = image + np.clip(0.5 - distance, 0, 1) * (value - image)
    return covered


def _blurred(image: Array) -> Array:
    """Spread each pixel a little over its neighbours: 1/8, 3/4, 1/8 down and across."""
    padded = np.pad(image, 1, mode="edge")
    padded = 0.125 * (padded[:-2] + padded[2:]) + 0.75 * padded[1:-1]
    blurred: Array = 0.125 * (padded[:, :-2] + padded[:, 2:]) + 0.75 * padded[:, 1:-1]
    return blurred
