"""Streets: a road with markings between houses, with cars, trees and poles, seen in perspective.

The camera's equations (see ``street_view.py``), read backwards, tell for each pixel of the ground or of a wall which
place it shows, and so whether there is a marking or a window. Objects are painted from far to near.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from minisegnet.arrays import Array
from minisegnet.data.augment.draw import stream
from minisegnet.data.sample import Sample
from minisegnet.data.synthetic.drawing import (
    Canvas,
    Colour,
    add_noise,
    as_colour,
    checked_number,
    checked_range,
    checked_size,
    draw_whole,
    fade,
    fractal_noise,
    mix,
)
from minisegnet.data.synthetic.street_houses import draw_house, paint_house
from minisegnet.data.synthetic.street_objects import draw_car, paint_car, paint_pole, paint_tree
from minisegnet.data.synthetic.street_view import (
    BUILDING,
    PAVEMENT,
    ROAD,
    SKY,
    Camera,
    View,
    repeat,
    stripe,
)
from minisegnet.sizes import IntOrPair

CLASS_NAMES = ("sky", "road", "pavement", "building", "car", "tree", "pole")
# Okabe and Ito's colours and a grey, which people with any kind of colour vision can tell apart.
PALETTE = (
    (86, 180, 233),
    (90, 90, 90),
    (240, 228, 66),
    (213, 94, 0),
    (0, 114, 178),
    (0, 158, 115),
    (204, 121, 167),
)
SIZE = (96, 128)
CHANNELS = 3

# High in the sky, near the horizon, and the tint of the light.
MOODS: tuple[tuple[Colour, Colour, Colour], ...] = (
    ((0.25, 0.50, 0.82), (0.76, 0.87, 0.95), (1.00, 1.00, 0.99)),  # noon
    ((0.36, 0.58, 0.84), (0.93, 0.88, 0.80), (1.04, 1.00, 0.93)),  # morning
    ((0.36, 0.42, 0.68), (0.99, 0.74, 0.52), (1.08, 0.96, 0.84)),  # evening
    ((0.62, 0.68, 0.75), (0.83, 0.85, 0.87), (0.93, 0.95, 0.98)),  # overcast
)

FIRST_NUMBER = 100  # of houses and what stands before them; the far towers have lower ones

Painter = Callable[[int], None]


def streets(
    size: IntOrPair,
    key: int | Sequence[int],
    *,
    cars: int | Sequence[int] = (2, 5),
    noise: float = 0.02,
) -> Sample:
    """Draw a street, with labels and instances (of cars, trees, poles and buildings).

    Parameters
    ----------
    size
        (H, W), at least 32 each.
    key
        Integers that decide on everything: the same key gives the same picture.
    cars
        How many: an integer, or the fewest and the most. Some may be hidden behind others.
    noise
        Standard deviation of the sensor's noise, 0 to 1; a picture has between half and all of it.

    Examples
    --------
    >>> sample = streets((48, 64), (0, 7))
    >>> sample.image.shape, sample.labels.dtype.name, sample.instances.dtype.name
    ((48, 64, 3), 'uint8', 'int32')
    """
    H, W = checked_size(size)
    fewest, most = checked_range(cars, "cars")
    noise = checked_number(noise, "noise", 0, 1)
    rng = stream(key, 2)
    zenith, haze, tint = MOODS[draw_whole(rng, 0, len(MOODS) - 1)]
    focal = 0.85 * (H * W) ** 0.5
    camera = Camera(W * rng.uniform(0.4, 0.6), H * rng.uniform(0.42, 0.52), focal, rng.uniform(2.4, 3.2))
    grain = fractal_noise((H, W), max(4.0, 0.07 * min(H, W)), rng, octaves=2)
    view = View(Canvas((H, W)), camera, haze, 1 if rng.random() < 0.5 else -1, grain)
    half = rng.uniform(3.6, 4.6)  # of the road's width, in metres
    line = half + rng.uniform(2.6, 3.6)  # where houses begin
    _paint_sky(view, zenith, rng)
    _paint_ground(view, half, line, rng)
    _paint_skyline(view, rng)
    houses = _draw_houses(view, line, rng)
    objects = _draw_small(view, half, line, rng) + _draw_cars(view, half, draw_whole(rng, fewest, most), rng)
    # From far to near; what stands between the houses is always in front of them.
    order = sorted(houses, key=_nearer) + sorted(objects, key=_nearer)
    for number, (_, paint) in enumerate(order, start=FIRST_NUMBER):
        paint(number)
    view.canvas.image *= np.array(tint, np.float32)[:, None, None]
    add_noise(view.canvas, noise * rng.uniform(0.5, 1), rng)
    return view.canvas.finish("streets")


# ---------------------------------------------------------------------------------------------------------
# Sky and ground


def _paint_sky(view: View, zenith: Colour, rng: np.random.Generator) -> None:
    """Paint a gradient, paler toward the horizon, with clouds that are flat below and bright above."""
    W = view.canvas.size[1]
    window = view.canvas.window(0, 0, view.camera.horizon + 1, W)
    h = window.y.size
    height = np.clip(1 - window.y / view.camera.horizon, 0, 1)  # 1 at the top
    sky = mix(view.haze, zenith, height**0.8)  # (3, h, 1)
    clouds = fractal_noise((h, W), (0.22 * W, 0.45 * W), rng)  # wider than high
    cover = 0.9 * fade(clouds[0], rng.uniform(-0.3, 0.9), 1.6) * fade(height, 0.0, 0.35)
    white = mix(
        mix(view.haze, (0.80, 0.82, 0.86), 0.6), (1.0, 1.0, 1.0), np.clip(0.6 + 0.35 * clouds[1], 0, 1)
    )
    view.canvas.blend(window, np.ones((h, W), np.float32), mix(sky, white, cover))


def _paint_ground(view: View, half: float, line: float, rng: np.random.Generator) -> None:
    """Paint road, kerb and pavement, each pixel by the place that it shows."""
    H, W = view.canvas.size
    camera = view.camera
    window = view.canvas.window(camera.horizon, 0, H, W)
    below = np.maximum(window.y - camera.horizon, 0.25)
    z = camera.focal * camera.height / below  # (h, 1)
    X = (window.x - camera.middle) * z / camera.focal  # (h, W)
    pixel_x, pixel_z = z / camera.focal, z * z / (camera.focal * camera.height)
    grain = view.grain[:, window.place[0]]  # (2, h, W)
    slabs = np.maximum(stripe(repeat(X, 1.5), 0.05, pixel_x), stripe(repeat(z, 1.5), 0.05, pixel_z))
    paved = mix((0.70, 0.66, 0.60), (0.52, 0.49, 0.45), slabs) * (1 + 0.03 * grain[0])
    tar = mix((0.33, 0.34, 0.36), (0.40, 0.40, 0.41), np.clip(0.5 + 0.5 * grain[0], 0, 1)) * (
        1 + 0.04 * grain[1]
    )
    tar = mix(tar, (0.93, 0.92, 0.88), 0.9 * _markings(X, z, pixel_x, pixel_z, half, rng))
    road = np.clip((half - np.abs(X)) / pixel_x + 0.5, 0, 1)
    ground = mix(paved, tar, road)
    kerb = stripe(np.abs(X) - half - 0.12, 0.14, pixel_x)
    ground = mix(ground, (0.80, 0.78, 0.74), 0.8 * kerb)
    edge = line * view.sun - view.sun * rng.uniform(2, 8)  # how far the houses' shadow reaches
    ground = ground * (1 - 0.38 * np.clip(view.sun * (X - edge) / np.maximum(pixel_x, 0.15) + 0.5, 0, 1))
    view.canvas.blend(window, np.ones((len(window.y), W), np.float32), view.far(ground, z))
    view.canvas.labels[window.place] = np.where(np.abs(X) < half, ROAD, PAVEMENT)
    view.canvas.labels[window.place][np.broadcast_to(window.y <= camera.horizon, X.shape)] = SKY


def _markings(
    X: Array, z: Array, pixel_x: Array, pixel_z: Array, half: float, rng: np.random.Generator
) -> Array:
    """How much of each pixel is painted white: a broken line in the middle, lines at the sides, a crossing."""
    dashes = stripe(repeat(z - rng.uniform(0, 6), 6.0), 1.5, pixel_z)
    white = np.maximum(stripe(X, 0.09, pixel_x) * dashes, stripe(np.abs(X) - half + 0.4, 0.07, pixel_x))
    if rng.random() < 0.45:
        place = z - rng.uniform(9, 18)
        crossing = stripe(place, 1.5, pixel_z)
        bars = stripe(repeat(X, 1.0), 0.26, pixel_x) * (np.abs(X) < half - 0.2)
        white = np.where(np.abs(place) < 2.2, 0, white)
        white = np.maximum(white, crossing * bars)
    return np.asarray(white)


def _paint_skyline(view: View, rng: np.random.Generator) -> None:
    """Close the street with far towers: boxes in the haze."""
    camera, z = view.camera, 150.0
    number, X = 1, -50.0
    while X < 50:
        wide = rng.uniform(7, 16)
        left, right = camera.column(X, z), camera.column(X + wide, z)
        top, bottom = camera.row(rng.uniform(9, 30), z), camera.horizon + 1.5
        window = view.canvas.window(top - 1, left - 1, bottom + 1, right + 1)
        sides = np.maximum(left - window.x, window.x - right)
        distance = np.maximum(np.maximum(top - window.y, window.y - bottom), sides)
        grey = rng.uniform(0.35, 0.6)
        windows = 1 - 0.12 * (np.sin(window.y * 2.1) * np.sin(window.x * 2.1) > 0.2)
        colour = view.far(as_colour((grey, grey, grey + 0.06)) * windows, 0.8 * z)
        view.canvas.paint(window, distance, colour, label=BUILDING, number=number)
        number, X = number + 1, X + wide * rng.uniform(0.8, 1.3)


# ---------------------------------------------------------------------------------------------------------
# What stands where


def _nearer(found: tuple[float, Painter]) -> float:
    return -found[0]


def _draw_houses(view: View, line: float, rng: np.random.Generator) -> list[tuple[float, Painter]]:
    """Put houses along both sides, some with a gap between."""
    found: list[tuple[float, Painter]] = []
    for side in (-1, 1):
        z = rng.uniform(3, 9)
        house = None
        while z < 60:
            end = z + rng.uniform(9, 17)
            house = draw_house(side, line, z, end, rng.uniform(5.5, 14), house, rng)
            found.append((z, partial(paint_house, view, house)))
            z = end + (rng.uniform(2, 5) if rng.random() < 0.35 else 0)
    return found


def _draw_small(
    view: View, half: float, line: float, rng: np.random.Generator
) -> list[tuple[float, Painter]]:
    """Put trees and poles on the pavements: in rows, but not too regularly."""
    found: list[tuple[float, Painter]] = []
    for side in (-1, 1):
        z = rng.uniform(8, 13)
        while z < 45:
            if rng.random() < 0.55:
                X = side * rng.uniform(half + 0.9, line - 0.7)
                found.append((z, partial(paint_tree, view, X, z, rng=rng.spawn(1)[0])))
            else:
                X = side * (half + 0.45)
                found.append((z, partial(paint_pole, view, X, z, rng=rng.spawn(1)[0])))
            z += rng.uniform(4.5, 10)
    return found


def _draw_cars(view: View, half: float, count: int, rng: np.random.Generator) -> list[tuple[float, Painter]]:
    """Put cars in the two lanes: those on the right drive away. Each keeps its distance."""
    found: list[tuple[float, Painter]] = []
    next_z = {-1: rng.uniform(7, 14), 1: rng.uniform(7, 14)}
    for _ in range(count):
        lane = 1 if rng.random() < 0.5 else -1
        z = next_z[lane]
        car = draw_car(lane * (half / 2 + rng.uniform(-0.3, 0.5)), z, lane < 0, rng)
        found.append((z, partial(paint_car, view, car)))
        next_z[lane] = z + rng.uniform(7, 15)
    return found
