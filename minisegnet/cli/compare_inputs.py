"""What compare gives to the ops: a picture of shapes with its labels, and what is made of it."""

from typing import NamedTuple

import numpy as np

from minisegnet.arrays import Array
from minisegnet.data.synthetic.shapes import CLASS_NAMES, shapes
from minisegnet.sizes import Pair

SHAPES = 6  # as many as the drawing has room for cut out


class Picture(NamedTuple):
    """A picture and what is in it."""

    image: Array  # (3, H, W) float32, 0 to 1
    labels: Array  # (H, W) int64, an index into CLASS_NAMES
    instances: Array  # (H, W) int64: 0 is the background, each shape has its own number


def make_picture(size: Pair, seed: int = 0) -> Picture:
    """Draw six shapes; the same size and seed give the same picture."""
    sample = shapes(size, seed, number=SHAPES)
    assert sample.labels is not None and sample.instances is not None  # drawn pictures have both
    image = np.ascontiguousarray(sample.image.transpose(2, 0, 1))  # (3, H, W)
    return Picture(
        image.astype(np.float32) / 255, sample.labels.astype(np.int64), sample.instances.astype(np.int64)
    )


def busiest_part(picture: Picture, size: Pair) -> Picture:
    """Cut out the part of this size that shows most classes, and among equals most shapes; the first of them."""
    H, W = picture.labels.shape
    h, w = min(size[0], H), min(size[1], W)
    places = [
        np.s_[..., i : i + h, j : j + w] for i in range(0, H - h + 1, 8) for j in range(0, W - w + 1, 8)
    ]
    best = max(
        places, key=lambda p: (len(np.unique(picture.labels[p])), len(np.unique(picture.instances[p])))
    )
    return Picture(*(np.ascontiguousarray(array[best]) for array in picture))


def boxes(picture: Picture) -> Array:
    """Return the bounding box of what is seen of each shape, (R, 4) float32: x1, y1, x2, y2, last pixel included."""
    found = []
    for number in np.unique(picture.instances[picture.instances > 0]):
        rows, columns = np.nonzero(picture.instances == number)
        found.append((columns.min(), rows.min(), columns.max(), rows.max()))
    return np.array(found, np.float32).reshape(-1, 4)


def edge_filters() -> Array:
    """Return filters (4, 3, 3, 3) that see brightness: down, right (Sobel), any direction (Laplace), blur."""
    sobel = np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], np.float32) / 4
    laplace = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32)
    blur = np.full((3, 3), 1 / 9, np.float32)
    planes = np.stack([sobel, sobel.T, laplace, blur])  # (4, 3, 3)
    return np.repeat(planes[:, None] / np.float32(3), 3, axis=1)  # (4, 3, 3, 3)


def bilinear_filters(C: int, factor: int) -> Array:
    """Return filters (C, 1, 2f, 2f) with which a transposed convolution of stride f interpolates."""
    tent = 1 - np.abs(np.arange(2 * factor) - (factor - 0.5)) / factor  # (2f,)
    return np.tile(np.outer(tent, tent).astype(np.float32), (C, 1, 1, 1))


def quarter(x: Array) -> Array:
    """Average blocks of 4 x 4 pixels."""
    N, C, H, W = x.shape
    return np.ascontiguousarray(x.reshape(N, C, H // 4, 4, W // 4, 4).mean(axis=(3, 5)))  # (N, C, H/4, W/4)


def fade(x: Array) -> Array:
    """Darken a picture and take contrast away, in each channel by another amount."""
    contrast = np.array([0.5, 0.35, 0.2], np.float32)[:, None, None]
    floor = np.array([0.1, 0.2, 0.05], np.float32)[:, None, None]
    return np.asarray(x * contrast + floor)


def colour_scores(x: Array, picture: Picture) -> Array:
    """Score each class (2, C, H, W) by how near a pixel's colour is to the class's mean colour."""
    found = [c for c in range(len(CLASS_NAMES)) if (picture.labels == c).any()]
    means = {c: picture.image[:, picture.labels == c].mean(axis=1) for c in found}
    far = np.full(3, 2.0, np.float32)  # a class that isn't there is far from every colour
    distances = [((x - means.get(c, far)[:, None, None]) ** 2).sum(axis=1) for c in range(len(CLASS_NAMES))]
    return np.stack(distances, axis=1) * np.float32(-25)


def proposals(picture: Picture) -> tuple[Array, Array]:
    """Guess five boxes (R, 4) around each shape, with confidences (R,), the way a detector would."""
    rng = np.random.default_rng(0)
    found = np.repeat(boxes(picture), 5, axis=0)  # (R, 4)
    extent = np.tile(found[:, 2:] - found[:, :2], 2)  # (R, 4): width, height, width, height
    moves = rng.normal(0, 0.08, found.shape)
    confidence = np.exp(-8 * np.abs(moves).mean(axis=1))  # the nearer, the more confident
    return (found + moves * extent).astype(np.float32), confidence.astype(np.float32)
