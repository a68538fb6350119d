"""What the drawn pictures share: a canvas that keeps picture, classes and objects in step, noise, and soft edges.

Everything is drawn through signed distances: how far a pixel's centre lies from an outline, in pixels, negative
inside. The sign is the label, values near 0 make a smooth edge, and values further out a soft shadow.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minisegnet.arrays import Array
from minisegnet.data.sample import Sample
from minisegnet.sizes import IntOrPair, Pair, as_int, as_pair

SMALLEST = 32  # pixels a side: less than that, and objects are a few pixels

Colour = tuple[float, float, float]
Period = float | tuple[float, float]  # pixels, down and across


class Window(NamedTuple):
    """A rectangle of the canvas, with the coordinates of its pixels' centres."""

    place: tuple[slice, slice]
    y: Array  # (h, 1)
    x: Array  # (1, w)


class Canvas:
    """A picture that is being drawn: what is painted later lies nearer and covers what was there.

    Attributes
    ----------
    image
        (C, H, W), float32; 0 is black and 1 white. Channels come first here, so that a map (H, W) broadcasts.
    labels, instances
        (H, W): uint8 and int32, the class and the object that each pixel shows. All 0 to begin with.

    Examples
    --------
    >>> canvas = Canvas((4, 6))
    >>> window = canvas.window(1, 1, 3, 99)
    >>> canvas.paint(window, window.x - 4.0 + 0 * window.y, (1.0, 0.0, 0.0), label=2, number=1)
    >>> canvas.labels
    array([[0, 0, 0, 0, 0, 0],
           [0, 2, 2, 2, 0, 0],
           [0, 2, 2, 2, 0, 0],
           [0, 0, 0, 0, 0, 0]], dtype=uint8)
    """

    def __init__(self, size: Pair, channels: int = 3) -> None:
        self.size = size
        self.image = np.zeros((channels, *size), np.float32)
        self.labels = np.zeros(size, np.uint8)
        self.instances = np.zeros(size, np.int32)

    def window(self, top: float, left: float, bottom: float, right: float) -> Window:
        """Return the part of a rectangle that lies on the canvas, rounded outward; it may be empty."""
        H, W = self.size
        t, l = min(max(0, math.floor(top)), H), min(max(0, math.floor(left)), W)
        b, r = max(t, min(H, math.ceil(bottom))), max(l, min(W, math.ceil(right)))
        y = np.arange(t, b, dtype=np.float32)[:, None] + 0.5  # (h, 1)
        x = np.arange(l, r, dtype=np.float32) + 0.5  # (w,)
        return Window((slice(t, b), slice(l, r)), y, x[None])

    def paint(
        self,
        window: Window,
        distance: Array,  # (h, w)
        colour: Colour | Array,  # three numbers, or (C, h, w)
        *,
        label: int | None = None,
        number: int = 0,
    ) -> None:
        """Cover what lies inside of an outline. Without a label it is a detail of the object below."""
        if 0 in distance.shape:
            return
        cover = (0.5 - distance).clip(0, 1)  # 1 inside, 0 outside, between on the outline's pixels
        self.blend(window, cover, colour)
        if label is not None:
            inside = distance < 0
            self.labels[window.place][inside] = label
            self.instances[window.place][inside] = number

    def blend(self, window: Window, cover: Array, colour: Colour | Array) -> None:
        """Mix a colour into the picture: none of it where cover is 0, nothing else where it is 1."""
        part = self.image[(slice(None), *window.place)]
        part += cover * (as_colour(colour) - part)

    def shade(self, window: Window, strength: Array | float) -> None:
        """Darken: by nothing where the strength is 0, to black where it is 1."""
        self.image[(slice(None), *window.place)] *= 1 - strength

    def finish(self, name: str) -> Sample:
        """Round to 8 bits and number the objects that are still seen from 1 on."""
        image = np.rint(np.clip(self.image, 0, 1) * 255).astype(np.uint8)
        seen = np.bincount(self.instances.ravel(), minlength=1) > 0
        seen[0] = False  # what belongs to no object keeps the number 0
        instances = (np.cumsum(seen, dtype=np.int32) * seen)[self.instances]
        return Sample(
            np.ascontiguousarray(image.transpose(1, 2, 0)), self.labels, instances, name
        )  # (H, W, C)


def as_colour(colour: Colour | Array) -> Array:
    """Return three numbers as (3, 1, 1), which broadcasts with maps; maps of colours stay as they are."""
    if isinstance(colour, np.ndarray) and colour.ndim == 3:
        return colour
    return np.asarray(colour, np.float32).reshape(-1, 1, 1)


def mix(a: Colour | Array, b: Colour | Array, t: Array | float) -> Array:
    """Go from colour a (t = 0) to colour b (t = 1)."""
    first = as_colour(a)
    mixed: Array = first + t * (as_colour(b) - first)
    return mixed


