"""The demo's picture: shaded, textured shapes on a quiet background, with the label of every pixel.

Each shape is given by its signed distance: how far a pixel is from the outline, negative inside. The distance
gives the label (its sign), a smooth edge (its value near 0) and a soft shadow (its value further out).
"""

from typing import NamedTuple

import numpy as np

from minisegnet.arrays import Array

CLASSES = ("background", "circle", "square", "triangle")

# Each kind of shape has two colours, and one of them is shared with the next kind: colour alone can't tell them apart.
COLOURS = {
    1: ((0.93, 0.60, 0.12), (0.80, 0.25, 0.20)),
    2: ((0.10, 0.42, 0.72), (0.93, 0.60, 0.12)),
    3: ((0.05, 0.60, 0.48), (0.10, 0.42, 0.72)),
}


class Picture(NamedTuple):
    """A picture and what is in it."""

    image: Array  # (3, H, W) float32, 0 to 1
    labels: Array  # (H, W) int64, an index into CLASSES
    instances: Array  # (H, W) int64: 0 is the background, each shape has its own number


def make_picture(size: tuple[int, int], seed: int = 0) -> Picture:
    """Draw six shapes; the same size and seed give the same picture.

    Parameters
    ----------
    size
        (H, W).
    seed
        Chooses places, turns, textures and colours.
    """
    H, W = size
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:H, 0:W] + 0.5  # pixel centres
    image = _background(rows / H, columns / W, rng)  # (3, H, W)
    labels = np.zeros(size, np.int64)
    instances = np.zeros(size, np.int64)
    places = [(i, j) for i in range(2) for j in range(3)]  # one shape in each cell of a 2 x 3 grid, jittered
    kinds = rng.permutation([1, 2, 3, 1, 2, 3])
    for number, ((i, j), kind) in enumerate(zip(places, kinds, strict=True), start=1):
        nth = int(np.count_nonzero(kinds[: number - 1] == kind))  # the second of a kind gets the other colour
        radius = H * rng.uniform(0.165, 0.215)
        down = rows - H * (i + 0.5 + rng.uniform(-0.07, 0.07)) / 2
        right = columns - W * (j + 0.5 + rng.uniform(-0.1, 0.1)) / 3
        distance = _distance(int(kind), down, right, radius, rng)
        surface = _surface(COLOURS[int(kind)][nth], int(kind), number, down, right, radius, rng)  # (3, H, W)
        dark = _shadow(distance, radius)
        cover = np.clip(0.5 - distance, 0, 1)  # 1 inside, 0 outside, between on the outline's pixels
        image = image * (1 - dark) * (1 - cover) + surface * cover
        labels[distance < 0] = kind
        instances[distance < 0] = number
    image += rng.normal(0, 0.012, image.shape)
    return Picture(np.clip(image, 0, 1).astype(np.float32), labels, instances)


def crop(picture: Picture, size: tuple[int, int]) -> Picture:
    """Cut the middle out, at most of this size."""
    H, W = picture.labels.shape
    h, w = min(size[0], H), min(size[1], W)
    rows = slice((H - h) // 2, (H - h) // 2 + h)
    columns = slice((W - w) // 2, (W - w) // 2 + w)
    return Picture(*(np.ascontiguousarray(part[..., rows, columns]) for part in picture))


def boxes(picture: Picture) -> Array:
    """Return each shape's bounding box, (R, 4) float32: x1, y1, x2, y2, the last pixel included."""
    found = []
    for number in range(1, int(picture.instances.max()) + 1):
        rows, columns = np.nonzero(picture.instances == number)
        if rows.size == 0:
            continue  # it lies outside a crop
        found.append((columns.min(), rows.min(), columns.max(), rows.max()))
    return np.array(found, np.float32).reshape(-1, 4)


def _background(v: Array, u: Array, rng: np.random.Generator) -> Array:
    """Blend two soft greys from top to bottom and lay slow waves over them."""
    top, bottom = np.array([0.87, 0.89, 0.90]), np.array([0.70, 0.73, 0.77])
    waves = sum(np.sin(2 * np.pi * (a * u + b * v + phase)) for a, b, phase in rng.uniform(-2.5, 2.5, (4, 3)))
    mixed = top[:, None, None] * (1 - v) + bottom[:, None, None] * v  # (3, H, W)
    return np.asarray(mixed + 0.012 * waves)


def _distance(kind: int, down: Array, right: Array, radius: float, rng: np.random.Generator) -> Array:
    turn = rng.uniform(0, 2 * np.pi)
    if kind == 1:
        return np.asarray(np.hypot(down, right) - radius)
    sides = 4 if kind == 2 else 3
    inner = radius * (0.86 if kind == 2 else 0.62)  # from the centre to a side; the areas come out similar
    angles = turn + 2 * np.pi * np.arange(sides) / sides
    return np.asarray(np.max([np.cos(a) * right + np.sin(a) * down for a in angles], axis=0) - inner)


def _shadow(distance: Array, radius: float) -> Array:
    """Darken the ground near a shape, fading out over a third of its radius."""
    return np.asarray(0.38 * np.clip(1 - distance / (0.35 * radius), 0, 1) ** 2)


def _surface(
    colour: tuple[float, ...],
    kind: int,
    number: int,
    down: Array,
    right: Array,
    radius: float,
    rng: np.random.Generator,
) -> Array:
    """Fill the shape with its colour, give it stripes, dots or grain, and light it from the upper left."""
    turn, waves = rng.uniform(0, np.pi), 2 * np.pi / (0.42 * radius)
    along = np.sin(waves * (np.cos(turn) * right + np.sin(turn) * down))
    across = np.sin(waves * (np.cos(turn) * down - np.sin(turn) * right))
    texture = (along, along * across, np.zeros_like(along))[number % 3]  # stripes, checks, plain
    if kind == 1:  # a ball: the height of its surface makes the light
        height = np.sqrt(np.clip(1 - (down**2 + right**2) / radius**2, 0, 1))
        light = 0.55 + 0.6 * np.clip(0.62 * height - 0.5 * (down + right) / radius, 0, 1)
    else:
        light = 1.0 - 0.2 * (down + right) / radius
    return np.asarray(np.array(colour)[:, None, None] * (light * (1 + 0.22 * texture)))  # (3, H, W)
