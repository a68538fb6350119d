"""Shapes: circles, squares, triangles and stars, rounded and lit, some of them half hidden.

What a shape is shows in its outline and in its relief: balls, tiles with a bevel, hollow triangles, ridged stars.
Colours and textures come from the same pots for all of them, and the ground has the same colours, only paler. So a
network has to look at more than one pixel.
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
    Colour,
    add_noise,
    checked_number,
    checked_range,
    checked_size,
    draw_whole,
    fractal_noise,
    mix,
)
from minisegnet.sizes import IntOrPair, Pair

CLASS_NAMES = ("background", "circle", "square", "triangle", "star")
# Grey and Okabe and Ito's colours, which people with any kind of colour vision can tell apart.
PALETTE = ((40, 40, 40), (230, 159, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167))
SIZE = (96, 96)
CHANNELS = 3

TEXTURES = ("plain", "plain", "stripes", "checks", "dots", "grain")

COLOURS: tuple[Colour, ...] = (
    (0.91, 0.36, 0.27),  # coral
    (0.96, 0.66, 0.26),  # apricot
    (0.95, 0.84, 0.52),  # straw
    (0.93, 0.90, 0.83),  # cream
    (0.60, 0.72, 0.47),  # sage
    (0.19, 0.52, 0.43),  # bottle green
    (0.35, 0.71, 0.72),  # teal
    (0.62, 0.80, 0.90),  # ice blue
    (0.22, 0.45, 0.70),  # cobalt
    (0.16, 0.20, 0.36),  # ink
    (0.49, 0.36, 0.60),  # plum
    (0.89, 0.60, 0.68),  # rose
    (0.56, 0.27, 0.24),  # brick
    (0.52, 0.50, 0.50),  # stone
)
PAPER: Colour = (0.76, 0.75, 0.73)
PALE = 0.72  # the ground has the same colours, but so much of them is the paper's
CONTRAST = 0.3  # least distance in RGB of a shape's colour from the ground's


class Look(NamedTuple):
    """How a surface looks: nothing of this depends on the class."""

    colour: Colour
    texture: str
    second: Colour  # the texture's other colour: lighter or darker
    period: float  # pixels from one stripe to the next
    turn: float


class Shape(NamedTuple):
    """One object."""

    label: int
    y: float
    x: float
    radius: float  # all classes cover about as much ground as a circle of this radius
    turn: float
    look: Look


def shapes(
    size: IntOrPair,
    key: int | Sequence[int],
    *,
    number: int | Sequence[int] = (3, 6),
    noise: float = 0.02,
) -> Sample:
    """Draw textured shapes on a textured ground, with labels and instances.

    Parameters
    ----------
    size
        (H, W), at least 32 each.
    key
        Integers that decide on everything: the same key gives the same picture.
    number
        How many shapes: an integer, or the fewest and the most.
    noise
        Standard deviation of the sensor's noise, 0 to 1; a picture has between a third and all of it.

    Examples
    --------
    >>> sample = shapes((48, 64), (0, 7), number=4)
    >>> sample.image.shape, sample.labels.shape, int(sample.instances.max())
    ((48, 64, 3), (48, 64), 4)
    """
    H, W = checked_size(size)
    fewest, most = checked_range(number, "number")
    noise = checked_number(noise, "noise", 0, 1)
    rng = stream(key, 0)
    light = rng.uniform(0, 2 * math.pi)
    looks = _draw_looks(1 + draw_whole(rng, fewest, most), min(H, W), rng)
    objects = _draw_shapes((H, W), looks[1:], rng)
    stone = fractal_noise((H, W), 0.12 * min(H, W), rng)[0]  # every grainy texture takes its grain from here
    canvas = Canvas((H, W))
    _paint_ground(canvas, looks[0], stone, light)
    for n, shape in enumerate(objects, start=1):
        _paint_shape(canvas, shape, n, stone, light)
    add_noise(canvas, noise * rng.uniform(1 / 3, 1), rng)
    return canvas.finish("shapes")


# ---------------------------------------------------------------------------------------------------------
# What is in the picture


def _draw_looks(count: int, side: int, rng: np.random.Generator) -> list[Look]:
    """Draw the ground's look and the shapes': neighbouring colours differ, so that each outline can be seen."""
    pot = [tuple(c + rng.uniform(-0.05, 0.05) for c in colour) for colour in COLOURS]
    order = rng.permutation(len(pot)).tolist()
    ground = tuple(c + PALE * (p - c) for c, p in zip(pot[order[0]], PAPER, strict=True))
    clear = [pot[k] for k in order[1:] if math.dist(pot[k], ground) > CONTRAST]
    looks = []
    for n in range(count):
        colour = ground if n == 0 else clear[(n - 1) % len(clear)]
        darker = sum(colour) > 1.5 if rng.random() < 0.8 else rng.random() < 0.5
        target, share = (0.0, rng.uniform(0.07, 0.15)) if darker else (1.0, rng.uniform(0.09, 0.18))
        r, g, b = (c + share * (target - c) for c in colour)
        looks.append(
            Look(
                (colour[0], colour[1], colour[2]),
                TEXTURES[draw_whole(rng, 0, len(TEXTURES) - 1)],
                (r, g, b),
                max(4.0, side * rng.uniform(0.06, 0.12)),
                rng.uniform(0, math.pi),
            )
        )
    return looks


def _draw_shapes(size: Pair, looks: list[Look], rng: np.random.Generator) -> list[Shape]:
    """Scatter shapes: they may overlap, but none is put where it would hide most of another."""
    H, W = size
    side = min(H, W)
    found: list[Shape] = []
    for look in looks:
        label = draw_whole(rng, 1, len(CLASS_NAMES) - 1)
        radius = side * rng.uniform(0.13, 0.175)
        best, widest = (0.0, 0.0), -math.inf
        for _ in range(20):
            y = rng.uniform(0.85 * radius, H - 0.85 * radius)
            x = rng.uniform(0.85 * radius, W - 0.85 * radius)
            # How far outside of each other: 0 where two circles touch, in units of the smaller one's radius.
            gaps = [(math.hypot(y - o.y, x - o.x) - radius - o.radius) / min(radius, o.radius) for o in found]
            gap = min(gaps, default=0.0)
            if gap > widest:
                best, widest = (y, x), gap
            if gap > 0.0:
                break
        found.append(Shape(label, *best, radius, rng.uniform(0, 2 * math.pi), look))
    return found


# ---------------------------------------------------------------------------------------------------------
# Outlines


def outline(label: int, down: Array, right: Array, radius: float) -> Array:
    """Signed distance from a shape around 0 whose first corner (or side) points to the right.

    A circle is one line. The others repeat: mirrored and turned, one half-edge makes the whole outline. It starts on
    the axis at A and ends at B, at an angle of 180 degrees / n.
    """
    if label == 1:
        return np.asarray(np.hypot(down, right) - radius)
    n = {2: 4, 3: 3, 4: 5}[label]
    a, b = {
        2: (0.88, 0.88 / math.cos(math.pi / 4)),  # the middle of a side, and a corner
        3: (0.77, 0.77 / math.cos(math.pi / 3)),
        4: (1.54, 0.69),  # a tip, and the notch between two
    }[label]
    sector = 2 * math.pi / n
    angle = np.arctan2(down, right)
    angle = np.abs(angle - sector * np.rint(angle / sector))  # mirrored and turned: 0 to sector / 2
    reach = np.hypot(down, right)
    x, y = reach * np.cos(angle) - a * radius, reach * np.sin(angle)  # seen from A
    along = (b * math.cos(sector / 2) - a) * radius, b * math.sin(sector / 2) * radius  # from A to B
    length = math.hypot(*along)
    t = np.clip((x * along[0] + y * along[1]) / length**2, 0, 1)  # the nearest place on the half-edge
    distance = np.hypot(x - t * along[0], y - t * along[1])
    inside = x * along[1] - y * along[0] < 0  # on the centre's side of the half-edge
    return np.where(inside, -distance, distance)


# ---------------------------------------------------------------------------------------------------------
# Painting


def _paint_ground(canvas: Canvas, look: Look, stone: Array, light: float) -> None:
    H, W = canvas.size
    window = canvas.window(0, 0, H, W)
    y, x = window.y - H / 2, window.x - W / 2
    surface = mix(look.colour, look.second, 0.4 * _texture(look, y, x, stone))  # (3, H, W)
    toward = (y * math.sin(light) + x * math.cos(light)) / max(H, W)  # -0.7 to 0.7
    corners = (y / H) ** 2 + (x / W) ** 2
    canvas.image[:] = surface * (1 + 0.14 * toward - 0.25 * corners + 0.025 * stone)


def _paint_shape(canvas: Canvas, shape: Shape, number: int, stone: Array, light: float) -> None:
    """Cast a shadow away from the light, then paint the surface, rounded toward its rim."""
    r = shape.radius
    fall = 0.3 * r
    reach = 1.55 * r + 1.5 * fall + 2
    window = canvas.window(shape.y - reach, shape.x - reach, shape.y + reach, shape.x + reach)
    down, right = window.y - shape.y, window.x - shape.x
    sine, cosine = math.sin(light), math.cos(light)
    thrown = _turned_outline(shape, down + 0.6 * fall * sine, right + 0.6 * fall * cosine)
    canvas.shade(window, 0.42 * np.clip(1 - (thrown + fall / 2) / (1.5 * fall), 0, 1) ** 2)
    distance = _turned_outline(shape, down, right)
    surface = mix(
        shape.look.colour, shape.look.second, _texture(shape.look, down, right, stone[window.place])
    )
    diffuse, gloss = _lit(shape.label, distance, (down * sine + right * cosine) / r, r, sine, cosine)
    canvas.paint(window, distance, surface * diffuse + gloss, label=shape.label, number=number)


def _turned_outline(shape: Shape, down: Array, right: Array) -> Array:
    sine, cosine = math.sin(shape.turn), math.cos(shape.turn)
    return outline(shape.label, cosine * down - sine * right, cosine * right + sine * down, shape.radius)


def _lit(
    label: int, distance: Array, toward: Array, radius: float, sine: float, cosine: float
) -> tuple[Array, Array]:
    """Brightness and gloss: circles are balls, squares tiles with a bevel, triangles trays, stars have ridges.

    ``toward`` is how far a place lies on the light's side of the middle, -1 to 1.
    """
    if label == 3:
        depth = np.clip(-distance / (0.77 * radius), 0, 1)  # 0 at the rim, 1 in the middle
        return 1.15 - 0.55 * depth + 0.10 * toward, np.zeros_like(toward)
    slope_y, slope_x = np.gradient(distance)  # point outward, length 1
    if label == 1:
        bend = 0.95 * np.clip(1 + distance / radius, 0, 1)
    elif label == 2:
        bend = 0.75 * np.clip(1 + distance / (0.42 * radius), 0, 1)  # flat on top
    else:
        bend = np.full_like(distance, 0.65)
    facing = 0.6 * bend * (slope_y * sine + slope_x * cosine) + 0.8 * np.sqrt(1 - bend * bend)
    facing = np.clip(facing, 0, 1)  # the light stands 53 degrees high
    return 0.40 + 0.75 * facing, 0.25 * facing**12


def _texture(look: Look, down: Array, right: Array, stone: Array) -> Array:
    """How much of the second colour there is, 0 to 1."""
    if look.texture == "plain":
        return np.zeros_like(stone)
    if look.texture == "grain":
        return np.clip(0.5 + 0.55 * stone, 0, 1)
    wave = 2 * math.pi / look.period
    sine, cosine = math.sin(look.turn), math.cos(look.turn)
    along = np.sin(wave * (cosine * right + sine * down))
    if look.texture == "stripes":
        value = along
    else:
        value = along * np.sin(wave * (cosine * down - sine * right))
        if look.texture == "dots":
            value = 2 * np.abs(value) - 1
    return np.clip(0.5 + 1.4 * value, 0, 1)  # nearly two flat colours, with soft edges between