def fade(value: Array, low: float, high: float) -> Array:
    """Rise smoothly from 0 at ``low`` to 1 at ``high``: 3t^2 - 2t^3 between. High may be the smaller one.

    >>> fade(np.array([0.0, 1.0, 2.0, 3.0]), 1.0, 3.0)
    array([0. , 0. , 0.5, 1. ])
    """
    t = np.clip((value - low) / (high - low), 0, 1)
    smooth: Array = t * t * (3 - 2 * t)
    return smooth


# ---------------------------------------------------------------------------------------------------------
# Noise


def smooth_noise(size: Pair, period: Period, rng: np.random.Generator) -> Array:  # (2, H, W)
    """Two maps of soft hills and valleys, about a period of pixels apart, of variance below 1.

    Random values at the points of a coarse grid, and between them a smooth step from one to the next.
    """
    H, W = size
    down, across = period if isinstance(period, tuple) else (period, period)
    GH, GW = max(2, round(H / down) + 1), max(2, round(W / across) + 1)
    values = rng.standard_normal((2, GH, GW), dtype=np.float32)
    k, t = _steps(GW, W)
    values = np.take(values, k, axis=2) * (1 - t) + np.take(values, k + 1, axis=2) * t  # (2, GH, W)
    k, t = _steps(GH, H)
    t = t[:, None]
    smooth: Array = np.take(values, k, axis=1) * (1 - t) + np.take(values, k + 1, axis=1) * t  # (2, H, W)
    return smooth


def _steps(points: int, length: int) -> tuple[Array, Array]:
    """Return the grid point before each pixel, and how far (0 to 1, smoothed) the pixel is on the way to the next."""
    place = (np.arange(length, dtype=np.float32) + 0.5) * (points - 1) / length
    k = np.floor(place)
    return k.astype(np.intp), fade(place - k, 0, 1)


def fractal_noise(
    size: Pair, period: Period, rng: np.random.Generator, octaves: int = 4
) -> Array:  # (2, H, W)
    """Two maps of hills with smaller ones on them: each octave has half the period and half the height.

    Clouds, stone and grain all look like this: no scale is special.
    """
    down, across = period if isinstance(period, tuple) else (period, period)
    total = np.zeros((2, *size), np.float32)
    for octave in range(octaves):
        smaller = (down / 2**octave, across / 2**octave)
        if octave and min(smaller) < 2:
            break  # finer than the pixels
        total += smooth_noise(size, smaller, rng) / 2**octave
    return total


def add_noise(canvas: Canvas, sigma: float, rng: np.random.Generator) -> None:
    """Add what a sensor adds: grain in the brightness, and a little in each channel."""
    C, H, W = canvas.image.shape
    # Two uniform numbers added: bell-shaped enough, and quicker to draw than normal ones. Their variance is 1/6.
    grain = rng.random((C + 1, H, W), dtype=np.float32)
    grain += rng.random((C + 1, H, W), dtype=np.float32)
    grain -= 1
    shared, own = sigma * 0.8 * 6**0.5, sigma * 0.6 * 6**0.5  # 0.64 + 0.36 = 1
    canvas.image += shared * grain[:1] + own * grain[1:]


# ---------------------------------------------------------------------------------------------------------
# Distances


def box_distance(y: Array, x: Array, half_height: Array | float, half_width: Array | float) -> Array:
    """Distance from a rectangle around 0: exact inside and beside it, too small beyond its corners."""
    return np.maximum(np.abs(y) - half_height, np.abs(x) - half_width)


def soft_minimum(a: Array, b: Array, reach: float) -> Array:
    """Return the smaller of the two, with the crease where they meet rounded off.

    >>> soft_minimum(np.array([0.0, 1.0, 5.0]), np.array([4.0, 1.0, 1.0]), 2.0)
    array([0. , 0.5, 1. ])
    """
    h = np.clip(0.5 + 0.5 * (b - a) / reach, 0, 1)
    smooth: Array = b + h * (a - b) - reach * h * (1 - h)
    return smooth


# ---------------------------------------------------------------------------------------------------------
# Arguments


def checked_size(size: IntOrPair) -> Pair:
    """Return (H, W), each at least 32.

    >>> checked_size(48)
    (48, 48)
    """
    H, W = as_pair(size, "size")
    if min(H, W) < SMALLEST:
        raise ValueError(f"size is {(H, W)}; expected at least {SMALLEST} pixels on each side")
    return H, W


def checked_range(value: int | Sequence[int], name: str) -> Pair:
    """Return (fewest, most) of an integer or of two."""
    fewest, most = as_pair(value, name, 1)
    if fewest > most:
        raise ValueError(f"{name} is {value!r}; expected the fewest first and then the most")
    return fewest, most


def checked_number(value: float, name: str, low: float, high: float) -> float:
    """Return a float from low to high."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} is {value!r} ({type(value).__name__}); expected a number")
    if not low <= value <= high:  # true for NaN too
        raise ValueError(f"{name} is {value}; expected a number from {low} to {high}")
    return float(value)


def draw_whole(rng: np.random.Generator, fewest: int, most: int) -> int:
    """Draw an integer from fewest to most, both included."""
    return as_int(rng.integers(fewest, most + 1), "drawn")
